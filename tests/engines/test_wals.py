"""The WALS kernel against a slow, obvious twin, and the loss that may never rise."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recommender.engines.weighted_mf import wals
from recommender.engines.weighted_mf.wals import Problem, Side, Standing


def make_problem(seed, m=7, n=9, density=0.4, w0=0.3, regularisation=0.5, biased=True, count_power=0.0, bias_share=1.0):
    """A random problem in which row 0 and column 0 are empty and row 1 has at most one entry."""
    rng = np.random.default_rng(seed)
    seen = rng.random((m, n)) < density
    seen[0], seen[:, 0] = False, False
    seen[1, 2:] = False
    rows, columns = np.nonzero(seen)
    values = sparse.csr_array((rng.choice([0.0, 0.25, 1.0, 3.0], len(rows)), (rows, columns)), shape=(m, n))
    weights = sparse.csr_array((rng.uniform(0.0, 4.0, len(rows)), (rows, columns)), shape=(m, n))
    mean = wals.weighted_mean(values, weights, w0)
    return Problem(values, weights, w0, regularisation, mean, biased, count_power, bias_share)


def dense(problem):
    """X and W in full, with an observed entry told from an unobserved one by its place, not its value."""
    X = problem.values.toarray()
    W = np.full(X.shape, problem.w0)
    rows, columns = problem.values.tocoo().coords
    W[rows, columns] = problem.weights.data
    return X, W


def twin_penalty(problem, i):
    """Lambda of row i."""
    return problem.regularisation * max(len(problem.values[[i]].indices), 1) ** problem.count_power


def twin_half_step(problem, columns):
    """Every row's weighted ridge regression, written out entry by entry."""
    X, W = dense(problem)
    n_factors = columns.factors.shape[1]
    factors, biases = np.zeros((X.shape[0], n_factors)), np.zeros(X.shape[0])
    for i in range(X.shape[0]):
        width = n_factors + problem.biased
        A, right = twin_penalty(problem, i) * np.eye(width), np.zeros(width)
        A[n_factors:] *= problem.bias_share
        for j in range(X.shape[1]):
            f = np.append(columns.factors[j], 1.0)[:width]
            A += W[i, j] * np.outer(f, f)
            right += W[i, j] * (X[i, j] - problem.mean - columns.biases[j]) * f
        solution = np.linalg.solve(A, right)
        factors[i] = solution[:n_factors]
        biases[i] = solution[n_factors] if problem.biased else 0.0
    return Side(factors, biases)


def twin_loss(problem, rows, columns):
    X, W = dense(problem)
    total = 0.0
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            predicted = problem.mean + rows.biases[i] + columns.biases[j] + rows.factors[i] @ columns.factors[j]
            total += W[i, j] * (X[i, j] - predicted) ** 2
    for side, its_rows in ((problem, rows), (problem.transposed, columns)):
        for i in range(len(its_rows.biases)):
            size = (its_rows.factors[i] ** 2).sum() + problem.bias_share * its_rows.biases[i] ** 2
            total += twin_penalty(side, i) * size
    return total


def random_side(rng, n, n_factors, biased=True):
    return Side(rng.normal(size=(n, n_factors)), rng.normal(size=n) * biased)


problems = st.builds(
    make_problem,
    seed=st.integers(0, 10_000),
    m=st.integers(2, 9),
    n=st.integers(2, 9),
    density=st.sampled_from([0.0, 0.2, 0.6, 1.0]),
    w0=st.sampled_from([0.0, 0.05, 1.0]),
    regularisation=st.sampled_from([0.01, 0.3, 5.0]),
    biased=st.booleans(),
    count_power=st.sampled_from([0.0, 0.5, 1.0]),
    bias_share=st.sampled_from([1.0, 0.2]),
)


@settings(deadline=None, max_examples=60)
@given(problem=problems, n_factors=st.integers(1, 4))
def test_half_step_is_the_twins(problem, n_factors):
    columns = random_side(np.random.default_rng(1), problem.values.shape[1], n_factors, problem.biased)
    fast, slow = wals.half_step(problem, columns), twin_half_step(problem, columns)
    np.testing.assert_allclose(fast.factors, slow.factors, atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(fast.biases, slow.biases, atol=1e-6, rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(problem=problems, n_factors=st.integers(1, 4))
def test_loss_is_the_twins(problem, n_factors):
    rng = np.random.default_rng(2)
    m, n = problem.values.shape
    rows, columns = random_side(rng, m, n_factors), random_side(rng, n, n_factors)
    assert wals.loss(problem, rows, columns) == pytest.approx(twin_loss(problem, rows, columns), rel=1e-9)


@settings(deadline=None, max_examples=40)
@given(problem=problems, n_factors=st.integers(1, 4), seed=st.integers(0, 1000))
def test_loss_never_rises(problem, n_factors, seed):
    rng = np.random.default_rng(seed)
    m, n = problem.values.shape
    rows, columns = Side.random(m, n_factors, rng), Side.random(n, n_factors, rng)
    before = wals.loss(problem, rows, columns)
    for _ in range(4):
        rows = wals.half_step(problem, columns)
        between = wals.loss(problem, rows, columns)
        columns = wals.half_step(problem.transposed, rows)
        after = wals.loss(problem, rows, columns)
        assert between <= before + 1e-9 * abs(before)
        assert after <= between + 1e-9 * abs(between)
        before = after


def test_rows_in_many_batches_are_those_in_one(monkeypatch):
    problem = make_problem(3, m=40, n=30)
    columns = random_side(np.random.default_rng(0), 30, 3)
    whole = wals.half_step(problem, columns)
    monkeypatch.setattr(wals, "BATCH_FLOATS", 1)
    pieces = wals.half_step(problem, columns)
    np.testing.assert_allclose(pieces.factors, whole.factors, atol=1e-12)
    np.testing.assert_allclose(pieces.biases, whole.biases, atol=1e-12)


def test_some_rows_alone_are_solved_as_among_all():
    problem = make_problem(4, m=20)
    columns = random_side(np.random.default_rng(0), 9, 3)
    whole, some = wals.half_step(problem, columns), wals.half_step(problem.rows(np.array([5, 0, 7])), columns)
    np.testing.assert_allclose(some.factors, whole.factors[[5, 0, 7]], atol=1e-12)


def test_observed_zero_is_not_an_unobserved_one():
    """A rating of the lowest level must pull with its own weight."""
    values = sparse.csr_array((np.array([0.0]), ([0], [0])), shape=(1, 2))
    weights = sparse.csr_array((np.array([5.0]), ([0], [0])), shape=(1, 2))
    problem = Problem(values, weights, w0=0.1, regularisation=0.5, mean=1.0)
    columns = Side(np.array([[1.0], [0.3]]), np.zeros(2))
    np.testing.assert_allclose(wals.half_step(problem, columns).factors, twin_half_step(problem, columns).factors)


def test_attribution_sums_to_the_prediction():
    problem = make_problem(6, density=0.7)
    columns = random_side(np.random.default_rng(0), 9, 3)
    rows = wals.half_step(problem, columns)
    predicted = wals.predict(problem.mean, rows, columns)
    standing = Standing.of(problem, columns)
    for row, column in ((2, 3), (5, 0), (0, 4)):
        observed, summands, rest = wals.attribute(problem, standing, row, column)
        assert observed.tolist() == problem.values[[row]].indices.tolist()
        assert summands.sum() + rest == pytest.approx(predicted[row, column])


def test_recovers_a_planted_factorisation():
    rng = np.random.default_rng(8)
    truth = 3.0 + rng.normal(size=(40, 2)) @ rng.normal(size=(2, 50))
    rows, columns = np.nonzero(rng.random(truth.shape) < 0.5)
    values = sparse.csr_array((truth[rows, columns], (rows, columns)), shape=truth.shape)
    weights = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=truth.shape)
    problem = Problem(values, weights, 0.0, 0.01, wals.weighted_mean(values, weights, 0.0))
    listeners, songs = list(islice(wals.iterate(problem, 2, rng), 100))[-1]
    errors = wals.predict(problem.mean, listeners, songs) - truth
    assert np.sqrt(np.mean(errors**2)) < 0.1 * truth.std()
