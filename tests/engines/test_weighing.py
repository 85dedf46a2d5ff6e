"""Weights by what engines earned: posteriors as the formula says, a bounded part of chance, nobody silent for good."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.simulation import regret
from recommender.engines.weighing import STRATEGIES, Evidence, Thompson, Uniform, adjusted, decayed

ENGINES = ("a", "b", "c")
SUMS = arrays(np.float64, (4, 3), elements=st.floats(0, 200))
SHARES = arrays(np.float64, (4, 3), elements=st.floats(0, 1))


def evidence(prior=(0.5, 0.3, 0.2), listeners=(7,), reward=None, credit=None, band_reward=None, band_credit=None):
    nothing = np.zeros((len(listeners), len(prior)))
    return Evidence(
        engines=ENGINES,
        prior=np.array(prior, dtype=float),
        listeners=np.array(listeners),
        reward=nothing if reward is None else np.array(reward, dtype=float),
        credit=nothing if credit is None else np.array(credit, dtype=float),
        band_reward=nothing[0] if band_reward is None else np.array(band_reward, dtype=float),
        band_credit=nothing[0] if band_credit is None else np.array(band_credit, dtype=float),
    )


def weights(strategy, given_evidence, seed=0):
    return strategy.weights(given_evidence, rng=np.random.default_rng(seed))


@pytest.fixture
def earned():
    """Band and listener agree that b earns most."""
    return evidence(
        reward=[[2, 8, 1]], credit=[[10, 10, 10]], band_reward=[200, 400, 200], band_credit=[1000, 1000, 1000]
    )


@settings(max_examples=40, deadline=None)
@given(credit=SUMS, share=SHARES, band=arrays(np.float64, 3, elements=st.floats(0, 1e6)), x=st.floats(0, 1))
def test_rows_are_weights_whatever_was_earned(credit, share, band, x):
    listeners = np.arange(4)
    told = evidence(
        listeners=listeners, reward=credit * share, credit=credit, band_reward=band * share[0], band_credit=band
    )
    for strategy in (*(each() for each in STRATEGIES.values()), Thompson(exploration=x)):
        rows = weights(strategy, told)
        assert rows.shape == (4, 3)
        assert (rows >= 0).all()
        np.testing.assert_allclose(rows.sum(axis=1), 1.0)


@settings(max_examples=30, deadline=None)
@given(credit=SUMS, share=SHARES, x=st.floats(0, 1), seed=st.integers(0, 99))
def test_chance_moves_no_weight_further_than_exploration(credit, share, x, seed):
    told = evidence(listeners=np.arange(4), reward=credit * share, credit=credit)
    bold = Thompson(exploration=x)
    expected = slow_weights(bold, told)
    assert np.abs(weights(bold, told, seed) - expected).max() <= x + 1e-9


def slow_weights(strategy, told):
    """Weights of the posterior means, one by one."""
    rows = []
    n, shrinkage = len(told.engines), strategy.shrinkage
    total = told.band_credit.sum()
    mean = told.band_reward.sum() / total if total else 0.5
    for reward, credit in zip(told.reward, told.credit, strict=True):
        raised, row = {}, [0.0] * n
        for e in range(n):
            prior = (1 - strategy.exploration) * told.prior[e] + strategy.exploration / n
            band = (shrinkage * mean + told.band_reward[e]) / (shrinkage + told.band_credit[e])
            band = min(max(band, 1e-3), 1 - 1e-3)
            own = (shrinkage * band + reward[e]) / (shrinkage + credit[e])
            if told.band_credit[e] > 0 or credit[e] > 0:
                raised[e] = prior * own**strategy.sharpness
            else:
                row[e] = prior
        for e, value in raised.items():
            row[e] = value / sum(raised.values()) * (1 - sum(row[other] for other in range(n) if other not in raised))
        rows.append(row)
    return np.array(rows)


def test_the_formula_by_its_slow_twin(earned):
    np.testing.assert_allclose(weights(Thompson(exploration=0.0), earned), slow_weights(Thompson(0.0), earned))


def test_the_better_paid_engine_rises_and_is_not_alone(earned):
    row = weights(Thompson(exploration=0.0), earned)[0]
    assert row[1] > 0.3
    assert row[0] < 0.5
    assert row[2] > 0


def test_evidence_outweighs_the_band_as_it_grows():
    band = {"band_reward": [100, 500, 100], "band_credit": [1000, 1000, 1000]}
    shares = [
        weights(Thompson(0.0), evidence(reward=[[n, 0, 0]], credit=[[n, n, n]], **band))[0, 0] for n in (0, 5, 50, 500)
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] > 0.9


def test_an_engine_that_nobody_credited_keeps_its_prior():
    told = evidence(reward=[[5, 1, 0]], credit=[[10, 10, 0]])
    row = weights(Thompson(exploration=0.0), told)[0]
    assert row[2] == pytest.approx(0.2)
    assert row[0] > 0.5
    np.testing.assert_allclose(weights(Thompson(0.0), evidence()), [[0.5, 0.3, 0.2]])


def test_no_engine_is_silent_for_good():
    told = evidence(prior=(1, 0, 0), reward=[[0, 90, 0]], credit=[[100, 100, 100]])
    assert weights(Thompson(exploration=0.1), told)[0, 1] > 0.5
    assert weights(Thompson(exploration=0.0), told)[0, 1] == 0


def test_a_listener_draws_alike_alone_and_in_company(earned):
    company = evidence(
        listeners=(3, 7), reward=[[9, 1, 1], [2, 8, 1]], credit=[[10, 10, 10]] * 2,
        band_reward=[200, 400, 200], band_credit=[1000, 1000, 1000],
    )  # fmt: skip
    bold = Thompson(exploration=0.5)
    assert np.array_equal(weights(bold, company)[1], weights(bold, earned)[0])
    assert np.array_equal(weights(bold, earned), weights(bold, earned))
    assert not np.array_equal(weights(bold, earned), weights(bold, earned, seed=1))


def earned_in_a_month(strategy):
    """Mean reward a shown song earned on each of 30 days, and what the best engine of each listener weighs in the end.

    Three groups of listeners like every second song of one engine's and every fifth of the others'.
    """
    rng, m = np.random.default_rng(0), 60
    listeners, groups = np.arange(m), np.arange(m) % 3
    reward, credit, days = np.zeros((m, 3)), np.zeros((m, 3)), []
    for _ in range(30):
        told = evidence(
            (1, 1, 1), listeners, reward, credit, band_reward=reward.sum(axis=0), band_credit=credit.sum(axis=0)
        )
        rows = strategy.weights(told, rng=rng)
        shown = np.array([rng.choice(3, 10, p=row) for row in rows])
        liked = rng.random(shown.shape) < np.where(shown == groups[:, None], 0.5, 0.2)
        for engine in range(3):
            reward[:, engine] += (liked & (shown == engine)).sum(axis=1)
            credit[:, engine] += (shown == engine).sum(axis=1)
        reward, credit = decayed(reward, 1, 30), decayed(credit, 1, 30)
        days.append(liked.mean())
    return np.array(days), rows[listeners, groups]


def test_each_group_comes_to_the_engine_that_serves_it_best():
    learned, on_best = earned_in_a_month(Thompson())
    alike, _ = earned_in_a_month(Uniform())
    best = np.full(30, 0.5)
    lost = regret(learned, best)
    assert np.median(on_best) > 0.7
    assert lost[-1] < 0.5 * regret(alike, best)[-1]
    assert lost[-1] - lost[19] < 0.6 * lost[9]  # the last ten days cost less than the first


def test_plain_strategies(earned):
    np.testing.assert_allclose(weights(Uniform(), earned), np.full((1, 3), 1 / 3))
    np.testing.assert_allclose(weights(STRATEGIES["accuracy"](), evidence(prior=(5, 3, 2))), [[0.5, 0.3, 0.2]])


@pytest.mark.parametrize(
    "wrong",
    [
        {"prior": (0, 0, 0)},
        {"prior": (-1, 1, 1)},
        {"prior": (np.nan, 1, 1)},
        {"reward": [[2, 0, 0]], "credit": [[1, 1, 1]]},
        {"reward": [[-1, 0, 0]], "credit": [[1, 1, 1]]},
        {"band_reward": [1, 0, 0]},
        {"band_reward": [1, 1, 1], "band_credit": [1, 1, np.inf]},
    ],
)
def test_impossible_evidence_is_refused(wrong):
    with pytest.raises(ParameterOutOfRange, match=r"prior|rewards"):
        evidence(**wrong)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("exploration", -0.1), ("exploration", 1.1), ("shrinkage", 0.0), ("sharpness", -1.0), ("sharpness", np.nan)],
)
def test_impossible_parameters_are_refused(parameter, value):
    with pytest.raises(ParameterOutOfRange, match=parameter):
        Thompson(**{parameter: value})


def test_sliders_multiply_and_a_silenced_board_stays_as_learned():
    learned = np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(adjusted(learned, [1, 1, 1]), learned)
    np.testing.assert_allclose(adjusted(learned, [0, 2, 1]), [[0, 0.75, 0.25], [1, 0, 0]])
    np.testing.assert_allclose(adjusted(learned, np.array([[2, 0, 0], [0, 0, 0]])), [[1, 0, 0], [1, 0, 0]])
    for wrong in ([-0.1, 1, 1], [1, 2.1, 1], [1, np.nan, 1]):
        with pytest.raises(ParameterOutOfRange, match="slider"):
            adjusted(learned, wrong)


def test_sums_halve_with_every_half_life():
    np.testing.assert_allclose(decayed(np.array([8.0, 2.0]), days=60, half_life_days=30), [2.0, 0.5])
    np.testing.assert_allclose(decayed(decayed(np.array([8.0]), 10, 30), 20, 30), decayed(np.array([8.0]), 30, 30))
    for days, half_life in ((-1, 30), (1, 0), (np.nan, 30)):
        with pytest.raises(ParameterOutOfRange):
            decayed(np.ones(1), days, half_life)
