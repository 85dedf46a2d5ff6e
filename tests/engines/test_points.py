"""Points that are partly unknown: middles and likeness against a slow twin that writes out every dimension."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recommender.engines.points import COUNTRY, GENRE, Points, likeness, likeness_of_pairs

N_COLUMNS, N_AXES, N_NAMES = 3, 2, (4, 2)
N_BLOCKS = N_COLUMNS + 3


def dense_vectors(songs):
    """Every dimension of each song, float64: the line, then a dimension a name."""
    names = np.eye(len(songs.name_scales))[songs.codes] * songs.name_scales
    return np.hstack([songs.line.astype(np.float64), names.sum(axis=1)])


def dense_blocks(songs):
    """The block of each dimension of `dense_vectors`."""
    return np.append(songs.line_blocks, songs.name_blocks)


def slow_middle(songs, weights):
    """The mean of each dimension over the songs of which it is known, and the known blocks."""
    vectors, blocks = dense_vectors(songs), dense_blocks(songs)
    totals = songs.known.T @ weights
    sums = vectors.T @ weights
    return np.array([sums[i] / totals[b] if totals[b] > 0 else 0.0 for i, b in enumerate(blocks)]), totals > 0


def slow_likeness(middle, known, songs, song):
    vector, blocks = dense_vectors(songs)[song], dense_blocks(songs)
    both = known & songs.known[song]
    shared, everything = songs.importance[both].sum(), songs.importance[known].sum()
    if shared == 0:
        return np.nan
    one, other = middle[both[blocks]], vector[both[blocks]]
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return (one @ other / lengths if lengths > 0 else 0.0) * shared / everything


def make_points(seed, n, missing=0.4, importance=None):
    rng = np.random.default_rng(seed)
    if importance is None:
        importance = rng.choice([0.0, 0.3, 1.0, 2.0], N_BLOCKS)
    known = rng.random((n, N_BLOCKS)) > missing
    axes = rng.normal(size=(n, N_AXES))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    line = np.hstack([rng.integers(-2, 3, (n, N_COLUMNS)), axes])
    blocks = np.minimum(np.arange(N_COLUMNS + N_AXES), N_COLUMNS)
    genres, countries = rng.integers(N_NAMES[0], size=n), N_NAMES[0] + rng.integers(N_NAMES[1], size=n)
    codes = np.where(known[:, [GENRE, COUNTRY]], np.column_stack([genres, countries]), sum(N_NAMES))
    return Points(
        (line * np.sqrt(importance)[blocks] * known[:, blocks]).astype(np.float32),
        codes.astype(np.int32),
        N_NAMES,
        known,
        importance,
    )


def make_weights(seed, m, n):
    return sparse.random_array((m, n), density=0.3, rng=np.random.default_rng(seed), format="csr")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12), missing=st.sampled_from([0.0, 0.3, 0.8, 1.0]))
def test_likeness_agrees_with_the_slow_twin(seed, n, missing):
    songs, weights = make_points(seed, n, missing), make_weights(seed, 3, n)
    middles = songs.middles(weights)
    quick = likeness(middles, songs)
    exact = likeness_of_pairs(middles, songs, np.tile(np.arange(n), (3, 1)))
    for row in range(3):
        middle, known = slow_middle(songs, weights.toarray()[row])
        assert np.allclose(np.hstack([middles.line[row], middles.names[row]]), middle)
        assert np.array_equal(middles.known[row], known)
        slow = [slow_likeness(middle, known, songs, song) for song in range(n)]
        assert np.allclose(exact[row], slow, atol=1e-6, equal_nan=True)
        assert np.allclose(quick[row], slow, atol=1e-5, equal_nan=True)


def forget(songs, block):
    """The same songs, one block of each unknown."""
    line, codes, known = songs.line.copy(), songs.codes.copy(), songs.known.copy()
    line[:, songs.line_blocks == block] = 0.0
    codes[:, [block == GENRE % N_BLOCKS, block == COUNTRY % N_BLOCKS]] = sum(N_NAMES)
    known[:, block] = False
    return Points(line, codes, songs.n_names, known, songs.importance)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), missing=st.sampled_from([0.2, 0.6]))
def test_no_song_is_nearer_than_the_share_that_is_known_of_it(seed, missing):
    songs = make_points(seed, 8, missing, importance=np.array([0.5, 1.0, 0.2, 1.0, 2.0, 0.3]))
    middles = songs.middles(make_weights(seed, 4, 8))
    shared = (middles.known * songs.importance) @ songs.known.T
    everything = (middles.known @ songs.importance)[:, None]
    likenesses = likeness(middles, songs)
    assert np.array_equal(np.isnan(likenesses), shared == 0)
    assert (np.abs(np.nan_to_num(likenesses)) * everything <= shared + 1e-5).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), block=st.integers(0, N_BLOCKS - 1))
def test_a_twin_that_lacks_a_feature_is_farther_by_its_weight(seed, block):
    songs = make_points(seed, 6, missing=0.0, importance=np.array([0.5, 1.0, 0.2, 1.0, 2.0, 0.3]))
    to_twins = np.diag(likeness(songs.alone(), forget(songs, block)))
    left = 1 - songs.importance[block] / songs.importance.sum()
    # Twins that are 0 in all columns left, and so have no direction there, cannot be: tags and names have a length.
    assert np.allclose(to_twins, left, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), block=st.integers(0, N_BLOCKS - 1))
def test_what_the_middle_does_not_know_says_nothing_of_a_song(seed, block):
    songs = make_points(seed, 8)
    middles = forget(songs, block).middles(make_weights(seed, 4, 8))
    assert np.allclose(likeness(middles, songs), likeness(middles, forget(songs, block)), atol=1e-5, equal_nan=True)


def test_a_few_at_once_are_weighed_as_all_together():
    songs = make_points(3, 20)
    middles = songs.middles(make_weights(3, 6, 20))
    every = np.tile(np.arange(20), (6, 1))
    together = likeness_of_pairs(middles, songs, every)
    for row in range(6):
        alone = songs.middles(make_weights(3, 6, 20)[[row]])
        assert np.array_equal(likeness_of_pairs(alone, songs, every[[row]])[0], together[row], equal_nan=True)
    assert np.isnan(likeness_of_pairs(middles, songs, np.full((6, 2), -1))).all()


def test_pulls_add_up_to_the_product_of_middle_and_song():
    songs = make_points(4, 10)
    weights = make_weights(4, 1, 10)
    middle, _ = slow_middle(songs, weights.toarray()[0])
    for song in range(10):
        pulls = songs.pulls(weights.indices, song, weights.data @ songs.known[weights.indices])
        assert pulls @ weights.data == pytest.approx(middle @ dense_vectors(songs)[song], abs=1e-6)


def test_nothing_to_be_in_the_middle_of():
    songs = make_points(5, 4)
    middles = songs.middles(sparse.csr_array((2, 4)))
    assert not middles.known.any()
    assert np.isnan(likeness(middles, songs)).all()
