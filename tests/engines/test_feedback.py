"""The reward curve: better never earns less, and nonsense is refused by name."""

import pytest

from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.feedback import RewardCurve

CURVE = RewardCurve()


def test_a_refusal_goes_before_a_rating_and_that_before_what_was_heard():
    assert CURVE.reward(rating=5, heard="full", refused=True) == CURVE.not_for_me
    assert CURVE.reward(rating=2, heard="full") == CURVE.ratings[1]
    assert CURVE.reward(heard="half") == CURVE.half_listen
    assert CURVE.reward() == CURVE.passed_over


def test_better_earns_more():
    stars = [CURVE.reward(rating=rating) for rating in (1, 2, 3, 4, 5)]
    assert stars == sorted(stars)
    assert CURVE.reward(heard="skip") < CURVE.reward(heard="half") < CURVE.reward(heard="full")
    assert CURVE.reward(refused=True) < CURVE.reward()


def test_what_is_told_counts_more_than_silence():
    assert CURVE.counts(rating=1) == CURVE.counts(refused=True) == CURVE.told_counts > CURVE.counts() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"ratings": (0, 0.5, 0.4, 0.8, 1)},
        {"ratings": (0, 1)},
        {"half_listen": 0.95},
        {"early_skip": 0.8},
        {"passed_over": 0.8},
        {"not_for_me": 0.2},
        {"full_listen": 1.5},
        {"passed_over": -0.1},
        {"half_listen": float("nan")},
        {"told_counts": 0.5},
    ],
)
def test_an_impossible_curve_is_refused(wrong):
    with pytest.raises(ParameterOutOfRange):
        RewardCurve(**wrong)


@pytest.mark.parametrize("outcome", [{"rating": 0}, {"rating": 6}, {"heard": "twice"}])
def test_an_unknown_outcome_is_refused(outcome):
    with pytest.raises(ParameterOutOfRange):
        CURVE.reward(**outcome)
