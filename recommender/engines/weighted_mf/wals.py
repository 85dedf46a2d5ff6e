"""Weighted alternating least squares: the kernel of `weighted_mf`.

The loss, over all listeners i and songs j (observed or not):

    L = sum_ij W_ij (X_ij - b - bu_i - bv_j - u_i . v_j)^2
        + sum_i lambda_i (|u_i|^2 + s bu_i^2) + sum_j lambda_j (|v_j|^2 + s bv_j^2)

where lambda_i = lambda n_i^p, n_i being the observed entries of the row, and likewise of the column: p = 0 and s = 1
give the plain lambda (|U|^2 + |V|^2 + |bu|^2 + |bv|^2).
W holds a weight per observed entry and one weight w0 for all unobserved ones, where X = 0. The sums over
unobserved entries are those over all entries (one shared Gram matrix) corrected at the observed ones, so a
half-step costs O(nnz K^2 + rows K^3) and no listeners x songs array ever stands in memory.

Sources: Hu, Koren, Volinsky, "Collaborative filtering for implicit feedback datasets" (2008), for the Gram
matrix; Koren, "Collaborative filtering with temporal dynamics" (2009), for the biases. The biases are learned
in the same normal equations: a row's unknowns are [u_i, bu_i] against the design [v_j, 1].
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from recommender.engines.tables import Floats, Rows

BATCH_FLOATS = 1 << 21  # the largest block gathered at once: 16 MiB


@dataclass(frozen=True, eq=False)
class Side:
    """What is learned of one side: factors float64 (n, K) and biases float64 (n,)."""

    factors: Floats
    biases: Floats

    @classmethod
    def random(cls, n: int, n_factors: int, rng: np.random.Generator) -> "Side":
        """Small random factors (a start at zero would never move), no biases."""
        return cls(rng.normal(0.0, 1.0 / np.sqrt(n_factors), (n, n_factors)), np.zeros(n))


@dataclass(frozen=True, eq=False)
class Problem:
    """What a factorisation is asked to approximate.

    values : CSR float64 (m, n), X at the observed entries; a stored 0 is an observed 0.
    weights : CSR float64 (m, n), W >= 0 at the same entries.
    w0 : weight of every unobserved entry, >= 0; 0 leaves them out.
    regularisation : lambda, > 0.
    count_power : p, how a row's lambda grows with its observed entries (one with none counts as having one).
    bias_share : s, the bias's lambda over the factors', > 0.
    mean : b, the constant of the loss.
    biased : whether rows and columns have a bias of their own.
    """

    values: sparse.csr_array
    weights: sparse.csr_array
    w0: float
    regularisation: float
    mean: float
    biased: bool = True
    count_power: float = 0.0
    bias_share: float = 1.0

    def __post_init__(self) -> None:
        assert np.array_equal(self.values.indptr, self.weights.indptr)
        assert np.array_equal(self.values.indices, self.weights.indices)

    @cached_property
    def transposed(self) -> "Problem":
        """The same problem with the sides exchanged."""
        return replace(self, values=self.values.T.tocsr(), weights=self.weights.T.tocsr())

    @cached_property
    def penalties(self) -> Floats:
        """Lambda of each row, float64 (m,)."""
        counts: Floats = np.maximum(np.diff(self.values.indptr), 1).astype(np.float64)
        return self.regularisation * counts**self.count_power

    def shares(self, n_factors: int) -> Floats:
        """What the lambda of a row is multiplied by for each of its unknowns, float64 (d,)."""
        return np.append(np.ones(n_factors), self.bias_share)[: n_factors + self.biased]

    def rows(self, rows: Rows) -> "Problem":
        """The same problem for some rows only."""
        return replace(self, values=self.values[rows], weights=self.weights[rows])


@dataclass(frozen=True, eq=False)
class Standing:
    """The columns while they stand still: all that the rows' normal equations share.

    design : float64 (n, d), what a row's unknowns are multiplied by, d = K + 1 with biases and K without.
    offset : float64 (n,), what stands beside them: b + bv_j.
    gram : float64 (d, d), the matrix of a row without observed entries; pull : float64 (d,), its right-hand side.
    shares : float64 (d,), what a row adds to the matrix's diagonal, over its lambda.
    """

    design: Floats
    offset: Floats
    gram: Floats
    pull: Floats
    shares: Floats

    @classmethod
    def of(cls, problem: Problem, columns: Side) -> "Standing":
        """These columns in this problem."""
        n = problem.values.shape[1]
        assert len(columns.factors) == len(columns.biases) == n, (columns.factors.shape, n)
        design = np.hstack([columns.factors, np.ones((n, int(problem.biased)))])
        offset = problem.mean + columns.biases
        gram = problem.w0 * design.T @ design
        return cls(design, offset, gram, -problem.w0 * design.T @ offset, problem.shares(columns.factors.shape[1]))


def weighted_mean(values: sparse.csr_array, weights: sparse.csr_array, w0: float) -> float:
    """The b that fits best alone: the mean of X over all entries under their weights; 0 where there are none."""
    unobserved = w0 * (values.shape[0] * values.shape[1] - values.nnz)
    total = float(weights.sum()) + unobserved
    return float(weights.data @ values.data) / total if total else 0.0


def half_step(problem: Problem, columns: Side) -> Side:
    """The exact best rows of `problem` while its `columns` stand still."""
    return solve_rows(problem, Standing.of(problem, columns))


def solve_rows(problem: Problem, standing: Standing) -> Side:
    """The exact best rows of `problem` against columns that stand still.

    A row without observed entries gets what the unobserved ones say, or zeros where w0 is 0.
    """
    m, width = problem.values.shape[0], standing.design.shape[1]
    solved = np.zeros((m, width))
    for rows in _batches(np.diff(problem.values.indptr), width):
        entries, present = _entries(problem.values, rows)
        chosen = problem.values.indices[entries]
        gathered = standing.design[chosen]
        surplus = np.where(present, problem.weights.data[entries] - problem.w0, 0.0)
        target = np.where(present, _target(problem, entries, standing.offset[chosen]), 0.0)
        transposed = gathered.transpose(0, 2, 1)
        normal = standing.gram + transposed @ (gathered * surplus[:, :, None])
        normal += problem.penalties[rows, None, None] * np.diag(standing.shares)
        right = standing.pull[:, None] + transposed @ target[:, :, None]
        solved[rows] = np.linalg.solve(normal, right)[:, :, 0]
    return Side(solved[:, :-1], solved[:, -1]) if problem.biased else Side(solved, np.zeros(m))


def iterate(problem: Problem, n_factors: int, rng: np.random.Generator) -> Iterator[tuple[Side, Side]]:
    """Listeners and songs after each full iteration (two half-steps), for ever."""
    songs = Side.random(problem.values.shape[1], n_factors, rng)
    while True:
        listeners = half_step(problem, songs)
        songs = half_step(problem.transposed, listeners)
        yield listeners, songs


def loss(problem: Problem, rows: Side, columns: Side) -> float:
    """L, exactly, in O(nnz K + (m + n) K^2)."""
    left = np.column_stack([rows.factors, rows.biases + problem.mean, np.ones(len(rows.biases))])
    right = np.column_stack([columns.factors, np.ones(len(columns.biases)), columns.biases])
    entry_rows = np.repeat(np.arange(len(left)), np.diff(problem.values.indptr))
    predicted = np.einsum("pk,pk->p", left[entry_rows], right[problem.values.indices])
    observed = problem.weights.data @ (problem.values.data - predicted) ** 2 - problem.w0 * (predicted @ predicted)
    everywhere = problem.w0 * np.sum((left.T @ left) * (right.T @ right))
    sizes = _penalty(problem, rows) + _penalty(problem.transposed, columns)
    return float(observed + everywhere + sizes)


def _penalty(problem: Problem, rows: Side) -> float:
    return float(problem.penalties @ (np.sum(rows.factors**2, axis=1) + problem.bias_share * rows.biases**2))


def predict(mean: float, rows: Side, columns: Side) -> Floats:
    """b + bu_i + bv_j + u_i . v_j of every row with every column, float64 (m, n)."""
    return (mean + rows.biases)[:, None] + columns.biases + rows.factors @ columns.factors.T


def attribute(problem: Problem, standing: Standing, row: int, column: int) -> tuple[Rows, Floats, float]:
    """The prediction at (row, column) as a sum over the row's observed entries.

    A row's solution is linear in its right-hand side, so each observed entry owns a summand
    c_ij f_j . A_i^-1 f_column (Hu, Koren, Volinsky 2008, section 5).
    Returns the observed columns int64 (p,), their summands float64 (p,), and the rest: what the constant, the
    column's bias and the unobserved entries say.
    """
    entries = np.arange(problem.values.indptr[row], problem.values.indptr[row + 1])
    observed = problem.values.indices[entries]
    gathered = standing.design[observed]
    normal = standing.gram + gathered.T @ (gathered * (problem.weights.data[entries] - problem.w0)[:, None])
    normal += problem.penalties[row] * np.diag(standing.shares)
    reach = np.linalg.solve(normal, standing.design[column])
    summands = _target(problem, entries, standing.offset[observed]) * (gathered @ reach)
    return observed.astype(np.int64), summands, float(standing.offset[column] + standing.pull @ reach)


def _target(problem: Problem, entries: Rows, offset: Floats) -> Floats:
    """Weight times what is left to explain at observed entries, less what the shared pull already counts there."""
    return problem.weights.data[entries] * (problem.values.data[entries] - offset) + problem.w0 * offset


def _batches(lengths: Rows, width: int) -> Iterator[Rows]:
    """Rows of like length together, longest first, so that little padding is gathered."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), width)
        stop = start + max(1, BATCH_FLOATS // (longest * width))
        yield order[start:stop]
        start = stop


def _entries(values: sparse.csr_array, rows: Rows) -> tuple[Rows, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Places in `values.data` of these rows' entries, int64 (b, longest), and which of them are not padding."""
    starts, lengths = values.indptr[rows], np.diff(values.indptr)[rows]
    steps = np.arange(lengths.max(initial=0))
    present = steps < lengths[:, None]
    return np.where(present, starts[:, None] + steps, 0), present
