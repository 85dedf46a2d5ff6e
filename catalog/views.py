from django.contrib.auth.decorators import login_not_required
from django.db.models import Avg, Count, QuerySet, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from catalog.covers import SOUND, Cover
from catalog.models import Album, Artist, Genre, Mood, Song
from quasimusic.paging import Page, page_after

FEW = 12  # artists and albums shown above the songs they come with


def page_of_songs(request: HttpRequest, songs: QuerySet) -> Page:
    """A page of songs, the best known first."""
    known = songs.for_cards().annotate(fame=Coalesce("popularity", Value(-1.0)))
    return page_after(known, "-fame", "pk", after=request.GET.get("after", ""))


def _storable(text: str) -> str:
    """Text without NUL, which PostgreSQL refuses even to look for."""
    return text.replace("\0", "")


def _sounding(things: QuerySet) -> QuerySet:
    """Albums or moods with the mean of their songs' features, which colour the cover."""
    return things.annotate(**{name: Avg(f"songs__{name}") for name in SOUND})


@require_safe
@login_not_required
@cache_control(public=True, max_age=365 * 24 * 3600, immutable=True)
def cover(request: HttpRequest, name: str, sound: str) -> HttpResponse:
    return HttpResponse(Cover(name, sound).svg(), content_type="image/svg+xml")


@require_safe
def artist(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Artist, pk=pk)
    albums = _sounding(shown.albums.select_related("artist")).order_by("-year", "title")[:FEW]
    songs = page_of_songs(request, shown.songs.all())
    return render(request, "catalog/artist.html", {"artist": shown, "albums": albums, "songs": songs})


@require_safe
def album(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(_sounding(Album.objects.select_related("artist")), pk=pk)
    songs = page_of_songs(request, shown.songs.all())
    return render(request, "catalog/album.html", {"album": shown, "songs": songs})


@require_safe
def genres(request: HttpRequest) -> HttpResponse:
    """The genres, those of most songs first."""
    counted = Genre.objects.annotate(n_songs=Count("songs")).filter(n_songs__gt=0)
    page = page_after(counted, "-n_songs", "pk", after=request.GET.get("after", ""))
    return render(request, "catalog/genres.html", {"genres": page})


@require_safe
def genre(request: HttpRequest, slug: str) -> HttpResponse:
    shown = get_object_or_404(Genre, slug=_storable(slug))
    songs = page_of_songs(request, shown.songs.all())
    return render(request, "catalog/genre.html", {"genre": shown, "songs": songs})


@require_safe
def moods(request: HttpRequest) -> HttpResponse:
    """All moods, a few dozen at most, those of most songs first."""
    counted = _sounding(Mood.objects.annotate(n_songs=Count("songs"))).filter(n_songs__gt=0)
    return render(request, "catalog/moods.html", {"moods": counted.order_by("-n_songs", "pk")})


@require_safe
def mood(request: HttpRequest, slug: str) -> HttpResponse:
    shown = get_object_or_404(_sounding(Mood.objects.all()), slug=_storable(slug))
    songs = page_of_songs(request, shown.songs.all())
    return render(request, "catalog/mood.html", {"mood": shown, "songs": songs})


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    words = _storable(request.GET.get("q", "")).strip()
    if not words:
        return render(request, "catalog/search.html", {"words": ""})
    found = {
        "words": words,
        "songs": page_of_songs(request, Song.objects.search(words)),
        "artists": Artist.objects.search(words)[:FEW],
        "albums": _sounding(Album.objects.search(words).select_related("artist"))[:FEW],
    }
    return render(request, "catalog/search.html", found)
