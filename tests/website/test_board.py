"""The mixing board: the listener's own, set by sliders, telling what was learned."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Listener
from listening.models import Impression
from listening.services import rate_song
from recommender.engines import ENGINES
from recommender.models import Board, Movement, Weights
from tests.website.conftest import HOSTILE
from tests.website.markup import Page, faults

PAGE = reverse("board")
API = reverse("api-board")


@pytest.fixture(autouse=True)
def weights(db):
    return Weights.objects.create(
        made_at=timezone.now(), strategy="uniform", values=dict.fromkeys(ENGINES, 1 / len(ENGINES))
    )


def sliders(**moved):
    return {**dict.fromkeys(ENGINES, 1), "novelty": 0, **moved}


def page(answer):
    html = answer.content.decode()
    assert faults(html) == []
    return Page(html)


def move(listener, song, at=None, **facts):
    told = {"outcome": "rated 1", "engine": "user_based", "before": 0.31, "after": 0.27, **facts}
    return Movement.objects.create(listener=listener, song=song, moved_at=at or timezone.now(), **told)


def test_a_slider_for_each_engine_and_one_for_what_is_new(signed_in):
    shown = page(signed_in.get(PAGE))
    ranges = {field["name"]: field for field in shown.all("input") if field.get("type") == "range" and "name" in field}
    assert set(ranges) == {*ENGINES, "novelty"}
    assert {(ranges[name]["min"], ranges[name]["max"], ranges[name]["value"]) for name in ENGINES} == {
        ("0", "2.0", "1.0")
    }
    assert (ranges["novelty"]["min"], ranges["novelty"]["max"]) == ("-1", "1")


def test_sliders_are_kept_and_the_next_list_is_asked_for(signed_in, listener, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as asked:
        answer = signed_in.post(PAGE, sliders(user_based=0, item_based=1.5, novelty=0.5))
    assert answer.status_code == 302
    assert len(asked) == 1
    board = Board.objects.get(listener=listener)
    assert (board.sliders, board.novelty) == ({"user_based": 0, "item_based": 1.5}, 0.5)
    heard = {channel["name"]: channel["heard"] for channel in signed_in.get(API).json()["channels"]}
    assert heard["user_based"] == 0
    assert heard["item_based"] == pytest.approx(1.5 / 4.5)
    assert sum(heard.values()) == pytest.approx(1)


def test_reset_goes_back_to_what_was_learned(signed_in, listener):
    signed_in.post(PAGE, sliders(user_based=0))
    signed_in.post(PAGE, {"reset": "1"})
    assert Board.objects.get(listener=listener).sliders == {}


@pytest.mark.parametrize(
    "wrong", [{"user_based": 2.1}, {"user_based": -0.1}, {"novelty": "new"}, {"item_based": "nan"}]
)
def test_a_slider_beyond_its_ends_changes_nothing_and_is_told(signed_in, wrong):
    answer = signed_in.post(PAGE, sliders(**wrong))
    assert answer.status_code == 400
    assert "field-error" in {part.get("class") for part in page(answer).all("div")}
    assert not Board.objects.exists()


def test_all_sliders_at_nothing_leave_the_mix_as_learned(signed_in):
    signed_in.post(PAGE, sliders(**dict.fromkeys(ENGINES, 0)))
    heard = {channel["heard"] for channel in signed_in.get(API).json()["channels"]}
    assert heard == {1 / len(ENGINES)}


def test_what_moved_it_is_told_newest_first(signed_in, listener, add_songs):
    older, newer = add_songs(2, title=HOSTILE)
    move(listener, older)
    move(listener, newer, outcome="skip", engine="item_based", before=0.2, after=0.18)
    told = [" ".join(text.split()) for text in page(signed_in.get(PAGE)).texts("p")]
    told = [text for text in told if "→" in text]
    assert told[0].startswith(f"You left {HOSTILE} early: Side by side 20% → 18%")
    assert told[1].startswith(f"You rated {HOSTILE} 1: Fan club 31% → 27%")


def test_nobody_sees_or_sets_the_board_of_another(client, signed_in, listener, song):
    signed_in.post(PAGE, sliders(user_based=0))
    move(listener, song)
    other = Listener.objects.create_user("other")
    other.groups.set(listener.groups.all())
    client.force_login(other)
    seen = client.get(API).json()
    assert seen["movements"] == []
    assert {channel["slider"] for channel in seen["channels"]} == {1}
    client.put(API, {"sliders": {"item_based": 2}}, content_type="application/json")
    assert Board.objects.get(listener=listener).sliders == {"user_based": 0}


def test_strangers_are_sent_to_log_in(client):
    assert client.get(PAGE).status_code == 302
    assert client.get(API).status_code == 403


def test_a_listener_without_leave_may_not_set_it(client, db):
    client.force_login(Listener.objects.create_user("plain"))
    assert client.get(PAGE).status_code == 403
    assert client.put(API, {"sliders": {}}, content_type="application/json").status_code == 403


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"sliders": {"item_based": 2}, "novelty": -1}, 200),
        ({"sliders": {}}, 200),
        ({"novelty": 0}, 400),
        ({"sliders": {"item_based": 2.5}}, 400),
        ({"sliders": {"item_based": "loud"}}, 400),
        ({"sliders": {"kazoo": 1}}, 404),
        ({"sliders": {}, "novelty": 2}, 400),
    ],
)
def test_the_api_takes_what_can_be(signed_in, given, status):
    assert signed_in.put(API, given, content_type="application/json").status_code == status


def test_a_rating_is_learned_from_as_soon_as_the_board_is_opened(signed_in, listener, song):
    shown = Impression.objects.create(
        listener=listener, song=song, list_id="list", shelf="hybrid", rank=1, run_number=1,
        shares={"user_based": 1.0}, shown_at=timezone.now() - timedelta(minutes=1),
    )  # fmt: skip
    rate_song(listener=listener, song=song, rating=1)
    signed_in.get(PAGE)
    shown.refresh_from_db()
    assert (shown.outcome, shown.reward) == ("rated 1", 0)


def test_as_many_queries_for_six_movements_as_for_one(signed_in, listener, add_songs, django_assert_max_num_queries):
    for count in (1, 5):
        for song in add_songs(count):
            move(listener, song)
        signed_in.get(PAGE)
        with django_assert_max_num_queries(14):
            signed_in.get(PAGE)
