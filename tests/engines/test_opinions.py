"""One scale and one average: the compiled loops against slow twins that say the same in whole arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from recommender.engines.opinions import Opinions, standardise, standardised

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


def slow_average(z, weights):
    averages = np.full(z.shape[1:], NAN)
    for row, song in np.ndindex(averages.shape):
        said = z[:, row, song]
        if not np.isnan(said).all():
            averages[row, song] = sum(w * s for w, s in zip(weights[row], said, strict=True) if s == s)
    return averages


@settings(max_examples=60, deadline=None)
@given(
    scores=arrays(np.float64, (3, 11), elements=VALUES, fill=VALUES),
    known=arrays(np.bool_, (3, 11)),
)
def test_standardised_as_the_slow_twin(scores, known):
    before, csr = scores.copy(), sparse.csr_array(known.astype(float))
    z = np.empty_like(scores)
    speaking = standardise(scores, csr, z)
    assert np.array_equal(speaking, (~np.isnan(scores)).any(axis=1))
    np.testing.assert_allclose(z, slow_standardised(scores, known), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(standardised(scores, csr), z)
    np.testing.assert_array_equal(scores, before)


@settings(max_examples=60, deadline=None)
@given(
    z=arrays(np.float64, (3, 2, 7), elements=VALUES, fill=VALUES),
    weights=arrays(np.float64, (2, 3), elements=st.floats(0, 1)),
)
def test_averaged_as_the_slow_twin(z, weights):
    np.testing.assert_allclose(Opinions(z, weights).scores(), slow_average(z, weights), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("factor", [1e-140, 1e-12, 1e140])
def test_the_smallest_scores_are_opinions_too(factor):
    scores = np.array([[1.0, 3.0, NAN]])
    np.testing.assert_allclose(standardised(factor * scores, sparse.csr_array((1, 3))), [[-1.0, 1.0, NAN]])


def test_tables_of_other_songs_are_refused():
    with pytest.raises(AssertionError):
        standardised(np.ones((2, 3)), sparse.csr_array((2, 4)))
