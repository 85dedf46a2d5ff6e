import unicodedata
from itertools import count

from django.core.validators import FileExtensionValidator, MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _
from django_countries.fields import CountryField

from catalog.features import FACTS, FEATURES, Feature

AUDIO_EXTENSIONS = ("mp3", "ogg", "opus", "flac", "m4a")
SLUG_STEM = 80  # signs of a slug, before a number that sets it apart
PIECE_SECONDS = 30  # a song without a file is given a synthesised piece of this length


def fold(text: str) -> str:
    """Text as it is searched: no case, no accents, single spaces ("Björk  " -> "bjork")."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().replace("\0", " "))  # PostgreSQL stores no NUL
    return " ".join("".join(sign for sign in decomposed if not unicodedata.combining(sign)).split())


class SearchQuerySet(models.QuerySet):
    def search(self, words: str):
        """Rows whose folded text holds every word asked for."""
        found = self
        for word in fold(words).split()[:10]:
            found = found.filter(search_text__contains=word)
        return found


class Searchable(models.Model):
    """Keeps `search_text` in step with what `searched` names. Bulk writers set it themselves."""

    search_text = models.TextField(editable=False, blank=True, db_index=False)

    class Meta:
        abstract = True

    def searched(self) -> str:
        raise NotImplementedError

    def save(self, *args, **kwargs):
        self.search_text = fold(self.searched())
        if kwargs.get("update_fields") is not None:
            kwargs["update_fields"] = {*kwargs["update_fields"], "search_text"}
        super().save(*args, **kwargs)


class Grouping(models.Model):
    """What songs are grouped by: a `name`, and the address made of it."""

    slug = models.SlugField(max_length=90, unique=True, allow_unicode=True, editable=False)

    class Meta:
        abstract = True
        ordering = ("name",)

    def __str__(self):
        return self.name

    def save(self, *args, **kwargs):
        self.slug = self.slug or _free_slug(self)
        super().save(*args, **kwargs)

    def get_absolute_url(self):
        return reverse(self._meta.model_name, args=[self.slug])


class Genre(Grouping):
    name = models.CharField(max_length=80, unique=True)


class Mood(Grouping):
    """Songs that sound alike, found by the recommender and named by what sets them apart."""

    name = models.CharField(max_length=120, unique=True)


def _free_slug(named: Grouping) -> str:
    """A slug that no other has: "R&B" and "RB" would else share theirs, and a name of signs alone has none."""
    # Folding may lengthen: one Arabic sign can stand for a whole phrase.
    slug = stem = slugify(named.name, allow_unicode=True)[:SLUG_STEM] or named._meta.model_name
    for place in count(2):
        if not type(named).objects.filter(slug=slug).exists():
            return slug
        slug = f"{stem}-{place}"


class Artist(Searchable):
    name = models.CharField(max_length=300)
    disambiguation = models.CharField(
        max_length=120, blank=True, help_text="Tells apart two artists of one name, such as “Italian rapper”."
    )
    country = CountryField(blank=True)
    musicbrainz_id = models.UUIDField(null=True, blank=True, unique=True)
    spotify_id = models.CharField(max_length=22, null=True, blank=True, unique=True)

    objects = SearchQuerySet.as_manager()

    class Meta:
        ordering = ("name", "pk")
        constraints = [models.UniqueConstraint(fields=("name", "disambiguation"), name="artist_name_unique")]

    def __str__(self):
        return f"{self.name} ({self.disambiguation})" if self.disambiguation else self.name

    def searched(self):
        return self.name

    def get_absolute_url(self):
        return reverse("artist", args=[self.pk])


class Album(Searchable):
    title = models.CharField(max_length=400)
    artist = models.ForeignKey(Artist, null=True, blank=True, on_delete=models.SET_NULL, related_name="albums")
    year = models.PositiveSmallIntegerField(null=True, blank=True)
    musicbrainz_id = models.UUIDField(null=True, blank=True, unique=True)
    spotify_id = models.CharField(max_length=22, null=True, blank=True, unique=True)

    objects = SearchQuerySet.as_manager()

    class Meta:
        ordering = ("title", "pk")
        constraints = [
            models.UniqueConstraint(fields=("artist", "title"), name="album_title_unique"),
            models.UniqueConstraint(fields=("title",), condition=Q(artist=None), name="album_without_artist_unique"),
        ]

    def __str__(self):
        return self.title

    def searched(self):
        return f"{self.title} {self.artist.name if self.artist else ''}"

    def get_absolute_url(self):
        return reverse("album", args=[self.pk])


class SongQuerySet(SearchQuerySet):
    def for_cards(self):
        """With everything a song's card shows, in one query."""
        return self.select_related("artist", "album", "genre")

    def most_popular(self):
        """The best known first; those of unknown popularity last."""
        return self.order_by(models.F("popularity").desc(nulls_last=True), "pk")


def _number(feature: Feature) -> models.Field:
    validators = [
        validator(limit)
        for validator, limit in ((MinValueValidator, feature.low), (MaxValueValidator, feature.high))
        if limit is not None
    ]
    kind = models.PositiveIntegerField if feature.whole else models.FloatField
    return kind(null=True, blank=True, validators=validators, help_text=feature.meaning)


def _range_check(feature: Feature) -> models.CheckConstraint:
    within = Q(**{f"{feature.name}__gte": feature.low}) & Q(**{f"{feature.name}__lte": feature.high})
    return models.CheckConstraint(condition=within | Q(**{feature.name: None}), name=f"song_{feature.name}_range")


class Song(Searchable):
    source_id = models.CharField(
        max_length=100, null=True, blank=True, unique=True, help_text="Its song_id in the file it was imported from."
    )
    title = models.CharField(max_length=400, blank=True, help_text="Blank where nobody knows it.")
    artist = models.ForeignKey(Artist, null=True, blank=True, on_delete=models.PROTECT, related_name="songs")
    album = models.ForeignKey(Album, null=True, blank=True, on_delete=models.SET_NULL, related_name="songs")
    genre = models.ForeignKey(Genre, null=True, blank=True, on_delete=models.SET_NULL, related_name="songs")
    mood = models.ForeignKey(
        Mood, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="songs"
    )
    tags = models.JSONField(default=list, blank=True, help_text='A list of words, such as ["dream pop", "live"].')
    musicbrainz_id = models.UUIDField(null=True, blank=True, unique=True)
    spotify_id = models.CharField(max_length=22, null=True, blank=True, unique=True)
    audio = models.FileField(
        upload_to="songs/%Y/%m/", blank=True, validators=[FileExtensionValidator(AUDIO_EXTENSIONS)]
    )
    audio_ms = models.PositiveIntegerField(null=True, blank=True, editable=False, help_text="Length of the audio file.")
    year = _number(FACTS["year"])
    duration_ms = _number(FACTS["duration_ms"])
    popularity = _number(FACTS["popularity"])
    danceability = _number(FEATURES["danceability"])
    energy = _number(FEATURES["energy"])
    key = _number(FEATURES["key"])
    loudness = _number(FEATURES["loudness"])
    mode = _number(FEATURES["mode"])
    speechiness = _number(FEATURES["speechiness"])
    acousticness = _number(FEATURES["acousticness"])
    instrumentalness = _number(FEATURES["instrumentalness"])
    liveness = _number(FEATURES["liveness"])
    valence = _number(FEATURES["valence"])
    tempo = _number(FEATURES["tempo"])
    time_signature = _number(FEATURES["time_signature"])
    other_features = models.JSONField(default=dict, blank=True, help_text="Further numbers by name.")
    added_at = models.DateTimeField(auto_now_add=True, db_index=True)

    objects = SongQuerySet.as_manager()

    class Meta:
        ordering = ("title", "pk")
        indexes = [models.Index(fields=("-popularity",)), models.Index(fields=("title", "id"))]
        constraints = [_range_check(feature) for feature in (*FACTS.values(), *FEATURES.values())]

    def __str__(self):
        return self.known_title

    def searched(self):
        names = (self.title, self.artist and self.artist.name, self.album and self.album.title)
        return " ".join(name for name in names if name)

    def get_absolute_url(self):
        return reverse("song", args=[self.pk])

    @property
    def known_title(self) -> str:
        return self.title or str(_("Untitled %(name)s") % {"name": self.source_id or self.pk})

    @property
    def audible_seconds(self) -> float:
        """Length of what is really played: the file's, or the synthesised piece's."""
        return self.audio_ms / 1000 if self.audio and self.audio_ms else PIECE_SECONDS

    @property
    def audio_url(self) -> str:
        return reverse("song-audio", args=[self.pk])
