import json
from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db.models import Count, F, Q, QuerySet, Value, Window
from django.db.models.functions import Coalesce, RowNumber
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from catalog.models import Genre, Song
from listening.forms import PicksForm, PlayForm, numbers
from listening.models import Blocked, Verdict
from listening.services import (
    Thing,
    clear_rating,
    clear_verdict,
    rate_song,
    record_play,
    save_picks,
    save_verdict,
)
from listening.templatetags.ratings import STARS
from quasimusic.exceptions import InputFault, VerdictRejected
from quasimusic.paging import page_after

PICKABLE = 24  # genres, and songs, offered at sign-up
SAYINGS = {  # what buttons say: the kind of verdict, and for how long
    "love": (Verdict.Kind.LOVE, None),
    "no": (Verdict.Kind.NO, None),
    "pause": (Verdict.Kind.NO, timedelta(days=30)),
}


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
    return _back(request, song)


def _back(request: HttpRequest, thing: Thing) -> HttpResponse:
    """To the page the form was sent from; to that of the thing where it names none of ours."""
    back = request.POST.get("back", "")
    # A word without a slash would be taken for the name of a page.
    if back.startswith("/") and url_has_allowed_host_and_scheme(
        back, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return redirect(back)
    return redirect(thing)


def _whole(text: str) -> int | str:
    """The number a text names, or the text itself, which the service then refuses in its own words."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


@require_safe
def verdicts(request: HttpRequest) -> HttpResponse:
    """All that is loved and blocked."""
    own = request.user.verdicts.in_force().select_related("song__artist", "song__album", "artist", "genre")
    page = page_after(own, "-said_at", "-pk", after=request.GET.get("after", ""))
    return render(request, "listening/verdicts.html", {"verdicts": page})


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("listening.add_verdict", raise_exception=True)
def verdict(request: HttpRequest, of: str, pk: int) -> HttpResponse:
    """What can be said of a song (of its artist and genre too), an artist or a genre; posted, what is said."""
    if of not in Verdict.THINGS:
        raise Http404
    thing = get_object_or_404(Verdict.THINGS[of], pk=pk)
    if request.method != "POST":
        things = [thing, thing.artist, thing.genre] if of == "song" else [thing]
        context = {"thing": thing, "things": filter(None, things), "back": request.GET.get("back", "")}
        return render(request, "listening/verdict.html", context)
    saying = request.POST.get("say", "")
    _say(request, thing, saying)
    if not request.htmx:
        messages.success(request, _said_words(thing, saying))
        return _back(request, thing)
    context = {"thing": thing, "of": of, "saying": saying, "words": _said_words(thing, saying)}
    answer = render(request, "listening/_said.html", context | {"back": request.POST.get("back", "")})
    blocks = saying in SAYINGS and SAYINGS[saying][0] == Verdict.Kind.NO
    return trigger_client_event(answer, "verdict", {"of": of, "id": pk, "blocks": blocks}, after="settle")


def _say(request: HttpRequest, thing: Thing, saying: str) -> None:
    if saying == "clear":
        clear_verdict(listener=request.user, thing=thing)
        return
    if saying not in SAYINGS:
        raise VerdictRejected(f"One can say {', '.join(SAYINGS)} or clear; {saying[:40]!r} is none of them.")
    kind, span = SAYINGS[saying]
    save_verdict(listener=request.user, thing=thing, kind=kind, expires_at=span and timezone.now() + span)


def _said_words(thing: Thing, saying: str) -> str:
    words = {
        "love": _("You love %(thing)s."),
        "no": _("No more of %(thing)s."),
        "pause": _("Nothing of %(thing)s for 30 days."),
        "clear": _("Taken back: %(thing)s."),
    }
    return words[saying] % {"thing": thing}


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
        "songs": _songs_offered(taken_genres, taken_songs, request.user.verdicts.blocked()),
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


def _songs_offered(genres: set[int], taken: set[int], blocked: Blocked) -> list[Song]:
    """Songs to choose among: those taken, then the best known of each genre in turn."""
    fame = {"n_listeners": Count("history"), "fame": Coalesce("popularity", Value(-1.0))}
    known = blocked.left_out_of(Song.objects.exclude(title="")).annotate(**fame)
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
