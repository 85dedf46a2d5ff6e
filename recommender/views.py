from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from accounts.models import Listener
from catalog.models import Song
from recommender import tasks
from recommender.services import lists


@require_safe
@login_not_required
def home(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return render(request, "recommender/welcome.html")
    shown = lists.home(listener=request.user)
    if shown.pending or shown.stale:
        tasks.ask_for_lists(request.user.pk)
    ratings = request.user.ratings.by_song([card.song for shelf in shown.shelves for card in shelf.cards])
    context = {"home": shown, "ratings": ratings, "is_known": _is_known(request.user)}
    return render(request, "recommender/home.html", context)


def _is_known(listener: Listener) -> bool:
    """Whether the band has anything of the listener's own to go by."""
    return listener.history.exists() or listener.ratings.exists() or listener.picks.exists()


@require_safe
def song(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Song.objects.for_cards().select_related("mood"), pk=pk)
    near = lists.near_song(song=shown)
    ratings = request.user.ratings.by_song([shown, *(card.song for card in near.cards)])
    return render(request, "recommender/song.html", {"song": shown, "near": near, "ratings": ratings})
