"""Lists from scores, against a slow twin; draws by chance, against their odds."""

import numpy as np
import pytest

from recommender.engines.ranking import drawn, top_n

NAN = np.nan


def slow_top_n(scores, n):
    columns, values = [], []
    for row in scores:
        order = sorted((column for column in range(len(row)) if row[column] == row[column]), key=lambda c: (-row[c], c))
        padding = max(n - len(order), 0)
        columns.append(order[:n] + [-1] * padding)
        values.append([row[column] for column in order[:n]] + [NAN] * padding)
    return np.array(columns, dtype=np.int64).reshape(len(scores), n), np.array(values, dtype=float).reshape(-1, n)


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
