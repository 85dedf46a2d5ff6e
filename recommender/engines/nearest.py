"""The songs nearest to a middle: by looking at all of them, or in a large catalogue by way of an index.

The index is a navigable graph (Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
hierarchical navigable small world graphs", 2016) over vectors whose inner products come near the likeness. It only
says where to look: what it finds is weighed as everything else is, and where it finds too little all songs are looked
at after all.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from usearch.index import Index, Matches

from recommender.engines.points import Middles, Points, Singles, likeness, likeness_of_pairs
from recommender.engines.ranking import top_n
from recommender.engines.tables import Floats, Rows

INDEXED_FROM = 50_000  # songs; below, to look at all takes no longer than a few milliseconds
N_CANDIDATES = 320  # weighed for a middle, beyond those asked for and those that must not be listed
MOST_BARRED = 256  # where more are asked for and barred together, all songs are looked at
LEAST_KNOWN = 0.5  # of everything, by importance: with less in a middle, the vectors say too little of its likeness
MOST_OTHERS = 5_000  # songs weighed for every middle because they are too new for the graph
N_NAME_AXES = 48  # genres and countries are laid on so many axes, in directions all but at right angles
LINKS, CARE = 16, 64  # of a song in the graph, and how many are considered for them
SCANNED = 1 << 23  # likenesses worked out at once: 32 MiB
SPARE = 6  # weighed again beyond those asked for, as single precision may have mistaken their order


@dataclass(frozen=True, eq=False)
class Nearest:
    """Where the songs nearest to a middle are found.

    songs : all there are.
    index : over the vectors of some of them; None where all are looked at.
    indexed : int64 (k,), song row of each entry of the index, -1 where the song is gone.
    others : int64 (p,), rows of the songs that the index lacks; they are always candidates.
    """

    songs: Points
    index: Index | None
    indexed: Rows
    others: Rows

    @classmethod
    def of(cls, songs: Points, graph: NDArray[np.uint8] | None, indexed: Rows) -> "Nearest":
        """With a graph as `graph_of` made it, perhaps of another catalogue; without one, or where it has been outgrown,
        all songs are looked at."""
        others = np.setdiff1d(np.flatnonzero(songs.known.any(axis=1)), indexed)
        outgrown = len(others) > MOST_OTHERS
        return cls(songs, None if graph is None or outgrown else _index_on(graph), indexed, others)

    @cached_property
    def name_axes(self) -> Floats:
        """The directions of the names, as the vectors in the index have them."""
        return _name_axes(self.songs)

    def best(self, middles: Middles, n: int, barred: sparse.csr_array) -> tuple[Rows, Floats]:
        """The n songs most like each middle: song rows int64 (m, n), padded with -1, and likeness float64 (m, n),
        padded with NaN. Ties fall to the lower row.

        barred : CSR (m, n_songs), indices in order; its entries are not listed.
        """
        assert barred.shape == (len(middles), len(self.songs)), (barred.shape, len(middles), len(self.songs))
        rows, likenesses = np.full((len(middles), n), -1), np.full((len(middles), n), np.nan)
        served = ~middles.known.any(axis=1)  # nothing is like a middle of which nothing is known
        if self.index is not None:
            suited = np.flatnonzero((np.diff(barred.indptr) + n <= MOST_BARRED) & (_share(middles) >= LEAST_KNOWN))
            rows[suited], likenesses[suited] = self._by_index(self.index, middles.rows(suited), n, barred[suited])
            served |= rows[:, -1] >= 0  # where it found fewer than n, there may be more
        left = np.flatnonzero(~served)
        step = max(SCANNED // max(len(self.songs), 1), 1)
        for start in range(0, len(left), step):
            chunk = left[start : start + step]
            rows[chunk], likenesses[chunk] = self._by_scan(middles.rows(chunk), n, barred[chunk])
        return rows, likenesses

    def _by_scan(self, middles: Middles, n: int, barred: sparse.csr_array) -> tuple[Rows, Floats]:
        block = likeness(middles, self.songs)
        block[barred.tocoo().coords] = np.nan
        candidates, _ = top_n(block, n + SPARE)
        return self._weighed(middles, n, candidates)

    def _by_index(self, index: Index, middles: Middles, n: int, barred: sparse.csr_array) -> tuple[Rows, Floats]:
        n_candidates = N_CANDIDATES + n + int(np.diff(barred.indptr).max(initial=0))
        places = _search(index, vectors_of_middles(middles, self.name_axes), n_candidates)
        found = np.where(places >= 0, self.indexed[places], -1)
        candidates = np.hstack([found, np.broadcast_to(self.others, (len(middles), len(self.others)))])
        candidates[_among(barred, candidates)] = -1
        return self._weighed(middles, n, candidates)

    def _weighed(self, middles: Middles, n: int, candidates: Rows) -> tuple[Rows, Floats]:
        """The n best of some candidates, song rows int64 (m, p), -1 for none."""
        ordered = np.sort(candidates, axis=1)  # ties fall to the lower row
        places, likenesses = top_n(likeness_of_pairs(middles, self.songs, ordered), n)
        rows = np.take_along_axis(ordered, np.maximum(places, 0), axis=1) if ordered.size else places
        return np.where(places >= 0, rows, -1), likenesses


def graph_of(songs: Points) -> NDArray[np.uint8]:
    """The index over these songs, as bytes. Worked in one thread, as the graph depends on the order of its making."""
    vectors = vectors_of_songs(songs)
    index = Index(
        ndim=vectors.shape[1],
        metric="ip",
        dtype="f16",
        connectivity=LINKS,
        expansion_add=CARE,
        enable_key_lookups=False,
    )
    index.add(np.arange(len(vectors)), vectors, threads=1)
    stored = index.save()
    assert stored is not None, "the index was not put into memory"
    return np.frombuffer(stored, dtype=np.uint8)


def vectors_of_songs(songs: Points) -> Singles:
    """Vectors float32 (n, v) whose products with those of middles order songs nearly as likeness does.

    They have the length sqrt(share), share being how much of everything is known of the song. Likeness takes the share
    whole, but compares the middle's length on what is known of both alone, and that is about sqrt(share) of it.
    """
    axes = _name_axes(songs)
    names = (songs.name_scales[songs.codes][:, :, None] * axes[songs.codes]).sum(axis=1)
    squares = songs.squares.sum(axis=1)
    scale = np.sqrt(np.divide(_share(songs), squares, out=np.zeros(len(songs)), where=squares > 0))
    vectors: Singles = (np.hstack([songs.line, names]) * scale[:, None]).astype(np.float32)
    return vectors


def vectors_of_middles(middles: Middles, name_axes: Floats) -> Singles:
    """Vectors float32 (m, v) to look for `vectors_of_songs` with."""
    return np.hstack([middles.line, middles.names @ name_axes]).astype(np.float32)


def _share(points: Points | Middles) -> Floats:
    """How much of everything is known of each, by importance, 0..1."""
    importance = points.importance
    share: Floats = points.known @ importance / max(importance.sum(), np.finfo(float).tiny)
    return share


def _name_axes(songs: Points) -> Floats:
    """A direction for each name, float64 (k + 1, N_NAME_AXES), 0 for the unknown one."""
    # The directions are a fixed part of what an index is, not chance: whoever reads it must have them again.
    axes = np.random.default_rng(0).normal(size=(sum(songs.n_names) + 1, N_NAME_AXES))
    unit: Floats = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    unit[-1] = 0.0
    return unit


def _index_on(graph: NDArray[np.uint8]) -> Index:
    index = Index.restore(graph.data, view=True, expansion_search=N_CANDIDATES)
    assert index is not None, "what is stored is no index"
    return index


def _search(index: Index, vectors: Singles, n: int) -> Rows:
    """The entries of the index nearest to each vector, int64 (m, n), padded with -1."""
    entries = np.full((len(vectors), n), -1, dtype=np.int64)
    found = index.search(vectors, n, threads=1)
    if isinstance(found, Matches):  # what the index returns for one vector
        entries[0, : len(found)] = found.keys
    else:
        there = np.arange(n) < found.counts[:, None]
        entries[there] = found.keys[there]
    return entries


def _among(matrix: sparse.csr_array, columns: Rows) -> NDArray[np.bool_]:
    """Which of each row's columns, int64 (m, p), have an entry in that row of a CSR with its indices in order."""
    n = matrix.shape[1]
    row, column = matrix.tocoo().coords
    entries = np.append(row * np.int64(n) + column, np.iinfo(np.int64).max)
    wanted = np.arange(len(columns))[:, None] * n + columns
    among: NDArray[np.bool_] = entries[np.searchsorted(entries, wanted)] == wanted
    return among
