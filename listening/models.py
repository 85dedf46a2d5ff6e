from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q, QuerySet
from django.utils import timezone

from catalog.models import Artist, Genre, Song

COUNTED_SHARE = 0.5  # a play counts once half the song was heard ...
COUNTED_SECONDS = 240  # ... or four minutes of it


def _by_listener(related_name: str) -> models.ForeignKey:
    return models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name=related_name)


class Impression(models.Model):
    """A song shown to a listener, with what spoke for it; settled once into a reward."""

    class Outcome(models.TextChoices):
        """What came of showing it: the strongest thing the listener did."""

        RATED_5 = "rated 5"
        RATED_4 = "rated 4"
        RATED_3 = "rated 3"
        RATED_2 = "rated 2"
        RATED_1 = "rated 1"
        LOVED = "love", "loved"
        REFUSED = "no", "not for me"
        FULL = "full", "heard to the end"
        HALF = "half", "heard by half"
        SKIPPED = "skip", "begun and left"
        PASSED = "passed", "passed over"

    listener = _by_listener("impressions")
    song = models.ForeignKey(Song, on_delete=models.CASCADE, related_name="impressions")
    list_id = models.CharField(max_length=40, help_text="The stored list it was shown from.")
    shelf = models.CharField(max_length=20)
    rank = models.PositiveSmallIntegerField(help_text="Place in the list, 1 is first.")
    shares = models.JSONField(help_text="Each engine's part of the score, 0 to 1.")
    weights = models.JSONField(default=dict, help_text="Weight of each engine in a mixed list, as it was made.")
    reason = models.TextField(blank=True, help_text="Why it is there, as the listener was told.")
    run_number = models.PositiveIntegerField(help_text="The training run whose models spoke; 0 before any.")
    shown_at = models.DateTimeField(db_index=True)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True)
    reward = models.FloatField(null=True, blank=True)
    counts = models.FloatField(default=1, help_text="As how many it counts: what was told in so many words says more.")
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=("listener", "list_id", "shelf", "song"), name="impression_once"),
            models.CheckConstraint(condition=Q(reward=None) | Q(reward__gte=0, reward__lte=1), name="reward_range"),
        ]
        indexes = [
            models.Index(fields=("shown_at",), condition=Q(settled_at=None), name="impression_open"),
            models.Index(fields=("settled_at",), condition=~Q(settled_at=None), name="impression_settled"),
        ]

    def __str__(self):
        return f"{self.song} at {self.rank} of {self.shelf}"


class Play(models.Model):
    """One listening event. Its row is written when it is first reported; later reports can only lengthen it."""

    class Source(models.TextChoices):
        HOME = "home"
        SHELF = "shelf"
        SONG = "song"
        ARTIST = "artist"
        ALBUM = "album"
        GENRE = "genre"
        MOOD = "mood"
        SEARCH = "search"
        HISTORY = "history"
        API = "api"

    listener = _by_listener("plays")
    song = models.ForeignKey(Song, on_delete=models.CASCADE, related_name="plays")
    key = models.UUIDField(help_text="Made by the player, so that a report sent twice is one play.")
    started_at = models.DateTimeField()
    seconds_heard = models.FloatField(validators=[MinValueValidator(0)])
    counted = models.BooleanField(default=False, help_text="Half the song or 240 s were heard; otherwise it is a skip.")
    source = models.CharField(max_length=10, choices=Source.choices)
    impression = models.ForeignKey(Impression, null=True, blank=True, on_delete=models.SET_NULL, related_name="plays")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=("listener", "key"), name="play_once"),
            models.CheckConstraint(condition=Q(seconds_heard__gte=0), name="play_seconds_range"),
        ]
        indexes = [models.Index(fields=("listener", "-started_at"))]

    def __str__(self):
        return f"{self.song} at {self.started_at:%Y-%m-%d %H:%M}"


class History(models.Model):
    """Plays counted: how often a listener heard a song, and when last."""

    listener = _by_listener("history")
    song = models.ForeignKey(Song, on_delete=models.CASCADE, related_name="history")
    repetition = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    last_played_at = models.DateTimeField(null=True, blank=True, help_text="Unknown for some imported rows.")
    counted_at = models.DateTimeField(
        null=True, blank=True, help_text="When a play was last counted here, which is later than it began."
    )

    class Meta:
        verbose_name_plural = "history"
        constraints = [
            models.UniqueConstraint(fields=("listener", "song"), name="history_once"),
            models.CheckConstraint(condition=Q(repetition__gte=1), name="history_repetition_range"),
        ]
        indexes = [models.Index(fields=("listener", "-last_played_at")), models.Index(fields=("counted_at",))]

    def __str__(self):
        return f"{self.song} × {self.repetition}"  # noqa: RUF001 - a multiplication sign is meant


class RatingQuerySet(models.QuerySet):
    def by_song(self, songs: Iterable[Song]) -> dict[int, int]:
        """The ratings of these songs, by song id. For the ratings of one listener."""
        return dict(self.filter(song__in=songs).values_list("song_id", "rating"))


class Rating(models.Model):
    listener = _by_listener("ratings")
    song = models.ForeignKey(Song, on_delete=models.CASCADE, related_name="ratings")
    rating = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])
    rated_at = models.DateTimeField(null=True, blank=True, help_text="Unknown for some imported rows.")

    objects = RatingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=("listener", "song"), name="rating_once"),
            models.CheckConstraint(condition=Q(rating__gte=1, rating__lte=5), name="rating_range"),
        ]
        indexes = [models.Index(fields=("listener", "-rated_at"))]

    def __str__(self):
        return f"{self.song}: {self.rating}"


class Pick(models.Model):
    """What a listener chose at sign-up: a genre or a song, so that the first list is not blind."""

    listener = _by_listener("picks")
    genre = models.ForeignKey(Genre, null=True, blank=True, on_delete=models.CASCADE)
    song = models.ForeignKey(Song, null=True, blank=True, on_delete=models.CASCADE)
    picked_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(genre=None) ^ Q(song=None), name="pick_one_thing"),
            models.UniqueConstraint(fields=("listener", "genre"), name="pick_genre_once"),
            models.UniqueConstraint(fields=("listener", "song"), name="pick_song_once"),
        ]

    def __str__(self):
        return str(self.genre or self.song)


@dataclass(frozen=True)
class Blocked:
    """What a listener wants no more of, by id."""

    songs: frozenset[int]
    artists: frozenset[int]
    genres: frozenset[int]

    def __contains__(self, song: Song) -> bool:
        return self.bars(song.pk, song.artist_id, song.genre_id)

    def bars(self, song_id: int, artist_id: int | None, genre_id: int | None) -> bool:
        return song_id in self.songs or artist_id in self.artists or genre_id in self.genres

    def left_out_of(self, songs: QuerySet) -> QuerySet:
        """These songs without the blocked ones."""
        return songs.exclude(pk__in=self.songs).exclude(artist__in=self.artists).exclude(genre__in=self.genres)


class VerdictQuerySet(models.QuerySet):
    def in_force(self, at: datetime | None = None):
        """Those that have not ended by then; by now where no moment is given."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=at or timezone.now()))

    def by_thing(self, at: datetime | None = None) -> dict[tuple[str, int], "Verdict"]:
        """What is in force, by what it is of, such as ("artist", 7). For the verdicts of one listener."""
        return {verdict.thing_key: verdict for verdict in self.in_force(at)}

    def blocked(self, at: datetime | None = None) -> Blocked:
        """What is blocked, in one query. For the verdicts of one listener."""
        rows = list(self.in_force(at).filter(kind=Verdict.Kind.NO).values_list("song_id", "artist_id", "genre_id"))
        return Blocked(*(frozenset(row[place] for row in rows if row[place]) for place in range(3)))


class Verdict(models.Model):
    """What a listener told of a song, an artist or a genre: love, or no more of it; for good or until a moment.

    One that is taken back ends at that moment: lists made before it are then known to be behind, as they are when a
    verdict ends by itself.
    """

    class Kind(models.TextChoices):
        LOVE = "love", "love"
        NO = "no", "not for me"

    THINGS = {"song": Song, "artist": Artist, "genre": Genre}

    listener = _by_listener("verdicts")
    song = models.ForeignKey(Song, null=True, blank=True, on_delete=models.CASCADE, related_name="verdicts")
    artist = models.ForeignKey(Artist, null=True, blank=True, on_delete=models.CASCADE, related_name="verdicts")
    genre = models.ForeignKey(Genre, null=True, blank=True, on_delete=models.CASCADE, related_name="verdicts")
    kind = models.CharField(max_length=4, choices=Kind.choices)
    said_at = models.DateTimeField(db_index=True)
    expires_at = models.DateTimeField(null=True, blank=True, db_index=True, help_text="Empty: it holds for good.")

    objects = VerdictQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(song__isnull=False, artist=None, genre=None)
                | Q(song=None, artist__isnull=False, genre=None)
                | Q(song=None, artist=None, genre__isnull=False),
                name="verdict_one_thing",
            ),
            models.CheckConstraint(condition=Q(kind__in=("love", "no")), name="verdict_kind"),
            models.UniqueConstraint(fields=("listener", "song"), name="verdict_song_once"),
            models.UniqueConstraint(fields=("listener", "artist"), name="verdict_artist_once"),
            models.UniqueConstraint(fields=("listener", "genre"), name="verdict_genre_once"),
        ]

    def __str__(self):
        return f"{self.thing}: {self.get_kind_display()}"

    @property
    def thing(self) -> Song | Artist | Genre:
        return self.song or self.artist or self.genre

    @property
    def thing_key(self) -> tuple[str, int]:
        """What kind of thing it is of, and its id."""
        return next((name, pk) for name in self.THINGS if (pk := getattr(self, f"{name}_id")))
