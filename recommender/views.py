from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

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
    return render(request, "recommender/home.html", {"home": shown, "ratings": ratings})


@require_safe
def song(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Song.objects.for_cards(), pk=pk)
    near = lists.near_song(song=shown)
    ratings = request.user.ratings.by_song([shown, *(card.song for card in near.cards)])
    return render(request, "recommender/song.html", {"song": shown, "near": near, "ratings": ratings})
