import json

from django.contrib.auth.decorators import permission_required
from django.db.models import Count, F, Q, QuerySet, Value, Window
from django.db.models.functions import Coalesce, RowNumber
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalog.models import Genre, Song
from listening.forms import PicksForm, PlayForm, numbers
from listening.services import clear_rating, rate_song, record_play, save_picks
from listening.templatetags.ratings import STARS
from quasimusic.exceptions import InputFault
from quasimusic.paging import page_after

PICKABLE = 24  # genres, and songs, offered at sign-up


@require_safe
def history(request: HttpRequest) -> HttpResponse:
    plays = request.user.plays.select_related("song__artist", "song__album", "song__genre")
    page = page_after(plays, "-started_at", "-pk", after=request.GET.get("after", ""))
    ratings = request.user.ratings.by_song([play.song for play in page])
    return render(request, "listening/history.html", {"plays": page, "ratings": ratings})


@require_POST
@permission_required("listening.add_play", raise_exception=True)
def plays(request: HttpRequest) -> HttpResponse:
    """Reports of the player. It is told faults as JSON, for it shows no page."""
    try:
        report = _report(request)
    except ValueError:
        return _refused(400, "A report is a JSON object, encoded as UTF-8.")
    form = PlayForm(report, listener=request.user)
    if not form.is_valid():
        return _refused(400, "Some fields are not right.", errors=form.errors)
    song = Song.objects.filter(pk=form.cleaned_data.pop("song")).first()
    if song is None:
        return _refused(404, "There is no such song; it may have been taken out of the catalogue.")
    try:
        play = record_play(listener=request.user, song=song, **form.cleaned_data)
    except InputFault as fault:
        return _refused(fault.status, str(fault))
    return JsonResponse({"key": str(play.key), "counted": play.counted}, status=201)


def _report(request: HttpRequest) -> dict:
    if request.content_type != "application/json":
        return request.POST
    try:
        report = json.loads(request.body)
    except RecursionError:
        raise ValueError from None
    if not isinstance(report, dict):
        raise ValueError
    # As a form would send it: forms read text.
    return {name: str(value) for name, value in report.items() if value is not None}


def _refused(status: int, detail: str, **more: object) -> JsonResponse:
    return JsonResponse({"status": status, "detail": detail, **more}, status=status)


@require_POST
@permission_required("listening.add_rating", raise_exception=True)
def song_rating(request: HttpRequest, pk: int) -> HttpResponse:
    song = get_object_or_404(Song, pk=pk)
    given = request.POST.get("rating", "")
    if given == "clear":
        rating = None
        clear_rating(listener=request.user, song=song)
    else:
        rating = rate_song(listener=request.user, song=song, rating=_whole(given)).rating
    back = request.POST.get("back", "")
    if request.htmx:
        partial = {"song": song, "rating": rating, "stars": STARS, "back": back}
        return render(request, "listening/_stars.html", partial)
    # A word without a slash would be taken for the name of a page.
    if back.startswith("/") and url_has_allowed_host_and_scheme(
        back, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return redirect(back)
    return redirect(song)


def _whole(text: str) -> int | str:
    """The number a text names, or the text itself, which the service then refuses in its own words."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("listening.add_pick", raise_exception=True)
def picks(request: HttpRequest) -> HttpResponse:
    """Choose genres and songs; the songs offered follow the genres chosen (`?genres=`) and keep those already taken."""
    form = PicksForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        save_picks(listener=request.user, **form.cleaned_data)
        return redirect("home")
    chosen = request.POST or request.GET
    if chosen:
        taken_genres, taken_songs = numbers(chosen.getlist("genres")), numbers(chosen.getlist("songs"))
    else:
        taken_genres, taken_songs = _earlier_picks(request)
    context = {
        "form": form,
        "genres": _genres_offered(taken_genres),
        "songs": _songs_offered(taken_genres, taken_songs),
        "taken_genres": taken_genres,
        "taken_songs": taken_songs,
    }
    return render(request, "listening/picks.html", context, status=400 if form.errors else 200)


def _earlier_picks(request: HttpRequest) -> tuple[set[int], set[int]]:
    rows = request.user.picks.values_list("genre_id", "song_id")
    return {genre for genre, _ in rows if genre}, {song for _, song in rows if song}


def _genres_offered(taken: set[int]) -> QuerySet:
    """Genres to choose among: those taken, then those of most songs."""
    counted = Genre.objects.annotate(n_songs=Count("songs"), is_taken=Q(pk__in=taken)).filter(n_songs__gt=0)
    return counted.order_by("-is_taken", "-n_songs", "name")[: max(PICKABLE, len(taken))]


def _songs_offered(genres: set[int], taken: set[int]) -> list[Song]:
    """Songs to choose among: those taken, then the best known of each genre in turn."""
    fame = {"n_listeners": Count("history"), "fame": Coalesce("popularity", Value(-1.0))}
    known = Song.objects.exclude(title="").annotate(**fame)
    if genres:
        known = known.filter(genre__in=genres)
    turn = Window(
        RowNumber(), partition_by="genre", order_by=(F("n_listeners").desc(), F("fame").desc(), F("pk").asc())
    )
    turns = known.annotate(turn=turn).order_by("turn", "-n_listeners", "-fame", "pk").values_list("pk", flat=True)
    shown = [*sorted(taken), *(pk for pk in turns[:PICKABLE] if pk not in taken)][: max(PICKABLE, len(taken))]
    return _in_order(Song.objects.for_cards(), shown)


def _in_order(songs: QuerySet, ids: list[int]) -> list[Song]:
    found = songs.in_bulk(ids)
    return [found[pk] for pk in ids if pk in found]
