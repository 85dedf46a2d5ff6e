from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from catalog.models import Song
from listening.views import own_ratings
from recommender.cache import first_to_ask
from recommender.services import lists
from recommender.tasks import refresh_listener

ASKED_SECONDS = 20  # a page that waits for its list asks again and again; the list is made once


@require_safe
@login_not_required
def home(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return render(request, "recommender/welcome.html")
    shown = lists.home(listener=request.user)
    if (shown.pending or shown.stale) and first_to_ask(request.user.pk, ASKED_SECONDS):
        refresh_listener.delay_on_commit(request.user.pk)
    ratings = own_ratings(request, [card.song for shelf in shown.shelves for card in shelf.cards])
    return render(request, "recommender/home.html", {"home": shown, "ratings": ratings})


@require_safe
def song(request: HttpRequest, pk: int) -> HttpResponse:
    shown = get_object_or_404(Song.objects.for_cards(), pk=pk)
    near = lists.near_song(song=shown)
    ratings = own_ratings(request, [shown, *(card.song for card in near.cards)])
    return render(request, "recommender/song.html", {"song": shown, "near": near, "ratings": ratings})
