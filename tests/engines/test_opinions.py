"""One scale and one average: the compiled loops against slow twins that say the same in whole arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from recommender.engines.opinions import Opinions, following, scale

NAN = np.nan
VALUES = st.one_of(st.just(NAN), st.sampled_from([-1.0, 0.0, 0.1, 3.0]), st.floats(-1e6, 1e6, width=32))


def slow_standardised(scores, known):
    rows = []
    for own, its_known in zip(scores, known, strict=True):
        counted = own[~its_known & ~np.isnan(own)]
        mean, deviation = (counted.mean(), counted.std()) if len(counted) else (0.0, 0.0)
        flat = deviation <= 1e-12 * abs(mean)
        rows.append(0.0 * own if flat else (own - mean) / deviation)
    return np.array(rows).reshape(scores.shape)


def standardised(scores, known):
    means, factors, _ = scale(scores, known)
    return (scores - means[:, None]) * factors[:, None]


def slow_average(z, weights):
    averages = np.full(z.shape[1:], NAN)
    for row, song in np.ndindex(averages.shape):
        said = [(w, s) for w, s in zip(weights[row], z[:, row, song], strict=True) if w > 0 and s == s]
        if said:
            averages[row, song] = sum(w * s for w, s in said)
    return averages


def standing(z, weights):
    """Opinions that are on one scale already."""
    z, weights = np.asarray(z, dtype=float), np.asarray(weights, dtype=float)
    return Opinions(tuple(z), np.zeros_like(weights), np.ones_like(weights), weights)


@settings(max_examples=60, deadline=None)
@given(scores=arrays(np.float64, (3, 11), elements=VALUES, fill=VALUES), known=arrays(np.bool_, (3, 11)))
def test_standardised_as_the_slow_twin(scores, known):
    before, csr = scores.copy(), sparse.csr_array(known.astype(float))
    assert np.array_equal(scale(scores, csr)[2], (~np.isnan(scores)).sum(axis=1))
    np.testing.assert_allclose(standardised(scores, csr), slow_standardised(scores, known), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(scores, before)


@settings(max_examples=60, deadline=None)
@given(
    z=arrays(np.float64, (3, 6, 7), elements=VALUES, fill=VALUES),
    weights=arrays(np.float64, (6, 3), elements=st.floats(0, 1)),
)
def test_averaged_as_the_slow_twin(z, weights):
    np.testing.assert_allclose(standing(z, weights).scores(), slow_average(z, weights), rtol=1e-12, atol=1e-9)


def test_standardised_over_what_is_not_known():
    scores = np.array([[1.0, 3.0, 100.0, NAN], [2.0, 2.0, 2.0, NAN], [NAN, NAN, NAN, NAN]])
    known = sparse.csr_array(np.array([[0, 0, 1.0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]))
    np.testing.assert_allclose(
        standardised(scores, known), [[-1.0, 1.0, 98.0, NAN], [0.0, 0.0, 0.0, NAN], [NAN, NAN, NAN, NAN]]
    )


def test_who_says_nothing_of_anything_gives_the_weight_away():
    said = [np.array([[1.0, 2.0], [NAN, NAN]]), np.array([[5.0, NAN], [4.0, 3.0]]), np.full((2, 2), NAN)]
    opinions = Opinions.of(said, sparse.csr_array((2, 2)), [0.1, 0.3, 0.6])
    np.testing.assert_allclose(opinions.weights, [[0.25, 0.75, 0.0], [0.0, 1.0, 0.0]])


def test_a_silent_engine_gives_its_weight_and_an_absent_opinion_is_average():
    z = [[[2.0, NAN, NAN]], [[NAN, NAN, NAN]], [[1.0, 1.5, NAN]]]
    np.testing.assert_allclose(standing(z, [[0.5, 0.0, 0.5]]).scores(), [[1.5, 0.75, NAN]])


def test_where_nobody_with_a_weight_speaks_the_others_stand_in_except_the_fallback():
    said = [np.array([[1.0, 2.0]]), np.array([[NAN, NAN]]), np.array([[5.0, 4.0]]), np.array([[1.0, 3.0]])]
    weights = [0.0, 1.0, 0.0, 0.0]
    known = sparse.csr_array((1, 2))
    np.testing.assert_allclose(Opinions.of(said, known, weights, fallback=0).weights, [[0, 0, 0.5, 0.5]])
    np.testing.assert_allclose(Opinions.of(said[:2], known, weights[:2], fallback=0).weights, [[0, 0]])
    np.testing.assert_allclose(
        Opinions.of(said[:2], known, weights[:2], fallback=0).shares(np.array([[1]])), [[[1, 0]]]
    )


def test_songs_nobody_speaks_of_follow_in_the_order_of_the_fallback():
    z = [[[7.0, 1.0, 9.0, NAN, 3.0]], [[NAN, -2.0, NAN, NAN, 0.5]]]
    opinions = Opinions(tuple(np.array(z)), np.zeros((1, 2)), np.ones((1, 2)), np.array([[0.0, 1.0]]), fallback=0)
    scores = opinions.scores()[0]
    assert scores[[1, 4]].tolist() == [-2.0, 0.5]
    assert np.argsort(-scores).tolist() == [4, 1, 2, 0, 3]
    np.testing.assert_allclose(opinions.shares(np.array([[1, 2, 3]]))[0], [[0, 1], [1, 0], [1, 0]])


@settings(max_examples=40, deadline=None)
@given(
    scores=arrays(np.float64, (3, 7), elements=VALUES, fill=VALUES),
    others=arrays(np.float64, (3, 7), elements=VALUES, fill=VALUES),
)
def test_what_follows_comes_after_and_keeps_its_order(scores, others):
    filled = following(scores, others)
    assert not np.isnan(filled).any()
    there = ~np.isnan(scores)
    assert np.array_equal(filled[there], scores[there])
    for row, its_scores, its_others in zip(filled, scores, others, strict=True):
        own, rest = row[~np.isnan(its_scores)], np.flatnonzero(np.isnan(its_scores))
        assert not len(own) or (row[rest] < own.min()).all()
        ranked = [its_others[song] for song in rest[np.argsort(-row[rest], kind="stable")]]
        known = [value for value in ranked if value == value]
        assert ranked[: len(known)] == known
        np.testing.assert_allclose(known, sorted(known, reverse=True), atol=1e-6)  # lowered, they may tie


def test_one_engines_outlier_does_not_beat_what_many_agree_on():
    z = np.zeros((5, 1, 3))
    z[:, 0, 0] = 1.2
    z[1:, 0, 1] = NAN
    z[0, 0, 1] = 4.0
    scores = standing(z, np.full((1, 5), 0.2)).scores()
    assert scores[0, 0] > scores[0, 1]


def test_shares_by_hand():
    z = [[[2.0, -1.0, NAN]], [[1.0, -2.0, NAN]], [[-1.0, NAN, NAN]]]
    shares = standing(z, [[0.5, 0.25, 0.25]]).shares(np.array([[0, 1, -1]]))
    np.testing.assert_allclose(shares[0], [[0.8, 0.2, 0.0], [2 / 3, 1 / 3, 0.0], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_the_unit_of_a_score_does_not_matter(factor):
    scores, known = np.random.default_rng(0).normal(size=(3, 8)), sparse.csr_array((3, 8))
    np.testing.assert_allclose(standardised(factor * scores, known), standardised(scores, known))


@pytest.mark.parametrize("factor", [1e-140, 1e-12, 1e140])
def test_the_smallest_scores_are_opinions_too(factor):
    scores = np.array([[1.0, 3.0, NAN]])
    np.testing.assert_allclose(standardised(factor * scores, sparse.csr_array((1, 3))), [[-1.0, 1.0, NAN]])


def test_tables_of_other_songs_are_refused():
    with pytest.raises(AssertionError):
        scale(np.ones((2, 3)), sparse.csr_array((2, 4)))
