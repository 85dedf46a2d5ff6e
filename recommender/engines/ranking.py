"""From scores to lists: the n best of each row, ties settled, absent opinions padded; and draws by chance.

The best so far of a row stand in a short list, and only what beats the last of them enters. Of a row of k scores
about n log(k / n) ever do, so most of the row is passed over in stretches, a few instructions each.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from recommender.engines.tables import Floats, Rows
from recommender.engines.threads import mapped

STRETCH = 64  # scores compared with the n-th best at once
LONG = 300  # beyond so many, a list is cut from a partition: what enters a list moves half of it
TILE = (512, 512)  # rows and columns of products that stand in memory at once: 1 MiB, which caches hold
PLACES = 10  # the stretch of a list over which artists are capped, wherever it begins
SPARE = 2  # how many more than n are weighed exactly: rounding may have put the n-th best a little too low

Singles = NDArray[np.float32]


def top_n(scores: Floats | Singles, n: int) -> tuple[Rows, Floats]:
    """The n highest scores of each row, highest first; ties fall to the lower column.

    scores : float64 or float32 (m, k), NaN = no opinion.
    Returns columns int64 (m, n), padded with -1, and their scores float64 (m, n), padded with NaN.
    """
    if n > LONG:
        return _partitioned(scores, n)
    values, columns = _lists(len(scores), n, scores.dtype)
    _enter(np.ascontiguousarray(scores), 0, values, columns)
    return columns, np.where(columns >= 0, values, np.nan).astype(np.float64, copy=False)


def best_products(
    left: Singles, right: Singles, n: int, excluded: sparse.csr_array | None = None
) -> tuple[Rows, Floats]:
    """The n highest products of each row of `left` with the rows of `right`, as `top_n` of left @ right.T.

    left : float32 (m, d). right : float32 (k, d); a row with NaN in it is never listed.
    excluded : CSR (m, k), indices in order; its entries are not listed.
    Returns columns int64 (m, n) and products float64 (m, n), padded as `top_n` does. Products are found in float32,
    a tile of them at a time, and those listed are summed and ordered again in float64: of two columns closer than
    float32 tells apart, the lower of the two may be listed n-th.
    """
    assert left.ndim == right.ndim == 2, (left.shape, right.shape)
    assert left.shape[1] == right.shape[1], (left.shape, right.shape)
    assert left.dtype == right.dtype == np.float32, (left.dtype, right.dtype)
    barred = sparse.csr_array((len(left), len(right))) if excluded is None else excluded
    assert barred.shape == (len(left), len(right)), (barred.shape, left.shape, right.shape)
    assert barred.has_sorted_indices
    columns = np.full((len(left), n), -1, dtype=np.int64)
    products = np.full((len(left), n), np.nan)
    chunks = [slice(start, start + TILE[0]) for start in range(0, len(left), TILE[0])]

    def best(chunk: slice) -> tuple[Rows, Floats]:
        return _best_of_block(left[chunk], right, n, barred.indptr[chunk.start : chunk.stop + 1], barred.indices)

    for chunk, listed in zip(chunks, mapped(best, chunks), strict=True):
        columns[chunk], products[chunk] = listed
    return columns, products


def capped_top_n(scores: Floats, n: int, artists: Rows, max_per_artist: int) -> tuple[Rows, Floats]:
    """As `top_n`, with at most `max_per_artist` songs of an artist in any ten places that follow each other.

    artists : int64 (k,), artist of each column, -1 = unknown, which is never capped.
    A song passed over waits for the next place that allows it. Where there is none, the list ends.
    """
    columns = interleaved_top_n(scores, np.full((len(scores), 0), np.nan), np.zeros(n, bool), artists, max_per_artist)
    return columns, values_at(scores, columns)


def interleaved_top_n(
    scores: Floats, others: Floats, reserved: NDArray[np.bool_], artists: Rows, max_per_artist: int
) -> Rows:
    """Columns of a list that is capped as by `capped_top_n`, int64 (m, n), padded with -1, where the places that are
    `reserved`, bool (n,), go to the highest of other scores.

    others : float64 (m, k) or (m, 0), NaN = no opinion, and NaN wherever `scores` is not.
    Where one kind has nothing that a place allows, the other takes it.
    """
    n = len(reserved)
    columns = np.full((len(scores), n), -1, dtype=np.int64)
    open_rows, depth = np.arange(len(scores)), 4 * n
    while len(open_rows):
        first, second = (top_n(each[open_rows], min(depth, each.shape[1]))[0] for each in (scores, others))
        chosen = np.full((len(open_rows), n), -1, dtype=np.int64)
        wanting = np.zeros(len(open_rows), dtype=bool)
        _choose(first, second, reserved, artists, max_per_artist, chosen, wanting)
        columns[open_rows] = chosen
        # A list that wanted more of a kind than was ranked looks deeper, until all are.
        open_rows, depth = open_rows[wanting & (depth < scores.shape[1])], 4 * depth
    return columns


def values_at(scores: Floats, columns: Rows) -> Floats:
    """Scores (m, k) at these columns (m, n); NaN at padding."""
    if not scores.shape[1]:
        return np.full(columns.shape, np.nan)
    values: Floats = np.where(columns >= 0, np.take_along_axis(scores, np.maximum(columns, 0), axis=1), np.nan)
    return values


def drawn(scores: Floats, sampling: str, seed: int, listener_rows: Rows) -> Floats:
    """Scores by which a `top_n` is a draw without replacement; NaN stays NaN, and everything else is in 0..1.

    scores : float64 (m, k) >= 0 or NaN, one row a listener.
    sampling : "top_n" leaves the scores alone; "uniform" draws any with an opinion alike; "distribution" draws in
        proportion to the score.
    seed, listener_rows : each listener has a stream of chance of their own, so that a batch draws as one by one.

    An exponential race: of clocks with rates w the first to ring is drawn in proportion to w (Efraimidis and
    Spirakis, "Weighted random sampling with a reservoir", 2006). w / (w + E) orders as w / E does.
    """
    if sampling == "top_n":
        return scores
    clocks = np.empty(scores.shape)
    for i, row in enumerate(listener_rows):
        clocks[i] = np.random.default_rng((seed, int(row))).standard_exponential(scores.shape[1])
    rates = np.where(np.isnan(scores), np.nan, 1.0) if sampling == "uniform" else scores
    return rates / (rates + clocks)


def _best_of_block(
    left: Singles, right: Singles, n: int, indptr: NDArray[np.integer], indices: NDArray[np.integer]
) -> tuple[Rows, Floats]:
    """`best_products` of a few rows, whose excluded columns are given as their part of a CSR."""
    values, columns = _lists(len(left), n + SPARE, left.dtype)
    cursors, ends = indptr[:-1].astype(np.int64), indptr[1:].astype(np.int64)
    room = np.empty(len(left) * TILE[1], dtype=np.float32)
    for start in range(0, len(right), TILE[1]):
        part = right[start : start + TILE[1]]
        tile = room[: len(left) * len(part)].reshape(len(left), len(part))
        np.dot(left, part.T, out=tile)
        _blank(tile, start, cursors, ends, indices)
        _enter(tile, start, values, columns)
    columns.sort(axis=1)
    places, products = top_n(_products(left, right, columns), n)
    return np.where(places >= 0, np.take_along_axis(columns, np.maximum(places, 0), axis=1), -1), products


def _partitioned(scores: Floats | Singles, n: int) -> tuple[Rows, Floats]:
    """`top_n` of many: all that reach the n-th best are sorted, for a partition picks at will among those that tie."""
    columns, values = np.full((len(scores), n), -1, dtype=np.int64), np.full((len(scores), n), np.nan)
    known = np.where(np.isnan(scores), -np.inf, scores)
    nth = -min(n, scores.shape[1])
    bars = np.partition(known, nth, axis=1)[:, [nth]] if nth else known
    rows, candidates = np.nonzero(scores >= bars)
    found = scores[rows, candidates]
    order = np.lexsort((candidates, -found, rows))
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    listed = rank < n
    columns[rows[listed], rank[listed]] = candidates[order][listed]
    values[rows[listed], rank[listed]] = found[order][listed]
    return columns, values


def _lists(m: int, n: int, dtype: np.dtype[Any]) -> tuple[NDArray[Any], Rows]:
    """Values (m, n) and columns int64 (m, n) of lists that are empty yet: -inf at column -1."""
    return np.full((m, n), -np.inf, dtype=dtype), np.full((m, n), -1, dtype=np.int64)


@njit(nogil=True, cache=True)
def _enter(scores: NDArray[Any], first_column: int, values: NDArray[Any], columns: Rows) -> None:
    """Bring the best of each row of scores (m, k), whose columns count from `first_column`, into its list.

    Columns come in order, so of those that tie the lower is there first, and stays before the others.
    """
    m, k = scores.shape
    last = values.shape[1] - 1
    reaching = np.empty(STRETCH, dtype=np.int64)
    for row in range(m):
        own, best, places = scores[row], values[row], columns[row]
        for start in range(0, k, STRETCH):
            stop = min(start + STRETCH, k)
            if stop == start + STRETCH and not _any_reaches(own, start, best[last]):
                continue
            n_reaching = 0
            for column in range(start, stop):
                reaching[n_reaching] = column
                n_reaching += own[column] >= best[last]
            for column in reaching[:n_reaching]:
                score = own[column]
                if score > best[last] or places[last] < 0:
                    place = last
                    while place > 0 and (best[place - 1] < score or places[place - 1] < 0):
                        best[place], places[place] = best[place - 1], places[place - 1]
                        place -= 1
                    best[place], places[place] = score, first_column + column


@njit(nogil=True, cache=True)
def _any_reaches(scores: NDArray[Any], start: int, bar: float) -> bool:
    """Whether any of the stretch from `start` on is `bar` or more; a NaN is not."""
    # Of a length known beforehand and without a branch, the loop becomes a few wide comparisons.
    reached = False
    for column in range(start, start + STRETCH):
        reached |= scores[column] >= bar
    return reached


@njit(nogil=True, cache=True)
def _blank(tile: Singles, first_column: int, cursors: Rows, ends: Rows, indices: NDArray[np.integer]) -> None:
    """NaN at the excluded columns that fall in this tile; `cursors`, of each row the next of them, move on."""
    m, k = tile.shape
    for row in range(m):
        cursor = cursors[row]
        while cursor < ends[row] and indices[cursor] < first_column + k:
            tile[row, indices[cursor] - first_column] = np.nan
            cursor += 1
        cursors[row] = cursor


# The order of a sum is left to the compiler ("reassoc", "contract"), which is what makes it wide; NaN stays NaN.
@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _products(left: Singles, right: Singles, columns: Rows) -> Floats:
    """Products of each row of `left` with its own columns' rows of `right`, float64; NaN where there is no column."""
    m, n = columns.shape
    products = np.full((m, n), np.nan)
    for row in range(m):
        for place in range(n):
            if columns[row, place] >= 0:
                product = 0.0
                for axis in range(left.shape[1]):
                    product += np.float64(left[row, axis]) * np.float64(right[columns[row, place], axis])
                products[row, place] = product
    return products


@njit(nogil=True, cache=True)
def _choose(
    first: Rows,
    second: Rows,
    reserved: NDArray[np.bool_],
    artists: Rows,
    max_per_artist: int,
    chosen: Rows,
    wanting: NDArray[np.bool_],
) -> None:
    """Fill each row of `chosen` place by place with the first column allowed there, of `second` where the place is
    reserved and else of `first`, of the other kind where there is none; a row that came to that is `wanting`."""
    n = chosen.shape[1]
    for row in range(len(first)):
        kinds = (first[row], second[row])
        used = (np.zeros(len(kinds[0]), dtype=np.bool_), np.zeros(len(kinds[1]), dtype=np.bool_))
        listed = chosen[row]
        for place in range(n):
            near = listed[max(0, place - PLACES + 1) : place]
            kind = 1 if reserved[place] else 0
            found = _first_allowed(kinds[kind], used[kind], artists, near, max_per_artist)
            if found < 0:
                wanting[row] = True
                kind = 1 - kind
                found = _first_allowed(kinds[kind], used[kind], artists, near, max_per_artist)
            if found < 0:
                break
            used[kind][found] = True
            listed[place] = kinds[kind][found]


@njit(nogil=True, cache=True)
def _first_allowed(ranked: Rows, used: NDArray[np.bool_], artists: Rows, near: Rows, max_per_artist: int) -> int:
    """The place in `ranked` of the first column not used whose artist the places near leave room for, -1 = none."""
    for place in range(len(ranked)):
        column = ranked[place]
        if column < 0:
            return -1
        if used[place]:
            continue
        if artists[column] < 0:
            return place
        alike = 0
        for other in near:
            alike += artists[other] == artists[column]
        if alike < max_per_artist:
            return place
    return -1
