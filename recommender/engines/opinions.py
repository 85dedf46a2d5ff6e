"""What several engines think, on one scale, and what they say together (see `hybrid` for why it is so)."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from recommender.engines.tables import Floats, Rows

ROUNDING = 1e-12  # of the mean: a deviation below it is rounding, and dividing by it would make opinions of nothing


@dataclass(frozen=True, eq=False)
class Opinions:
    """What the engines think, on one scale.

    z : float64 (engines, m, n_songs), standardised scores, NaN = no opinion.
    weights : float64 (m, engines), of each engine for each listener, summing to 1 where any engine has an opinion.
    """

    z: Floats
    weights: Floats

    def scores(self) -> Floats:
        """The weighted average, float64 (m, n_songs), NaN = no opinion."""
        scores = np.empty(self.z.shape[1:])
        _average(self.z, self.weights, scores)
        return scores

    def shares(self, song_rows: Rows) -> Floats:
        """Each engine's part in raising these songs, float64 (m, n, engines), >= 0, summing to 1; 0 at padding.

        song_rows : int64 (m, n), -1 = padding. What speaks for a song counts; where nothing does, the weights of
        those who spoke stand.
        """
        chosen = np.take_along_axis(self.z, np.maximum(song_rows, 0)[None], axis=2).transpose(1, 2, 0)
        weights = np.where(np.isnan(chosen), 0.0, self.weights[:, None, :])
        raised = weights * np.maximum(np.nan_to_num(chosen), 0.0)
        parts = np.where(raised.any(axis=2, keepdims=True), raised, weights)
        parts[song_rows < 0] = 0.0
        total = parts.sum(axis=2, keepdims=True)
        return parts / np.where(total > 0, total, 1.0)


def standardised(scores: Floats, known: sparse.csr_array) -> Floats:
    """Scores (m, n_songs) less the mean and over the standard deviation of each row's songs not yet known.

    known : CSR (m, n_songs), its entries.
    Rows whose unknown songs all score the same, or that have none, say 0 wherever they say anything.
    """
    z = np.empty(scores.shape)
    standardise(scores, known, z)
    return z


def standardise(scores: Floats, known: sparse.csr_array, z: Floats) -> NDArray[np.bool_]:
    """As `standardised`, written into z, float64 (m, n_songs). Returns which rows say anything, bool (m,)."""
    assert scores.shape == known.shape == z.shape, (scores.shape, known.shape, z.shape)
    speaking = np.zeros(len(scores), dtype=np.bool_)
    _standardise(scores, known.indptr.astype(np.int64), known.indices.astype(np.int64), z, speaking)
    return speaking


# The order of a sum is left to the compiler ("reassoc", "contract"), which is what makes it wide; NaN stays NaN.
@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _standardise(scores: Floats, indptr: Rows, indices: Rows, z: Floats, speaking: NDArray[np.bool_]) -> None:
    m, n_songs = scores.shape
    counted = np.ones(n_songs)
    for row in range(m):
        own, spread = scores[row], z[row]
        counted[indices[indptr[row] : indptr[row + 1]]] = 0.0
        total, n_spoken, n_opinions = 0.0, 0.0, 0
        for song in range(n_songs):
            spoken = own[song] == own[song]
            n_opinions += spoken
            n_spoken += counted[song] if spoken else 0.0
            total += counted[song] * own[song] if spoken else 0.0
        mean = total / max(n_spoken, 1.0)
        squares = 0.0
        for song in range(n_songs):
            difference = own[song] - mean
            squares += counted[song] * difference * difference if own[song] == own[song] else 0.0
        deviation = np.sqrt(squares / max(n_spoken, 1.0))
        flat = deviation <= ROUNDING * max(abs(mean), 1e-290)
        factor = 0.0 if flat else 1.0 / deviation
        for song in range(n_songs):
            spread[song] = (own[song] - mean) * factor
        counted[indices[indptr[row] : indptr[row + 1]]] = 1.0
        speaking[row] = n_opinions > 0


@njit(nogil=True, cache=True)
def _average(z: Floats, weights: Floats, scores: Floats) -> None:
    n_engines, m, n_songs = z.shape
    heard = np.empty(n_songs, dtype=np.bool_)
    for row in range(m):
        total = scores[row]
        total[:], heard[:] = 0.0, False
        for engine in range(n_engines):
            own, weight = z[engine, row], weights[row, engine]
            for song in range(n_songs):
                spoken = own[song] == own[song]
                heard[song] |= spoken
                total[song] += weight * own[song] if spoken else 0.0
        for song in range(n_songs):
            total[song] = total[song] if heard[song] else np.nan
