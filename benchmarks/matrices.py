"""Seeded matrices of plays that look like listening: few listeners and few songs have most of the plays."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

ACTIVITY = 0.5  # exponents of the two power laws: the r-th listener (song) draws in proportion to (r + SHIFT)^-exponent
FAME = 0.9
SHIFT = 10.0
ONCE_MORE = 0.4  # the chance that a play was the last one


def plays(n_listeners: int, n_songs: int, n_entries: int, seed: int = 0) -> sparse.csr_array:
    """Plays counted: CSR float32 (n_listeners, n_songs) of `n_entries` entries exactly, 1 or more each.

    The same arguments give the same matrix. Raises ValueError where that is more than half of the matrix.
    """
    if n_entries > n_listeners * n_songs // 2:
        raise ValueError(f"{n_entries:,} entries are more than half of {n_listeners:,} x {n_songs:,}")
    rng = np.random.default_rng(seed)
    listeners, songs = _power_law(n_listeners, ACTIVITY, rng), _power_law(n_songs, FAME, rng)
    cells = np.empty(0, dtype=np.int64)
    while len(cells) < n_entries:
        n_more = int(1.1 * (n_entries - len(cells))) + 1000
        drawn = _draw(listeners, n_more, rng) * n_songs + _draw(songs, n_more, rng)
        cells = np.unique(np.concatenate([cells, drawn]))
    surplus = rng.choice(len(cells), len(cells) - n_entries, replace=False, shuffle=False)
    rows, columns = np.divmod(np.delete(cells, surplus), n_songs)
    starts = np.searchsorted(rows, np.arange(n_listeners + 1))
    counts = rng.geometric(ONCE_MORE, n_entries).astype(np.float32)
    index = np.int32 if n_entries < 2**31 else np.int64
    return sparse.csr_array((counts, columns.astype(index), starts.astype(index)), shape=(n_listeners, n_songs))


def _power_law(n: int, exponent: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Cumulated chances of n rows in a shuffled order, so that a row's number says nothing of its size."""
    chances = rng.permutation((np.arange(n) + SHIFT) ** -exponent)
    cumulated = np.cumsum(chances)
    return cumulated / cumulated[-1]


def _draw(cumulated: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.searchsorted(cumulated, rng.random(n), side="right").astype(np.int64)
