"""The simulator's pure part: planted truth shows in behaviour, regret adds up, replay finds what is true."""

import numpy as np
import pytest

from quasimusic.exceptions import EngineFault, ParameterOutOfRange
from recommender.engines.simulation import FULL, HALF, NOTHING, SKIP, Planted, behave, regret, replayed


def test_a_group_likes_what_its_engine_scores_high():
    scores = np.array([[0.0, 1.0, 2.0, 3.0], [3.0, np.nan, 1.0, 0.0]])
    planted = Planted.of(scores, 5)
    assert planted.groups.tolist() == [0, 1, 0, 1, 0]
    shown = np.tile([[0, 1, 2, 3]], (2, 1))
    chances = planted.chances(np.array([0, 1]), shown)
    assert chances[0].tolist() == sorted(chances[0])
    assert chances[1, 1] == 0
    assert chances[1, 0] > chances[1, 2] > chances[1, 3] > 0
    assert planted.chances(np.array([0]), np.array([[-1, 3]]))[0, 0] == 0


def test_behaviour_follows_the_chances_and_the_seed():
    chances = np.tile([[0.0, 0.2, 0.8, 1.0]], (20_000, 1))
    day = behave(chances, np.random.default_rng(0))
    listened = np.isin(day.heard, (FULL, HALF)).mean(axis=0)
    np.testing.assert_allclose(listened, [0, 0.2, 0.8, 1], atol=0.015)
    assert (day.heard[:, 0] == NOTHING).all()  # padding is not there to be begun
    assert (day.heard[:, 1] == SKIP).any()
    assert set(np.unique(day.stars)) <= {0, 1, 2, 4, 5}
    assert (day.stars[day.heard == NOTHING] == 0).all()
    rated = day.stars > 0
    assert (day.stars[rated & (day.heard >= HALF)] >= 4).all()
    assert (day.stars[rated & (day.heard == SKIP)] <= 2).all()
    again = behave(chances, np.random.default_rng(0))
    assert np.array_equal(day.heard, again.heard)
    assert np.array_equal(day.stars, again.stars)


def test_regret_is_what_the_sums_differ_by():
    earned, best = np.array([1.0, 2.0, 2.5]), np.array([3.0, 3.0, 2.5])
    slow = [sum(best[: day + 1]) - sum(earned[: day + 1]) for day in range(3)]
    np.testing.assert_allclose(regret(earned, best), slow)


def slow_replayed(rewards, propensities, chances, listeners):
    weights = [chance / logged for chance, logged in zip(chances, propensities, strict=True)]
    mean = sum(w * r for w, r in zip(weights, rewards, strict=True)) / sum(weights)
    squares = 0.0
    for listener in set(listeners.tolist()):
        own = sum(w * (r - mean) for w, r, who in zip(weights, rewards, listeners, strict=True) if who == listener)
        squares += own**2
    return mean, squares**0.5 / sum(weights)


def test_replay_agrees_with_its_slow_twin():
    rng = np.random.default_rng(0)
    logged = rng.random(50), rng.uniform(0.1, 1, 50), rng.random(50), rng.integers(0, 9, 50)
    found = replayed(*logged)
    np.testing.assert_allclose((found.mean, found.error), slow_replayed(*logged))


def test_replay_finds_what_another_strategy_earns_within_its_error():
    """Two arms earn 0.2 and 0.6; logged half and half, asked about one to nine."""
    inside = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        arm = rng.integers(0, 2, 2000)
        rewards = (rng.random(2000) < np.where(arm == 1, 0.6, 0.2)).astype(float)
        found = replayed(rewards, np.full(2000, 0.5), np.where(arm == 1, 0.9, 0.1), np.arange(2000))
        inside += abs(found.mean - 0.56) < 1.96 * found.error
    assert inside >= 34
    assert 0 < found.n_effective < 2000


def test_what_was_logged_replays_as_itself():
    rng = np.random.default_rng(0)
    rewards, chances = rng.random(30), rng.uniform(0.2, 1, 30)
    found = replayed(rewards, chances, chances, np.arange(30))
    assert found.mean == pytest.approx(rewards.mean())
    assert found.n_effective == pytest.approx(30)


def test_nonsense_is_refused():
    ones, listeners = np.ones(3), np.arange(3)
    with pytest.raises(ParameterOutOfRange, match="propensity"):
        replayed(ones, np.array([0.0, 1, 1]), ones, listeners)
    with pytest.raises(ParameterOutOfRange, match="propensity"):
        replayed(ones, ones, 2 * ones, listeners)
    with pytest.raises(EngineFault, match="would have shown"):
        replayed(ones, ones, 0 * ones, listeners)
    with pytest.raises(ParameterOutOfRange, match="chance"):
        Planted(np.zeros(2, dtype=np.int64), np.array([[1.5]]))
    with pytest.raises(ParameterOutOfRange, match="numbered"):
        Planted(np.ones(2, dtype=np.int64), np.array([[0.5]]))
    with pytest.raises(ParameterOutOfRange, match="mean"):
        Planted.of(np.zeros((1, 2)), 1, mean=0.0)
