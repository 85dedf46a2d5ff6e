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

A row's equations are solved exactly, or by a few conjugate gradients from where the row stood an iteration ago: the
next iteration changes them anyway. The arithmetic is in `kernels`, in single precision; rows are solved in blocks
over the threads that `threads` allows. A lambda below the resolution of single precision acts as that resolution.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quasimusic.exceptions import TrainingDiverged
from recommender.engines.tables import Floats, Rows
from recommender.engines.threads import mapped
from recommender.engines.weighted_mf.kernels import LANES, Singles, aligned, errors, solve_by_gradients, solve_exactly

SOLVERS = ("exact", "cg")
N_STEPS = 3  # of conjugate gradients a half-step
BLOCK = 1 << 16  # entries solved in one go, a row counting as another ROW
ROW = 64
ROWS = 4096  # brought to double precision at once


@dataclass(frozen=True, eq=False)
class Side:
    """What is learned of one side: factors float32 (n, K) and biases float32 (n,)."""

    factors: NDArray[np.floating]
    biases: NDArray[np.floating]

    @classmethod
    def zeros(cls, n: int, n_factors: int) -> "Side":
        """Nothing learned yet."""
        return cls(np.zeros((n, n_factors), dtype=np.float32), np.zeros(n, dtype=np.float32))

    @classmethod
    def random(cls, n: int, n_factors: int, rng: np.random.Generator) -> "Side":
        """Small random factors (a start at zero would never move), no biases."""
        factors = rng.standard_normal((n, n_factors), dtype=np.float32) / np.float32(np.sqrt(n_factors))
        return cls(factors, np.zeros(n, dtype=np.float32))


@dataclass(frozen=True, eq=False)
class Problem:
    """What a factorisation is asked to approximate.

    values : CSR (m, n), X at the observed entries; a stored 0 is an observed 0.
    weights : CSR (m, n), W >= 0 at the same entries. Both are kept as float32, on one set of indices.
    w0 : weight of every unobserved entry, >= 0; 0 leaves them out.
    regularisation : lambda, > 0.
    mean : b, the constant of the loss.
    biased : whether rows and columns have a bias of their own.
    count_power : p, how a row's lambda grows with its observed entries (one with none counts as having one).
    bias_share : s, the bias's lambda over the factors', > 0.
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
        values = _narrow(self.values)
        object.__setattr__(self, "values", values)  # frozen once it is as documented
        weights = self.weights.data.astype(np.float32, copy=False)
        object.__setattr__(self, "weights", _like(values, weights))

    @cached_property
    def transposed(self) -> "Problem":
        """The same problem with the sides exchanged."""
        return replace(self, values=self.values.T.tocsr(), weights=self.weights.T.tocsr())

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each row's entries begin, int64 (m + 1,)."""
        starts: NDArray[np.int64] = self.values.indptr.astype(np.int64)
        return starts

    @cached_property
    def penalties(self) -> Floats:
        """Lambda of each row, float64 (m,)."""
        counts: Floats = np.maximum(np.diff(self.values.indptr), 1).astype(np.float64)
        return self.regularisation * counts**self.count_power

    def rows(self, rows: Rows | slice) -> "Problem":
        """The same problem for some rows only."""
        return replace(self, values=self.values[rows], weights=self.weights[rows])


@dataclass(frozen=True, eq=False)
class Standing:
    """The columns while they stand still: all that the rows' normal equations share.

    factors : float32 (n * width,), the columns' factors one after the other, each padded with zeros to `width`, a
        multiple of 16.
    offset : float32 (n,), what stands beside them: b + bv_j.
    gram : float64 (K + 1, K + 1), the matrix of a row without observed entries, less its penalty, the bias last;
        pull : float64 (K + 1,), its right-hand side.
    """

    factors: Singles
    offset: Singles
    gram: Floats
    pull: Floats

    @classmethod
    def of(cls, problem: Problem, columns: Side) -> "Standing":
        """These columns in this problem."""
        n, n_factors = columns.factors.shape
        assert n == len(columns.biases) == problem.values.shape[1], (columns.factors.shape, problem.values.shape)
        factors = _padded(columns.factors)
        offset = (problem.mean + columns.biases).astype(np.float32)
        gram, pull = np.zeros((n_factors + 1, n_factors + 1)), np.zeros(n_factors + 1)
        if problem.w0:
            one = np.full(n, float(problem.biased), dtype=np.float32)
            sums, own = factors[:, :n_factors].T, problem.w0 * one[0]
            gram[:-1, :-1] = problem.w0 * (sums @ sums.T)
            gram[-1, :-1] = gram[:-1, -1] = problem.w0 * (sums @ one)
            gram[-1, -1] = own * n
            pull[:-1], pull[-1] = -problem.w0 * (sums @ offset), -own * offset.sum(dtype=np.float64)
        return cls(factors.ravel(), offset, gram, pull)

    @property
    def n_factors(self) -> int:
        """K"""
        return len(self.pull) - 1

    def design(self, columns: NDArray[np.integer], biased: bool) -> Floats:
        """[v_j, 1] of these columns, float64 (p, K + 1); [v_j, 0] without biases."""
        factors = self.factors.reshape(len(self.offset), -1)[columns, : self.n_factors]
        return np.column_stack([factors, np.full(len(factors), float(biased))]).astype(np.float64)

    @cached_property
    def padded(self) -> tuple[Singles, Singles]:
        """`gram` and `pull` as the kernels take them: the bias at place `width`, its row the last."""
        width = _width(self.n_factors)
        places = np.append(np.arange(self.n_factors), width)
        gram, pull = np.zeros((width + 1, width + LANES)), np.zeros(width + LANES)
        gram[np.ix_(places, places)] = self.gram
        pull[places] = self.pull
        return gram.ravel().astype(np.float32), pull.astype(np.float32)


HalfStep = Callable[[Problem, Side, Side, str], Side]


def weighted_mean(values: sparse.csr_array, weights: sparse.csr_array, w0: float) -> float:
    """The b that fits best alone: the mean of X over all entries under their weights; 0 where there are none."""
    unobserved = w0 * (values.shape[0] * values.shape[1] - values.nnz)
    total = float(weights.sum()) + unobserved
    return float(weights.data @ values.data) / total if total else 0.0


def half_step(problem: Problem, columns: Side, start: Side, solver: str = "exact") -> Side:
    """The best rows of `problem` while its `columns` stand still; see `solve_rows`."""
    return solve_rows(problem, Standing.of(problem, columns), start, solver)


def cut(problem: Problem) -> list[slice]:
    """All rows of the problem in blocks of about the same work."""
    work = problem.starts + ROW * np.arange(len(problem.starts))
    marks = np.arange(BLOCK, work[-1], BLOCK)
    bounds = np.unique([0, *np.searchsorted(work, marks), len(work) - 1]).tolist()
    return [slice(first, last) for first, last in pairwise(bounds)]


def solve_rows(problem: Problem, standing: Standing, start: Side | None = None, solver: str = "exact") -> Side:
    """The best rows of `problem` against columns that stand still.

    start : where the rows stood before, from which "cg" goes N_STEPS; "exact" has no use for it.
    solver : one of SOLVERS.
    A row without observed entries gets what the unobserved ones say, or zeros where w0 is 0.
    Raises TrainingDiverged where a row comes out infinite or NaN.
    """
    m = problem.values.shape[0]
    solved = Side(_aligned(m, standing.n_factors), np.empty(m, dtype=np.float32))
    gram, pull = standing.padded
    penalties = problem.penalties.astype(np.float32)
    columns = problem.values.indices.astype(np.int32, copy=False)

    def solve(block: slice) -> None:
        system = (
            problem.starts[block.start : block.stop + 1],
            columns,
            problem.values.data,
            problem.weights.data,
            np.float32(problem.w0),
            standing.factors,
            standing.offset,
            gram,
            pull,
            penalties[block],
            np.float32(problem.bias_share),
            np.float32(problem.biased),
            solved.factors[block],
            solved.biases[block],
        )
        if solver == "cg":
            solved.factors[block] = 0.0 if start is None else start.factors[block]
            solved.biases[block] = 0.0 if start is None else start.biases[block]
            solve_by_gradients(*system, N_STEPS)
        else:
            solve_exactly(*system)
        if not np.isfinite(solved.factors[block]).all() or not np.isfinite(solved.biases[block]).all():
            raise TrainingDiverged("the factors are no longer finite; raise the regularisation or lower the weights")

    mapped(solve, cut(problem))
    return solved


def iterate(
    problem: Problem,
    n_factors: int,
    rng: np.random.Generator,
    solver: str = "exact",
    half_step: HalfStep = half_step,
) -> Iterator[tuple[Side, Side]]:
    """Listeners and songs after each full iteration (two half-steps), for ever.

    half_step : what computes one, should it be another than this module's.
    """
    m, n = problem.values.shape
    listeners, songs = Side.zeros(m, n_factors), Side.random(n, n_factors, rng)
    while True:
        listeners = half_step(problem, songs, listeners, solver)
        songs = half_step(problem.transposed, listeners, songs, solver)
        yield listeners, songs


def loss(problem: Problem, rows: Side, columns: Side) -> float:
    """L, exactly, in O(nnz K + (m + n) K^2)."""
    own, partners = ((np.ascontiguousarray(side.factors), side.biases) for side in (rows, columns))
    places = problem.values.indices.astype(np.int32, copy=False)

    def lost(block: slice) -> float:
        summed: float = errors(
            problem.starts[block.start : block.stop + 1],
            places,
            problem.values.data,
            problem.weights.data,
            problem.w0,
            problem.mean,
            own[0][block],
            own[1][block],
            partners[0],
            partners[1],
        )
        return summed

    # P over all pairs is a product of [u, b + bu, 1] and [v, 1, bv]; the sum of its squares needs their Gram matrices.
    left = _gram(rows.factors, rows.biases + problem.mean, np.ones(len(rows.biases)))
    right = _gram(columns.factors, np.ones(len(columns.biases)), columns.biases)
    everywhere = problem.w0 * float(np.sum(left * right))
    return (
        sum(mapped(lost, cut(problem))) + everywhere + _penalty(problem, rows) + _penalty(problem.transposed, columns)
    )


def attribute(problem: Problem, standing: Standing, row: int, column: int) -> tuple[Rows, Floats, float]:
    """The prediction at (row, column) as a sum over the row's observed entries.

    A row's solution is linear in its right-hand side, so each observed entry owns a summand
    c_ij f_j . A_i^-1 f_column (Hu, Koren, Volinsky 2008, section 5).
    Returns the observed columns int64 (p,), their summands float64 (p,), and the rest: what the constant, the
    column's bias and the unobserved entries say.
    """
    entries = np.arange(problem.values.indptr[row], problem.values.indptr[row + 1])
    observed = problem.values.indices[entries]
    gathered = standing.design(observed, problem.biased)
    surplus = problem.weights.data[entries] - problem.w0
    shares = np.append(np.ones(standing.n_factors), problem.bias_share)
    normal = standing.gram + gathered.T @ (gathered * surplus[:, None]) + problem.penalties[row] * np.diag(shares)
    reach = np.linalg.solve(normal, standing.design(np.array([column]), problem.biased)[0])
    summands = _target(problem, entries, standing.offset[observed].astype(np.float64)) * (gathered @ reach)
    return observed.astype(np.int64), summands, float(standing.offset[column] + standing.pull @ reach)


def _target(problem: Problem, entries: Rows, offset: Floats) -> Floats:
    """Weight times what is left to explain at observed entries, less what the shared pull already counts there."""
    return problem.weights.data[entries] * (problem.values.data[entries] - offset) + problem.w0 * offset


def _penalty(problem: Problem, rows: Side) -> float:
    squares = np.einsum("nk,nk->n", rows.factors, rows.factors) + problem.bias_share * rows.biases**2
    return float(problem.penalties @ squares)


def _gram(*columns: NDArray[np.floating]) -> Floats:
    """The Gram matrix of these columns beside each other, summed in double precision, some rows at a time."""
    parts = (np.column_stack([each[at : at + ROWS] for each in columns]) for at in range(0, len(columns[0]), ROWS))
    doubles = (part.astype(np.float64) for part in parts)
    return sum((part.T @ part for part in doubles), np.zeros(()))


def _padded(factors: NDArray[np.floating]) -> Singles:
    """float32 (n, width), the factors and their padding; not copied where nothing is to be changed."""
    n, n_factors = factors.shape
    if n_factors == _width(n_factors) and factors.dtype == np.float32 and factors.flags.c_contiguous:
        return factors
    padded = _aligned(n, _width(n_factors))
    padded[:, :n_factors] = factors
    padded[:, n_factors:] = 0.0
    return padded


def _aligned(n: int, width: int) -> Singles:
    """float32 (n, width), not set."""
    room = aligned.py_func(n * width)  # allocated by numpy, which asks for large pages
    return np.asarray(room).reshape(n, width)


def _width(n_factors: int) -> int:
    """K and its padding."""
    return -(-n_factors // LANES) * LANES


def _narrow(matrix: sparse.csr_array) -> sparse.csr_array:
    """The matrix as float32, indexed by int32 unless its entries are too many to count in one."""
    index = np.int32 if max(matrix.nnz, matrix.shape[1]) <= np.iinfo(np.int32).max else np.int64
    arrays = (matrix.data, np.float32), (matrix.indices, index), (matrix.indptr, index)
    return sparse.csr_array(tuple(array.astype(kind, copy=False) for array, kind in arrays), shape=matrix.shape)


def _like(matrix: sparse.csr_array, data: Singles) -> sparse.csr_array:
    """Other numbers at the entries of the matrix."""
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
