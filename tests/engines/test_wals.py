"""The WALS kernel against a slow, obvious twin, and the loss that may never rise."""

from collections import deque
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from quasimusic.exceptions import TrainingDiverged
from recommender.engines.threads import bounded
from recommender.engines.weighted_mf import wals
from recommender.engines.weighted_mf.wals import SOLVERS, Problem, Side, Standing


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


def foretold(problem, rows, columns):
    """The prediction of every row with every column."""
    return (problem.mean + rows.biases)[:, None] + columns.biases + rows.factors @ columns.factors.T


def random_side(rng, n, n_factors, biased=True):
    return Side(rng.normal(size=(n, n_factors)).astype(np.float32), (rng.normal(size=n) * biased).astype(np.float32))


def solved(problem, columns, solver="exact"):
    start = Side.zeros(problem.values.shape[0], columns.factors.shape[1])
    return wals.half_step(problem, columns, start, solver)


def alike(side, other, within=1e-3):
    """Up to the rounding of single precision."""
    size = max(1.0, np.abs(other.factors).max(initial=0.0), np.abs(other.biases).max(initial=0.0))
    np.testing.assert_allclose(side.factors, other.factors, atol=within * size)
    np.testing.assert_allclose(side.biases, other.biases, atol=within * size)


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


sizes = st.sampled_from([1, 3, 16, 19])


@settings(deadline=None, max_examples=60)
@given(problem=problems, n_factors=sizes)
def test_exact_half_step_is_the_twins(problem, n_factors):
    columns = random_side(np.random.default_rng(1), problem.values.shape[1], n_factors, problem.biased)
    alike(solved(problem, columns), twin_half_step(problem, columns))


@settings(deadline=None, max_examples=30)
@given(problem=problems, n_factors=st.integers(1, 3))
def test_conjugate_gradients_come_to_the_same(problem, n_factors):
    """In as many steps as there are unknowns, and a few for rounding."""
    columns = random_side(np.random.default_rng(1), problem.values.shape[1], n_factors, problem.biased)
    side = Side.zeros(problem.values.shape[0], n_factors)
    for _ in range(8):
        side = wals.half_step(problem, columns, side, "cg")
    alike(side, twin_half_step(problem, columns))


@pytest.mark.parametrize("n_entries", [0, 1, 3, 4, 127, 128, 129, 300])
@pytest.mark.parametrize("n_factors", [5, 40])
def test_rows_of_any_length(n_entries, n_factors):
    """Entries are taken four at a time, or in chunks; nothing of a row may fall between."""
    rng = np.random.default_rng(n_entries)
    chosen = np.sort(rng.choice(400, n_entries, replace=False))
    entries = (rng.uniform(0.0, 1.0, n_entries), (np.full(n_entries, 1), chosen))
    values = sparse.csr_array(entries, shape=(3, 400))
    weights = sparse.csr_array((rng.uniform(0.0, 4.0, n_entries), values.indices, values.indptr), shape=(3, 400))
    problem = Problem(values, weights, 0.1, 0.5, 0.2)
    columns = Side.random(400, n_factors, rng)
    expected = twin_half_step(problem, columns)
    alike(solved(problem, columns), expected)
    side = Side.zeros(3, n_factors)
    for _ in range(40):
        side = wals.half_step(problem, columns, side, "cg")
    alike(side, expected)


@settings(deadline=None, max_examples=60)
@given(problem=problems, n_factors=st.integers(1, 4))
def test_loss_is_the_twins(problem, n_factors):
    rng = np.random.default_rng(2)
    m, n = problem.values.shape
    rows, columns = random_side(rng, m, n_factors), random_side(rng, n, n_factors)
    assert wals.loss(problem, rows, columns) == pytest.approx(twin_loss(problem, rows, columns), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
@settings(deadline=None, max_examples=40)
@given(problem=problems, n_factors=st.integers(1, 4), seed=st.integers(0, 1000))
def test_loss_never_rises(solver, problem, n_factors, seed):
    rng = np.random.default_rng(seed)
    m, n = problem.values.shape
    rows, columns = Side.random(m, n_factors, rng), Side.random(n, n_factors, rng)
    before = wals.loss(problem, rows, columns)
    for _ in range(4):
        rows = wals.half_step(problem, columns, rows, solver)
        between = wals.loss(problem, rows, columns)
        columns = wals.half_step(problem.transposed, rows, columns, solver)
        after = wals.loss(problem, rows, columns)
        assert between <= before * (1 + 1e-4) + 1e-4
        assert after <= between * (1 + 1e-4) + 1e-4
        before = after


def test_both_solvers_end_at_the_same_loss():
    problem = make_problem(5, m=300, n=200, density=0.1, regularisation=2.0)
    ends = [deque(islice(wals.iterate(problem, 16, np.random.default_rng(0), solver), 20), 1)[0] for solver in SOLVERS]
    exact, by_gradients = (wals.loss(problem, *end) for end in ends)
    assert by_gradients == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_neither_blocks_nor_threads_change_a_row(solver, monkeypatch):
    problem = make_problem(3, m=70, n=30)
    columns = random_side(np.random.default_rng(0), 30, 3)
    with bounded(1):
        whole = solved(problem, columns, solver)
    monkeypatch.setattr(wals, "BLOCK", 100)
    assert len(wals.cut(problem)) > 10
    with bounded(3):
        pieces = solved(problem, columns, solver)
    np.testing.assert_array_equal(pieces.factors, whole.factors)
    np.testing.assert_array_equal(pieces.biases, whole.biases)


@pytest.mark.parametrize("m", [0, 1, 500])
def test_blocks_are_all_rows_once(m):
    problem = make_problem(0, m=m, n=5) if m > 1 else make_problem(0, m=2, n=5).rows(slice(0, m))
    rows = [row for block in wals.cut(problem) for row in range(block.start, block.stop)]
    assert rows == list(range(m))


@pytest.mark.parametrize("rows", [np.array([5, 0, 7]), slice(4, 9)])
def test_some_rows_alone_are_solved_as_among_all(rows):
    problem = make_problem(4, m=20)
    columns = random_side(np.random.default_rng(0), 9, 3)
    standing = Standing.of(problem, columns)
    whole, some = wals.solve_rows(problem, standing), wals.solve_rows(problem.rows(rows), standing)
    np.testing.assert_array_equal(some.factors, whole.factors[rows])


def test_observed_zero_is_not_an_unobserved_one():
    """A rating of the lowest level must pull with its own weight."""
    values = sparse.csr_array((np.array([0.0]), ([0], [0])), shape=(1, 2))
    weights = sparse.csr_array((np.array([5.0]), ([0], [0])), shape=(1, 2))
    problem = Problem(values, weights, w0=0.1, regularisation=0.5, mean=1.0)
    columns = Side(np.array([[1.0], [0.3]]), np.zeros(2))
    alike(solved(problem, columns), twin_half_step(problem, columns), within=1e-6)


def test_nothing_is_held_in_double_precision_or_twice():
    problem = make_problem(2)
    for side in (problem, problem.transposed):
        assert side.values.dtype == side.weights.dtype == np.float32
        assert side.values.indices.dtype == np.int32
        assert np.shares_memory(side.values.indices, side.weights.indices)
    again = Problem(problem.values, problem.weights, 0.3, 0.5, 0.0)
    assert np.shares_memory(again.values.data, problem.values.data)
    assert np.shares_memory(again.weights.data, problem.weights.data)


def test_attribution_sums_to_the_prediction():
    problem = make_problem(6, density=0.7, count_power=0.5, bias_share=0.2)
    columns = random_side(np.random.default_rng(0), 9, 3)
    rows = solved(problem, columns)
    predicted = foretold(problem, rows, columns)
    standing = Standing.of(problem, columns)
    for row, column in ((2, 3), (5, 0), (0, 4)):
        observed, summands, rest = wals.attribute(problem, standing, row, column)
        assert observed.tolist() == problem.values[[row]].indices.tolist()
        assert summands.sum() + rest == pytest.approx(predicted[row, column], rel=1e-4, abs=1e-4)


def test_factors_that_are_no_longer_finite_are_named():
    problem = make_problem(7)
    overflowing = Problem(problem.values, problem.weights * 1e37, 0.3, 0.5, 0.0)
    with pytest.raises(TrainingDiverged, match="raise the regularisation"):
        list(islice(wals.iterate(overflowing, 3, np.random.default_rng(0)), 3))


def test_a_lambda_below_the_resolution_still_solves():
    """Fewer entries than factors and next to no penalty: the matrix is singular in single precision."""
    problem = make_problem(9, m=30, n=40, density=0.1, w0=0.0, regularisation=1e-6)
    listeners, songs = list(islice(wals.iterate(problem, 20, np.random.default_rng(0)), 5))[-1]
    observed = problem.values.tocoo()
    predicted = foretold(problem, listeners, songs)[observed.coords]
    assert np.sqrt(np.mean((predicted - observed.data) ** 2)) < 0.1


def test_recovers_a_planted_factorisation():
    rng = np.random.default_rng(8)
    truth = 3.0 + rng.normal(size=(40, 2)) @ rng.normal(size=(2, 50))
    rows, columns = np.nonzero(rng.random(truth.shape) < 0.5)
    values = sparse.csr_array((truth[rows, columns], (rows, columns)), shape=truth.shape)
    weights = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=truth.shape)
    problem = Problem(values, weights, 0.0, 0.01, wals.weighted_mean(values, weights, 0.0))
    listeners, songs = list(islice(wals.iterate(problem, 2, rng), 100))[-1]
    errors = foretold(problem, listeners, songs) - truth
    assert np.sqrt(np.mean(errors**2)) < 0.1 * truth.std()
