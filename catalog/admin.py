"""The catalogue as editors keep it: found by search, changed one by one or many at once."""

from django import forms
from django.contrib import admin, messages
from django.db.models import Count
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import ngettext

from catalog.audio import clean_audio
from catalog.features import FEATURES
from catalog.forms import NumbersField, WordsField
from catalog.models import Album, Artist, Genre, Mood, Song
from catalog.services import forget_popularity, refresh_search, remove_audio, set_genre
from quasimusic.admin import HouseAdmin, TakesItsRecords

EXTERNAL_IDS = ("External ids", {"fields": (("musicbrainz_id", "spotify_id"),), "classes": ("collapse",)})
FEATURE_LINES = tuple(zip(*[iter(FEATURES)] * 3, strict=True))  # three to a line


class SearchableAdmin(HouseAdmin):
    """Searches as the site does: folded, every word somewhere."""

    search_fields = ("search_text",)

    def get_search_results(self, request, queryset, search_term):
        return queryset.search(search_term), False


def _link_to_songs(lookup: str, value: int, words: str):
    return format_html('<a href="{}?{}={}">{}</a>', reverse("admin:catalog_song_changelist"), lookup, value, words)


class NamedOnSongsAdmin(SearchableAdmin):
    """Rows whose name is part of what their songs are found by: a rename reaches these."""

    name_field = "name"

    @admin.display(description="songs")
    def songs(self, named):
        return _link_to_songs(f"{self.opts.model_name}__id__exact", named.pk, "show")

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        if change and self.name_field in form.changed_data:
            refresh_search(renamed=obj)


@admin.register(Genre)
class GenreAdmin(HouseAdmin):
    list_display = ("name", "slug", "songs")
    search_fields = ("name",)
    readonly_fields = ("slug",)

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(n_songs=Count("songs"))

    @admin.display(description="songs", ordering="n_songs")
    def songs(self, named):
        return _link_to_songs(f"{self.opts.model_name}__id__exact", named.pk, f"{named.n_songs:,}")


@admin.register(Mood)
class MoodAdmin(GenreAdmin):
    """Found, not made, by hand; a name given here stays for as long as the mood does."""

    def has_add_permission(self, request):
        return False


@admin.register(Artist)
class ArtistAdmin(NamedOnSongsAdmin):
    list_display = ("name", "disambiguation", "country", "songs")
    list_filter = (("country", admin.EmptyFieldListFilter),)
    fieldsets = ((None, {"fields": ("name", "disambiguation", "country")}), EXTERNAL_IDS)


@admin.register(Album)
class AlbumAdmin(NamedOnSongsAdmin):
    name_field = "title"
    list_display = ("title", "artist", "year", "songs")
    list_select_related = ("artist",)
    autocomplete_fields = ("artist",)
    list_filter = (("artist", admin.EmptyFieldListFilter), ("year", admin.EmptyFieldListFilter))
    fieldsets = ((None, {"fields": ("title", "artist", "year")}), EXTERNAL_IDS)


class DecadeFilter(admin.SimpleListFilter):
    title = "decade"
    parameter_name = "decade"

    def lookups(self, request, model_admin):
        return [(year, f"{year}s") for year in range(2020, 1940, -10)] + [("earlier", "earlier")]

    def queryset(self, request, queryset):
        if self.value() == "earlier":
            return queryset.filter(year__lt=1950)
        if self.value() and self.value().isdecimal():
            return queryset.filter(year__gte=int(self.value()), year__lt=int(self.value()) + 10)
        return queryset


class SongForm(forms.ModelForm):
    class Meta:
        field_classes = {"tags": WordsField, "other_features": NumbersField}

    def clean_audio(self):
        audio = self.cleaned_data["audio"]
        if "audio" in self.changed_data:
            self.instance.audio_ms = clean_audio(audio) if audio else None
        return audio


class GenreChoice(forms.Form):
    genre = forms.ModelChoiceField(Genre.objects.all(), required=False, empty_label="(none)")


@admin.register(Song)
class SongAdmin(TakesItsRecords, SearchableAdmin):
    form = SongForm
    list_display = ("known_title", "artist", "album", "genre", "year", "popularity", "has_audio")
    list_select_related = ("artist", "album", "genre")
    list_filter = (
        DecadeFilter,
        ("audio", admin.EmptyFieldListFilter),
        ("genre", admin.EmptyFieldListFilter),
        ("artist", admin.EmptyFieldListFilter),
        ("popularity", admin.EmptyFieldListFilter),
    )
    autocomplete_fields = ("artist", "album", "genre")
    readonly_fields = ("mood", "source_id", "audio_ms", "added_at")
    fieldsets = (
        (None, {"fields": ("title", ("artist", "album"), ("genre", "tags"), "mood")}),
        ("Facts", {"fields": (("year", "duration_ms", "popularity"),)}),
        ("Audio", {"fields": ("audio", "audio_ms")}),
        ("Features", {"fields": (*FEATURE_LINES, "other_features"), "classes": ("collapse",)}),
        ("Where it comes from", {"fields": ("source_id", ("musicbrainz_id", "spotify_id"), "added_at")}),
    )
    actions = ("choose_genre", "drop_popularity", "drop_audio")

    @admin.display(description="title", ordering="title")
    def known_title(self, song):
        return song.known_title

    @admin.display(description="audio", boolean=True)
    def has_audio(self, song):
        return bool(song.audio)

    @admin.action(description="Set the genre of the selected songs", permissions=["change"])
    def choose_genre(self, request, queryset):
        form = GenreChoice(request.POST if "chosen" in request.POST else None)
        if form.is_valid():
            n_songs = set_genre(songs=self._alone(queryset), genre=form.cleaned_data["genre"])
            return self._tell(request, n_songs, "%d song has its new genre.", "%d songs have their new genre.")
        context = {
            **self.admin_site.each_context(request),
            "title": "Set the genre",
            "opts": self.opts,
            "form": form,
            "n_songs": queryset.count(),
            "selected": request.POST.getlist(admin.helpers.ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "admin/catalog/song/choose_genre.html", context)

    @admin.action(description="Forget the popularity of the selected songs", permissions=["change"])
    def drop_popularity(self, request, queryset):
        n_songs = forget_popularity(songs=self._alone(queryset))
        self._tell(request, n_songs, "%d song has no popularity now.", "%d songs have no popularity now.")

    @admin.action(description="Remove the audio files of the selected songs", permissions=["change"])
    def drop_audio(self, request, queryset):
        n_songs = remove_audio(songs=queryset)
        self._tell(request, n_songs, "%d audio file removed.", "%d audio files removed.")

    def _alone(self, queryset):
        """The selected songs without order and joins, which an UPDATE does not take."""
        return Song.objects.filter(pk__in=queryset.order_by().values("pk"))

    def _tell(self, request, n_songs, one, many):
        self.message_user(request, ngettext(one, many, n_songs) % n_songs, messages.SUCCESS)
