"""What several engines think, on one scale, and what they say together (see `hybrid` for why it is so)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from scipy import sparse

from recommender.engines.tables import Floats, Rows

ROUNDING = 1e-12  # of the mean: a deviation below it is rounding, and dividing by it would make opinions of nothing
ROWS = 4  # averaged at once: their sums stay in the cache from engine to engine


@dataclass(frozen=True, eq=False)
class Opinions:
    """What the engines think of all songs, and the scale it is brought to: z = (score - mean) * factor.

    said : of each engine its scores (m, n_songs), NaN = no opinion.
    means, factors : float64 (m, engines).
    weights : float64 (m, engines), of each engine for each listener, summing to 1 where any of them speaks.
    fallback : the place of the engine that orders the songs nobody with a weight has an opinion on, or None.
    """

    said: tuple[Floats, ...]
    means: Floats
    factors: Floats
    weights: Floats
    fallback: int | None = None

    @classmethod
    def of(
        cls,
        said: Sequence[Floats],
        known: sparse.csr_array,
        weights: Sequence[float] | Floats,
        fallback: int | None = None,
    ) -> Self:
        """These engines' scores, standardised over the songs not yet known; who says nothing gives the weight away.

        known : CSR (m, n_songs), its entries. weights : (engines,) or (m, engines), >= 0. Where nobody with a weight
        knows the listener, the others who do speak, all alike, except the fallback, whose order stands then anyway.
        """
        moments = [scale(scores, known) for scores in said]
        means, factors, n_opinions = (np.stack(each, axis=1) for each in zip(*moments, strict=True))
        speaking = np.where(n_opinions > 0, weights, 0.0)
        silent = ~speaking.any(axis=1)
        standing_in = n_opinions[silent] > 0
        if fallback is not None:
            standing_in[:, fallback] = False
        speaking[silent] = standing_in
        total = speaking.sum(axis=1, keepdims=True)
        return cls(tuple(said), means, factors, speaking / np.where(total > 0, total, 1.0), fallback)

    def scores(self) -> Floats:
        """The weighted average, float64 (m, n_songs), NaN = no opinion.

        Where there is a fallback, songs without an opinion follow below all others, in its order; those on which it has
        none come last. So nothing is NaN.
        """
        average = np.full(self.said[0].shape, np.nan)
        for start in range(0, len(average), ROWS):
            chunk = slice(start, start + ROWS)
            for place, scores in enumerate(self.said):
                weights = self.weights[chunk, place]
                _add(scores[chunk], self.means[chunk, place], self.factors[chunk, place], weights, average[chunk])
            if self.fallback is not None:
                _follow(self.said[self.fallback][chunk], average[chunk])
        return average

    def shares(self, song_rows: Rows) -> Floats:
        """Each engine's part in raising these songs, float64 (m, n, engines), >= 0, summing to 1; 0 at padding.

        song_rows : int64 (m, n), -1 = padding. What speaks for a song counts; where nothing does, the weights of
        those who spoke stand, and where nobody spoke of the song, it is all the fallback's doing.
        """
        rows = np.maximum(song_rows, 0)
        chosen = np.stack([np.take_along_axis(scores, rows, axis=1) for scores in self.said], axis=2)
        z = (chosen - self.means[:, None, :]) * self.factors[:, None, :]
        weights = np.where(np.isnan(z), 0.0, self.weights[:, None, :])
        raised = weights * np.maximum(np.nan_to_num(z), 0.0)
        parts = np.where(raised.any(axis=2, keepdims=True), raised, weights)
        if self.fallback is not None:
            parts[~parts.any(axis=2), self.fallback] = 1.0
        parts[song_rows < 0] = 0.0
        total = parts.sum(axis=2, keepdims=True)
        return parts / np.where(total > 0, total, 1.0)


def following(scores: Floats, others: Floats) -> Floats:
    """Scores, and where there is none the other scores, lowered so that they come after them; (m, n_songs) each."""
    filled = scores.copy()
    _follow(others, filled)
    return filled


def scale(scores: Floats, known: sparse.csr_array) -> tuple[Floats, Floats, Rows]:
    """What brings each row of scores (m, n_songs) to mean 0 and deviation 1 over its songs not yet known.

    known : CSR (m, n_songs), its entries.
    Returns the means and the factors, float64 (m,), and of how many songs, known ones among them, each row has an
    opinion. The factor is 0 where the unknown songs all score the same, or there are none.
    """
    assert scores.shape == known.shape, (scores.shape, known.shape)
    means, factors, n_opinions = np.empty(len(scores)), np.empty(len(scores)), np.empty(len(scores), dtype=np.int64)
    _scale(scores, known.indptr.astype(np.int64), known.indices.astype(np.int64), means, factors, n_opinions)
    return means, factors, n_opinions


# The order of a sum is left to the compiler ("reassoc", "contract"), which is what makes it wide; NaN stays NaN.
@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _scale(scores: Floats, indptr: Rows, indices: Rows, means: Floats, factors: Floats, n_opinions: Rows) -> None:
    m, n_songs = scores.shape
    counted = np.ones(n_songs)
    for row in range(m):
        own, known = scores[row], indices[indptr[row] : indptr[row + 1]]
        counted[known] = 0.0
        total, n_spoken, n_known = 0.0, 0.0, 0.0
        for song in range(n_songs):
            spoken = 1.0 if own[song] == own[song] else 0.0
            n_known += spoken * (1.0 - counted[song])
            n_spoken += spoken * counted[song]
            total += counted[song] * own[song] if own[song] == own[song] else 0.0
        mean = total / max(n_spoken, 1.0)
        squares = 0.0
        for song in range(n_songs):
            difference = own[song] - mean
            squares += counted[song] * difference * difference if own[song] == own[song] else 0.0
        deviation = np.sqrt(squares / max(n_spoken, 1.0))
        flat = deviation <= ROUNDING * max(abs(mean), 1e-290)
        counted[known] = 1.0
        means[row], factors[row] = mean, 0.0 if flat else 1.0 / deviation
        n_opinions[row] = int(n_spoken + n_known)


@njit(nogil=True, cache=True)
def _add(scores: Floats, means: Floats, factors: Floats, weights: Floats, sums: Floats) -> None:
    """Add weight * (score - mean) * factor wherever there is a score and a weight; a sum is NaN until something is."""
    m, n_songs = scores.shape
    for row in range(m):
        if weights[row] == 0.0:
            continue
        own, its_sums, mean, factor = scores[row], sums[row], means[row], weights[row] * factors[row]
        for song in range(n_songs):
            added = (own[song] - mean) * factor
            before = its_sums[song]
            its_sums[song] = added if before != before else before + (added if added == added else 0.0)


@njit(nogil=True, cache=True)
def _follow(scores: Floats, sums: Floats) -> None:
    """Where a sum is NaN, put the score in its place, lowered until the highest such is 1 below the lowest sum; where
    that is NaN too, 1 below them all."""
    m, n_songs = sums.shape
    for row in range(m):
        own, its_sums = scores[row], sums[row]
        lowest, highest_own, lowest_own, n_without = np.inf, -np.inf, np.inf, 0
        for song in range(n_songs):
            if its_sums[song] == its_sums[song]:
                lowest = min(lowest, its_sums[song])
            else:
                n_without += 1
                if own[song] == own[song]:
                    highest_own, lowest_own = max(highest_own, own[song]), min(lowest_own, own[song])
        if n_without == 0:
            continue
        if lowest_own == np.inf:
            highest_own, lowest_own = 0.0, 0.0
        lowered = (0.0 if lowest == np.inf else lowest) - 1.0 - highest_own
        for song in range(n_songs):
            if its_sums[song] != its_sums[song]:
                its_sums[song] = lowered + (own[song] if own[song] == own[song] else lowest_own - 1.0)
