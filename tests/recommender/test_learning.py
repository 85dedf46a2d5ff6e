import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from catalog.models import Song
from listening.models import Impression
from listening.services import rate_song, record_play
from recommender.engines.feedback import COUNTED_PLAY, RATING_REWARDS, SKIP, accuracy_weights, engine_rewards
from recommender.models import Weights
from recommender.services import learning


@pytest.fixture
def impressions(two_camps):
    """Four songs shown to one listener two hours ago: user_based spoke for two of them, relevance for the others."""
    shown_at = timezone.now() - timedelta(hours=2)
    Weights.objects.create(made_at=shown_at, strategy="uniform", values={"user_based": 0.5, "relevance": 0.5})
    return Impression.objects.bulk_create(
        Impression(
            listener=two_camps[0], song=song, list_id="a list", shelf="hybrid", rank=rank,
            shares={"user_based": 1.0} if rank <= 2 else {"relevance": 1.0}, run_number=1, shown_at=shown_at,
        )
        for rank, song in enumerate(Song.objects.all()[:4], start=1)
    )  # fmt: skip


def play(impression, seconds):
    return record_play(
        listener=impression.listener, song=impression.song, key=uuid.uuid4(), seconds_heard=seconds, source="home",
        started_at=timezone.now() - timedelta(hours=1), impression=impression,
    )  # fmt: skip


def rewards():
    return list(Impression.objects.order_by("rank").values_list("reward", flat=True))


def test_ratings_plays_and_skips_are_rewarded_by_the_curve(impressions):
    rate_song(listener=impressions[0].listener, song=impressions[0].song, rating=5)
    play(impressions[1], seconds=30)
    play(impressions[2], seconds=2)
    assert learning.settle_impressions() == 3
    assert rewards() == [RATING_REWARDS[5], COUNTED_PLAY, SKIP, None]


def test_a_song_played_from_another_page_was_shown_well_all_the_same(impressions):
    shown = impressions[0]
    record_play(
        listener=shown.listener, song=shown.song, key=uuid.uuid4(), seconds_heard=30, source="search",
        started_at=timezone.now() - timedelta(hours=1),
    )  # fmt: skip
    learning.settle_impressions()
    assert rewards()[0] == COUNTED_PLAY


def test_a_song_left_alone_is_passed_over_after_a_day(impressions, settings):
    assert learning.settle_impressions() == 0
    settings.SETTLE_HOURS = 1
    assert learning.settle_impressions() == 4
    assert rewards() == [0, 0, 0, 0]


def test_settling_twice_changes_nothing(impressions):
    play(impressions[0], seconds=30)
    learning.settle_impressions()
    learning.learn_weights()
    n_rows, before = Weights.objects.count(), rewards()
    rate_song(listener=impressions[0].listener, song=impressions[0].song, rating=1)
    assert learning.settle_impressions() == 0
    assert learning.learn_weights() is None
    assert (rewards(), Weights.objects.count()) == (before, n_rows)


def test_rewards_are_credited_to_the_engines_that_spoke(impressions, settings):
    settings.SETTLE_HOURS = 1
    play(impressions[0], seconds=30)
    learning.settle_impressions()
    weights = learning.learn_weights()
    assert weights.values == {"user_based": 0.5, "relevance": 0.5}
    assert weights.rewards == {
        "relevance": {"mean": 0, "credit": 2},
        "user_based": {"mean": COUNTED_PLAY / 2, "credit": 2},
    }


def test_credit_is_split_by_share():
    rewards = engine_rewards([({"a": 0.75, "b": 0.25}, 1.0), ({"a": 1.0}, 0.0)])
    assert (rewards["a"].total, rewards["a"].credit) == (0.75, 1.75)
    assert rewards["b"].mean == 1.0


def test_better_ratings_earn_more_and_silence_earns_nothing():
    curve = [RATING_REWARDS[rating] for rating in (1, 2, 3, 4, 5)]
    assert curve == sorted(curve)
    assert curve[0] == 0
    assert curve[-1] == 1
    assert 0 < SKIP < COUNTED_PLAY < 1


def test_accuracy_weights_follow_ndcg():
    assert accuracy_weights({"a": 0.3, "b": 0.1}) == pytest.approx({"a": 0.75, "b": 0.25})
    assert accuracy_weights({"a": 0.0, "b": 0.0}) == {"a": 0.5, "b": 0.5}
