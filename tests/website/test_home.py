"""The home page of a listener whose lists are made."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from listening.models import Pick, Rating
from recommender import cache
from recommender.cache import StoredItem, StoredLists
from recommender.engines import ENGINES
from tests.website.conftest import HOSTILE
from tests.website.markup import Page, faults


@pytest.fixture
def store_lists(listener):
    def store(songs) -> None:
        plain = {name: tuple(StoredItem(song.pk, "", {name: 1.0}) for song in songs) for name in ENGINES}
        shares = {"relevance": 0.26, "user_based": 0.74}
        mixed = tuple(StoredItem(song.pk, f"because you played {HOSTILE}", shares) for song in songs)
        stored = StoredLists("list", timezone.now(), 1, {"hybrid": mixed, **plain})
        cache.store_lists("generation", {listener.pk: stored})
        cache.flip_to("generation")

    return store


def _page(client) -> Page:
    html = client.get(reverse("home")).content.decode()
    assert faults(html) == []
    return Page(html)


def test_for_you_comes_first_then_the_band(signed_in, add_songs, store_lists):
    store_lists(add_songs(3))
    page = _page(signed_in)
    assert page.texts("h2") == ["For you", *(engine.title for engine in ENGINES.values())]
    assert not any(attributes.get("hx-trigger") == "every 3s" for _, attributes in page.elements)


def test_each_song_says_why_and_who_spoke(signed_in, add_songs, store_lists):
    store_lists(add_songs(1))
    page = _page(signed_in)
    words = [" ".join(text.split()) for text in page.texts("span")]
    assert f"Because you played {HOSTILE}" in words
    assert "Who spoke for it: On top of the world 26 %, Fan club 74 %" in words
    parts = [part for part in page.all("rect") if part["class"].startswith("engine-")]
    assert [(part["x"], part["width"]) for part in parts] == [("0", "26"), ("26", "74")]


def test_play_buttons_carry_the_impression_to_credit(signed_in, listener, add_songs, store_lists):
    songs = add_songs(2)
    store_lists(songs)
    buttons = [button for button in _page(signed_in).all("button") if "data-song" in button]
    noted = {str(pk): str(song) for pk, song in listener.impressions.values_list("pk", "song")}
    assert len(buttons) == len(noted) == 2 * (1 + len(ENGINES))
    assert all(noted[button["data-impression"]] == button["data-song"] for button in buttons)
    assert [button["data-source"] for button in buttons] == ["home"] * 2 + ["shelf"] * 2 * len(ENGINES)


def test_as_many_queries_for_thirty_songs_as_for_one(signed_in, add_songs, store_lists):
    def count(songs) -> int:
        store_lists(songs)
        signed_in.get(reverse("home"))
        with CaptureQueriesContext(connection) as queries:
            signed_in.get(reverse("home"))
        return len(queries)

    assert count(add_songs(1)) == count(add_songs(29))


def test_a_fresh_rating_makes_the_list_stale_and_a_new_one_is_asked_for(
    signed_in, listener, add_songs, store_lists, django_capture_on_commit_callbacks
):
    songs = add_songs(2)
    store_lists(songs)
    Rating.objects.create(listener=listener, song=songs[0], rating=5, rated_at=timezone.now())
    with django_capture_on_commit_callbacks() as asked:
        page = _page(signed_in)
    assert "a fresh one is on its way" in " ".join(page.texts("p"))
    assert len(asked) == 1


def test_a_list_made_blind_asks_for_tastes(signed_in, listener, add_songs, store_lists):
    songs = add_songs(2)
    store_lists(songs)
    invitation = "Tell it what you like"
    assert invitation in _page(signed_in).texts("a")
    Pick.objects.create(listener=listener, song=songs[0], picked_at=timezone.now())
    store_lists(songs)
    assert invitation not in _page(signed_in).texts("a")
