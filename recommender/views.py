from django.contrib import messages
from django.contrib.auth.decorators import login_not_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import Listener
from catalog.models import Song
from recommender import tasks
from recommender.forms import BoardForm
from recommender.services import board as mixing
from recommender.services import learning, lists


@require_safe
@login_not_required
def home(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return render(request, "recommender/welcome.html")
    shown = lists.home(listener=request.user)
    if shown.wants_refresh:
        tasks.ask_for_lists(request.user.pk)
    ratings = request.user.ratings.by_song([card.song for shelf in shown.shelves for card in shelf.cards])
    context = {"home": shown, "ratings": ratings, "is_known": _is_known(request.user)}
    return render(request, "recommender/home.html", context)


def _is_known(listener: Listener) -> bool:
    """Whether the band has anything of the listener's own to go by."""
    return any(rows.exists() for rows in (listener.history, listener.ratings, listener.picks, listener.verdicts))


@require_safe
def song(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Song.objects.for_cards().select_related("mood"), pk=pk)
    near = lists.near_song(song=shown, listener=request.user)
    ratings = request.user.ratings.by_song([shown, *(card.song for card in near.cards)])
    return render(request, "recommender/song.html", {"song": shown, "near": near, "ratings": ratings})


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("recommender.change_board", raise_exception=True)
def board(request: HttpRequest) -> HttpResponse:
    """The listener's own mixing board; there is no way to another's."""
    if request.method == "POST":
        return _change_board(request)
    if learning.settle_impressions(listener_id=request.user.pk):  # what they have just done shows at once
        tasks.ask_for_lists(request.user.pk)
    shown = mixing.mixing_board(listener=request.user)
    sliders = {channel.name: channel.slider for channel in shown.channels}
    return _render_board(request, shown, BoardForm(initial={**sliders, "novelty": shown.novelty}))


def _change_board(request: HttpRequest) -> HttpResponse:
    form = BoardForm(request.POST)
    if "reset" in request.POST:
        mixing.reset_board(listener=request.user)
        messages.success(request, _("Back to what was learned. Your next list follows."))
    elif form.is_valid():
        mixing.save_board(listener=request.user, sliders=form.sliders, novelty=form.cleaned_data["novelty"])
        messages.success(request, _("Saved. Your next list follows."))
    else:
        return _render_board(request, mixing.mixing_board(listener=request.user), form, status=400)
    tasks.ask_for_lists(request.user.pk)
    return redirect("board")


def _render_board(request: HttpRequest, shown: mixing.MixingBoard, form: BoardForm, status: int = 200) -> HttpResponse:
    return render(request, "recommender/board.html", {"board": shown, "form": form}, status=status)
