"""Lists from scores, against a slow twin; draws by chance, against their odds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from recommender.engines import ranking
from recommender.engines.ranking import best_products, capped_top_n, drawn, interleaved_top_n, top_n
from recommender.engines.threads import bounded

NAN = np.nan


def slow_top_n(scores, n):
    columns, values = [], []
    for row in scores:
        order = sorted((column for column in range(len(row)) if row[column] == row[column]), key=lambda c: (-row[c], c))
        padding = max(n - len(order), 0)
        columns.append(order[:n] + [-1] * padding)
        values.append([row[column] for column in order[:n]] + [NAN] * padding)
    shape = len(scores), n
    return np.array(columns, dtype=np.int64).reshape(shape), np.array(values, dtype=float).reshape(shape)


@pytest.mark.parametrize("shape", [(4, 30), (3, 2), (0, 5), (3, 0), (1, 1), (50, 12)])
@pytest.mark.parametrize("n", [1, 5, 12])
@pytest.mark.parametrize("n_values", [1, 3, 1000])
def test_agrees_with_the_slow_twin(shape, n, n_values):
    rng = np.random.default_rng(shape[0] + n + n_values)
    scores = rng.integers(-n_values, n_values, shape) / 7
    scores[rng.random(shape) < 0.3] = NAN
    columns, values = top_n(scores, n)
    slow_columns, slow_values = slow_top_n(scores, n)
    assert np.array_equal(columns, slow_columns)
    assert np.array_equal(values, slow_values, equal_nan=True)


def test_ties_fall_to_the_lower_column():
    columns, _ = top_n(np.array([[1.0, 2.0, 1.0, 2.0, 1.0]]), 4)
    assert columns.tolist() == [[1, 3, 0, 2]]


SCORES = st.sampled_from([NAN, -np.inf, -2.0, 0.0, -0.0, 0.5, 0.5 + 2**-20, 3.0, np.inf])


@settings(max_examples=100, deadline=None)
@given(
    data=st.data(),
    dtype=st.sampled_from([np.float32, np.float64]),
    # Around the stretches that are passed over at once, and lists longer than the row.
    k=st.sampled_from([0, 1, 9, ranking.STRETCH - 1, ranking.STRETCH, ranking.STRETCH + 1, 3 * ranking.STRETCH + 5]),
    n=st.sampled_from([1, 2, 7, 40, 600]),
)
def test_any_scores_agree_with_the_slow_twin(data, dtype, k, n):
    scores = data.draw(arrays(dtype, (2, k), elements=SCORES.map(dtype), fill=SCORES.map(dtype)))
    columns, values = top_n(scores, n)
    slow_columns, slow_values = slow_top_n(scores, n)
    assert np.array_equal(columns, slow_columns)
    assert np.array_equal(values, slow_values, equal_nan=True)
    assert (columns.dtype, values.dtype) == (np.int64, np.float64)


def test_a_view_is_listed_as_its_copy():
    scores = np.random.default_rng(0).normal(size=(300, 6)).T
    assert np.array_equal(top_n(scores, 5)[0], top_n(scores.copy(), 5)[0])


def slow_best_products(left, right, n, excluded):
    scores = np.array([[sum(map(float.__mul__, a, b)) for b in right.astype(float).tolist()] for a in left.tolist()])
    scores = scores.reshape(len(left), len(right))
    scores[excluded.toarray() > 0] = NAN
    return slow_top_n(scores, n)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    shape=st.sampled_from([(0, 5), (1, 1), (1, 40), (3, 0), (9, 40)]),
    n=st.sampled_from([1, 4, 50]),
    density=st.sampled_from([0.0, 0.3, 1.0]),
    n_nan=st.integers(0, 2),
)
def test_products_agree_with_the_slow_twin(seed, shape, n, density, n_nan):
    """Small whole numbers are exact in either precision, and tie all the time."""
    rng = np.random.default_rng(seed)
    m, k = shape
    left, right = (rng.integers(-2, 3, (size, 3)).astype(np.float32) for size in shape)
    left[rng.permutation(m)[: n_nan // 2]] = NAN
    right[rng.permutation(k)[:n_nan], 0] = NAN
    excluded = sparse.random_array((m, k), density=density, rng=rng, format="csr")
    excluded.sort_indices()
    columns, products = best_products(left, right, n, excluded)
    slow_columns, slow_products = slow_best_products(left, right, n, excluded)
    assert np.array_equal(columns, slow_columns)
    assert np.array_equal(products, slow_products, equal_nan=True)


@pytest.mark.parametrize("tile", [(1, 1), (7, 16), (64, 100), (512, 512)])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_neither_tiles_nor_threads_change_a_list(monkeypatch, tile, n_threads):
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=(size, 8)).astype(np.float32) for size in (90, 700))
    excluded = sparse.random_array((90, 700), density=0.1, rng=rng, format="csr")
    excluded.sort_indices()
    whole = np.where(excluded.toarray() > 0, NAN, left.astype(np.float64) @ right.T.astype(np.float64))
    monkeypatch.setattr(ranking, "TILE", tile)
    with bounded(n_threads):
        columns, products = best_products(left, right, 12, excluded)
    slow_columns, slow_products = slow_top_n(whole, 12)
    assert np.array_equal(columns, slow_columns)
    np.testing.assert_allclose(products, slow_products, rtol=1e-12)


def test_rounding_hides_no_song_from_the_list():
    """Closer together than single precision tells apart once the large bias is added, and a list all the same."""
    left = np.array([[1.0, 1.0]], dtype=np.float32)
    right = np.column_stack([np.full(5, 2.0**24), [0.1, 0.3, 0.2, 0.0, 0.3]]).astype(np.float32)
    assert best_products(left, right, 3)[0].tolist() == [[1, 4, 2]]


def test_products_of_other_shapes_are_refused():
    ones = np.ones((2, 3), dtype=np.float32)
    with pytest.raises(AssertionError):
        best_products(ones, ones[:, :2], 1)
    with pytest.raises(AssertionError):
        best_products(ones.astype(np.float64), ones, 1)
    with pytest.raises(AssertionError):
        best_products(ones, ones, 1, sparse.csr_array((3, 2)))


def slow_interleaved(row, others, n, reserved, artists, max_per_artist):
    """Place by place: of all that is left, the first that is allowed."""
    ranked, spare = (slow_ranked(each) for each in (row, others))
    listed = []
    for place in range(n):
        allowed = [
            [column for column in kind if column not in listed and not crowded(column, listed, artists, max_per_artist)]
            for kind in (ranked, spare)
        ]
        wanted = allowed[::-1] if reserved[place] else allowed
        found = wanted[0] or wanted[1]
        if not found:
            break
        listed.append(found[0])
    return listed + [-1] * (n - len(listed))


def slow_ranked(row):
    return [column for column in slow_top_n(row[None], max(len(row), 1))[0][0].tolist() if column >= 0]


def crowded(column, listed, artists, max_per_artist):
    near = [other for other in listed[-9:] if artists[other] == artists[column] >= 0]
    return len(near) >= max_per_artist


@settings(max_examples=80, deadline=None)
@given(
    data=st.data(),
    k=st.sampled_from([0, 1, 12, 60]),
    n=st.integers(1, 24),
    n_artists=st.integers(1, 12),
    max_per_artist=st.integers(1, 3),
)
def test_capped_lists_agree_with_the_slow_twin(data, k, n, n_artists, max_per_artist):
    scores = data.draw(arrays(np.float64, (3, k), elements=SCORES, fill=SCORES))
    artists = data.draw(arrays(np.int64, k, elements=st.integers(-1, n_artists - 2)))
    columns, values = capped_top_n(scores, n, artists, max_per_artist)
    nobody, none = np.full(0, NAN), np.zeros(n, bool)
    slow = [slow_interleaved(row, nobody, n, none, artists, max_per_artist) for row in scores]
    assert columns.tolist() == slow
    for row, listed, its_values in zip(scores, columns, values, strict=True):
        assert its_values[listed >= 0].tolist() == row[listed[listed >= 0]].tolist()
        assert np.isnan(its_values[listed < 0]).all()


@settings(max_examples=60, deadline=None)
@given(data=st.data(), k=st.sampled_from([1, 12, 60]), n=st.integers(1, 24), max_per_artist=st.integers(1, 3))
def test_interleaved_lists_agree_with_the_slow_twin(data, k, n, max_per_artist):
    every = data.draw(arrays(np.float64, (2, k), elements=SCORES, fill=SCORES))
    other = data.draw(arrays(np.bool_, k))
    artists = data.draw(arrays(np.int64, k, elements=st.integers(-1, 8)))
    reserved = data.draw(arrays(np.bool_, n))
    scores, others = np.where(other, NAN, every), np.where(other, every, NAN)
    columns = interleaved_top_n(scores, others, reserved, artists, max_per_artist)
    assert columns.tolist() == [
        slow_interleaved(row, its_others, n, reserved, artists, max_per_artist)
        for row, its_others in zip(scores, others, strict=True)
    ]


def test_top_n_is_no_draw():
    scores = np.array([[0.3, NAN, 0.1]])
    assert drawn(scores, "top_n", 1, np.array([0])) is scores


@pytest.mark.parametrize(("sampling", "odds"), [("uniform", [1 / 3] * 3), ("distribution", [0.6, 0.3, 0.1])])
def test_the_first_is_drawn_by_its_odds(sampling, odds):
    n_listeners = 6000
    scores = np.tile([0.6, NAN, 0.3, 0.1], (n_listeners, 1))
    keys = drawn(scores, sampling, 5, np.arange(n_listeners))
    assert np.isnan(keys[:, 1]).all()
    first = np.bincount(top_n(keys, 1)[0][:, 0], minlength=4) / n_listeners
    assert np.allclose(first[[0, 2, 3]], odds, atol=0.03)
    known = keys[~np.isnan(keys)]
    assert ((known >= 0) & (known <= 1)).all()


def test_what_has_no_chance_is_drawn_last():
    keys = drawn(np.array([[0.0, 0.001, 0.0]]), "distribution", 5, np.array([0]))
    assert top_n(keys, 1)[0].tolist() == [[1]]


def test_a_listener_draws_alike_alone_and_in_company():
    scores = np.random.default_rng(0).random((3, 8))
    together = drawn(scores, "distribution", 9, np.array([4, 2, 7]))
    assert np.array_equal(together[[1]], drawn(scores[[1]], "distribution", 9, np.array([2])))
    assert not np.array_equal(together, drawn(scores, "distribution", 10, np.array([4, 2, 7])))
