"""Learned blends: the judge counts as the metrics do, gains are found, and what is not certain is not taken."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recommender.engines.hybrid import Hybrid, Rules, fit_engines
from recommender.engines.metrics import evaluate
from recommender.engines.splits import split
from recommender.engines.stacking import DISCOUNTS, Trial, learn_blend
from recommender.engines.tables import Tables

NAN = np.nan
N_CANDIDATES = 40
OPINIONS = st.one_of(st.just(NAN), st.floats(-3, 5, width=32))


def made(z, held, artists=None, max_per_artist=0):
    """A trial of m listeners with the same number of candidates each: z (m, c, e), held (m, c)."""
    m, c, e = z.shape
    n_held = np.minimum(np.maximum(held.sum(axis=1), 1), len(DISCOUNTS))
    return Trial(
        listeners=np.arange(m),
        starts=np.arange(m + 1) * c,
        z=z.reshape(m * c, e),
        held=held.ravel(),
        artists=np.full(m * c, -1) if artists is None else artists.ravel(),
        ideal=np.cumsum(DISCOUNTS)[n_held - 1],
        max_per_artist=max_per_artist,
    )


def slow_ndcg(z, held, artists, cap, weights):
    scored = []
    for song, said in enumerate(z):
        spoken = [w * s for w, s in zip(weights, said, strict=True) if w > 0 and s == s]
        if spoken:
            scored.append((-sum(spoken), song))
    listed = []
    for _, song in sorted(scored):
        alike = [other for other in listed if artists[other] == artists[song] >= 0]
        if len(listed) < 10 and (not cap or len(alike) < cap):
            listed.append(song)
    gain = sum(DISCOUNTS[place] for place, song in enumerate(listed) if held[song])
    return gain / DISCOUNTS[: min(max(held.sum(), 1), 10)].sum()


@settings(max_examples=40, deadline=None)
@given(
    z=arrays(np.float64, (2, 25, 3), elements=OPINIONS, fill=OPINIONS),
    held=arrays(np.bool_, (2, 25)),
    artists=arrays(np.int64, (2, 25), elements=st.integers(-1, 5)),
    cap=st.integers(0, 2),
)
def test_the_judge_agrees_with_the_slow_twin(z, held, artists, cap):
    weights = np.array([0.5, 0.0, 0.5])
    judged = made(z, held, artists, cap).ndcg(weights)
    slow = [slow_ndcg(*each, cap, weights) for each in zip(z, held, artists, strict=True)]
    np.testing.assert_allclose(judged, slow)


@pytest.mark.parametrize("name", ["item_based", "coolstart"])
def test_the_judge_agrees_with_the_metrics_on_fitted_engines(planted, name):
    train, held_out = split(planted, rng=np.random.default_rng(0))
    engines, _ = fit_engines(train, rng=np.random.default_rng(0))
    alone = np.array([float(other == name) for other in engines])
    judged = Trial.of(engines, held_out, 2).ndcg(alone)
    metrics = evaluate(Hybrid({name: engines[name]}, rules=Rules(max_per_artist=2)), held_out)
    np.testing.assert_allclose(judged, metrics.values["ndcg"])
    blend = np.full(len(engines), 1 / len(engines))
    whole = evaluate(Hybrid(engines, rules=Rules(max_per_artist=None)), held_out)
    np.testing.assert_allclose(Trial.of(engines, held_out).ndcg(blend), whole.values["ndcg"], atol=1e-9)


def world(m, signal, seed=0):
    """Listeners for whom each engine is right as far as its signal goes, about one song in five."""
    rng = np.random.default_rng(seed)
    truth = rng.random((m, N_CANDIDATES)) < 0.2
    z = rng.normal(0, 1, (m, N_CANDIDATES, len(signal))) + truth[:, :, None] * np.array(signal)
    return made(z, truth)


def learned(trial, seed=0, last=None):
    return learn_blend([trial], np.random.default_rng(seed), last)


def test_two_engines_that_know_different_things_are_blended_and_a_blind_one_is_not():
    trial = world(400, [1.0, 1.0, 0.0])
    blend = learned(trial)
    assert blend.sum() == pytest.approx(1)
    assert min(blend[:2]) > 0.3
    assert blend[2] < 0.1
    assert world(400, [1.0, 1.0, 0.0], seed=1).ndcg(blend).mean() > trial.ndcg(np.eye(3)[0]).mean() + 0.05


def test_the_best_single_engine_stays_where_the_others_add_nothing():
    assert learned(world(300, [2.0, 0.0, -1.0])).tolist() == [1, 0, 0]


def test_few_listeners_can_be_told_nothing_uncertain():
    """Noise fits four listeners well; on others the blend would lose."""
    kept = [learned(world(4, [1.5, 0.0, 0.0, 0.0], seed), seed)[0] for seed in range(10)]
    assert np.mean(np.array(kept) > 0.6) >= 0.8


def test_the_last_is_heard_only_where_it_adds():
    assert learned(world(300, [1.0, 0.0]), last=1).tolist() == [1, 0]
    assert learned(world(300, [1.0, 1.0]), last=1)[1] > 0.3


def test_the_same_chance_learns_the_same():
    trial = world(60, [1.0, 0.8, 0.2])
    assert np.array_equal(learned(trial, seed=3), learned(trial, seed=3))


def test_among_keeps_whole_listeners():
    trial = world(6, [1.0, 0.5])
    kept = np.array([True, False, True, True, False, False])
    blend = np.array([0.5, 0.5])
    np.testing.assert_array_equal(trial.among(kept).ndcg(blend), trial.ndcg(blend)[kept])
    assert trial.among(kept).listeners.tolist() == [0, 2, 3]


def test_one_listener_is_enough_to_learn_from():
    history = pd.DataFrame({"user_id": 1, "song_id": range(6), "repetition": 1})
    hybrid = Hybrid.fit(Tables.from_frames(history=history), rng=np.random.default_rng(0))
    assert sum(hybrid.weights.values()) == pytest.approx(1)
