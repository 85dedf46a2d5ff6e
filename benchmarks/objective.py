"""The loss that everybody is given to minimise in the benchmarks of weighted_mf.

A song that was played c - 1 times is wanted (X = 1) with the weight c, every other one not (X = 0) with the weight 1;
no biases; the same lambda on all factors.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.engines.weighted_mf import wals

N_FACTORS = 64
REGULARISATION = 5.0
SOLVERS = wals.SOLVERS
SEED = 1

Factors = NDArray[np.float32]


def problem(plays: sparse.csr_array, biased: bool = False) -> wals.Problem:
    """The shared loss as ours states it."""
    ones, weights = plays.copy(), plays.copy()
    ones.data = np.ones_like(plays.data)
    weights.data = plays.data + 1
    return wals.Problem(ones, weights, w0=1.0, regularisation=REGULARISATION, mean=0.0, biased=biased)


def start(n_listeners: int, n_songs: int) -> tuple[Factors, Factors]:
    """What `iterate` starts from, both float32 (n, N_FACTORS): listeners at zero, songs small and random."""
    songs = wals.Side.random(n_songs, N_FACTORS, np.random.default_rng(SEED))
    return wals.Side.zeros(n_listeners, N_FACTORS).factors, songs.factors


def lost(asked: wals.Problem, listeners: Factors, songs: Factors) -> float:
    """The shared loss at these factors, by our own function for everybody."""
    return wals.loss(asked, *(wals.Side(side, np.zeros(len(side), side.dtype)) for side in (listeners, songs)))


def operations(n_listeners: int, n_songs: int, n_entries: int) -> float:
    """Floating-point operations of an exact iteration: half of each row's symmetric matrix, and its Cholesky."""
    return 2 * n_entries * N_FACTORS * (N_FACTORS + 1) + (n_listeners + n_songs) * N_FACTORS**3 / 3


def iterate(
    asked: wals.Problem, solver: str, half_step: wals.HalfStep = wals.half_step
) -> Iterator[tuple[wals.Side, wals.Side]]:
    """Our iterations on this problem by one of SOLVERS, for ever."""
    return wals.iterate(asked, N_FACTORS, np.random.default_rng(SEED), solver, half_step)
