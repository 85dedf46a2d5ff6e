"""Songs as points that are partly unknown, the middles between them, and how like each other they are.

A point is kept in parts: a line of numbers, and the places of its genre and its country among all names, which as
one-hot dimensions would be nearly all zeros. It is known or unknown by blocks: each numeric column is a block of its
own; all tags are one, and so are the genre and the country.

What is missing is left out, not guessed: two points are compared on the blocks both have, and the result counts by
how much of what is known of the first the second shares. To have a feature unknown brings no song nearer to any.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from recommender.engines.tables import Floats, Rows

Singles = NDArray[np.float32]
Codes = NDArray[np.int32]
Flags = NDArray[np.bool_]

TAGS, GENRE, COUNTRY = -3, -2, -1  # places among the blocks; the numeric columns stand before them


@dataclass(frozen=True, eq=False)
class Points:
    """Songs in the space of content, n of them; c numeric columns, a tag axes, k names, b = c + 3 blocks.

    line : float32 (n, c + a), the numeric columns and the tag axes, 0 where unknown.
    codes : int32 (n, 2), genre and country among the names, k where unknown.
    n_names : genres and countries there are; k is their sum.
    known : bool (n, b), the blocks known of each song: columns, tags, genre, country.
    importance : float64 (b,) >= 0, the weight of each block; a genre or a country has its root for a length.
    """

    line: Singles
    codes: Codes
    n_names: tuple[int, int]
    known: Flags
    importance: Floats

    def __post_init__(self) -> None:
        n, b = self.known.shape
        assert self.line.shape[0] == n, (self.line.shape, n)
        assert self.codes.shape == (n, 2), self.codes.shape
        assert self.importance.shape == (b,), (self.importance.shape, b)

    def __len__(self) -> int:
        return len(self.line)

    def rows(self, rows: Any) -> "Points":
        """Some of the songs, by row numbers or a slice."""
        return Points(self.line[rows], self.codes[rows], self.n_names, self.known[rows], self.importance)

    def middles(self, weights: sparse.csr_array) -> "Middles":
        """Weighted means, each block's over the songs that have it; one for each row of `weights` (m, n) >= 0."""
        assert weights.shape[1] == len(self), (weights.shape, len(self))
        m = weights.shape[0]
        line = np.zeros((m, self.line.shape[1]))
        names = np.zeros((m, len(self.name_scales)))
        totals = np.zeros((m, len(self.importance)))
        entries = weights.indptr.astype(np.int64), weights.indices.astype(np.int64), weights.data.astype(np.float64)
        _sum_up(*entries, self.line, self.codes, self.name_scales, self.known, line, names, totals)
        per_unit = np.divide(1.0, totals, out=np.zeros_like(totals), where=totals > 0)
        return Middles(line * per_unit[:, self.line_blocks], names * per_unit[:, self.name_blocks], totals > 0, self)

    def alone(self) -> "Middles":
        """Each song as the middle of itself."""
        return self.middles(sparse.csr_array(sparse.eye_array(len(self))))

    def pulls(self, song_rows: Rows, towards: int, totals: Floats) -> Floats:
        """What a unit of weight on each of these songs adds to the product of a middle and one song, float64 (p,).

        totals : float64 (b,), the weight of what the middle is made of, by block.
        """
        per_unit = np.divide(1.0, totals, out=np.zeros_like(totals), where=totals > 0)
        along_line = self.line[song_rows] @ (self.line[towards] * per_unit[self.line_blocks])
        alike = self.codes[song_rows] == self.codes[towards]
        pulls: Floats = along_line + alike @ (self.name_scales[self.codes[towards]] ** 2 * per_unit[[GENRE, COUNTRY]])
        return pulls

    @cached_property
    def line_blocks(self) -> Rows:
        """The block of each place of the line, int64 (c + a,)."""
        return np.minimum(np.arange(self.line.shape[1]), len(self.importance) + TAGS)

    @cached_property
    def name_blocks(self) -> Rows:
        """The block of each name, int64 (k + 1,), the unknown name's last."""
        return np.repeat([GENRE, COUNTRY, COUNTRY], [*self.n_names, 1])

    @cached_property
    def name_scales(self) -> Floats:
        """The length of a song's point along its genre or country, float64 (k + 1,), 0 along the unknown name."""
        return np.append(np.sqrt(np.repeat(self.importance[[GENRE, COUNTRY]], self.n_names)), 0.0)

    @cached_property
    def squares(self) -> Singles:
        """Squared length of each song in each block, float32 (n, b)."""
        squares = np.where(self.known, self.importance, 0.0).astype(np.float32)
        _line_squares(self.line, squares)
        return squares

    @cached_property
    def patterns(self) -> tuple[Flags, Codes]:
        """What there is of combinations of known blocks, bool (p, b), and the one of each song, int32 (n,)."""
        return _patterns(self.known)


@dataclass(frozen=True, eq=False)
class Middles:
    """Artificial songs, m of them, each between some songs of `songs`.

    line : float64 (m, c + a). names : float64 (m, k + 1), the share of each name times its length.
    known : bool (m, b).
    """

    line: Floats
    names: Floats
    known: Flags
    songs: Points

    def __len__(self) -> int:
        return len(self.line)

    def rows(self, rows: Any) -> "Middles":
        return Middles(self.line[rows], self.names[rows], self.known[rows], self.songs)

    @property
    def importance(self) -> Floats:
        return self.songs.importance

    @cached_property
    def squares(self) -> Floats:
        """Squared length of each middle in each block, float64 (m, b)."""
        squares = np.zeros(self.known.shape)
        _line_squares(self.line, squares)
        n_genres = self.songs.n_names[0]
        squares[:, GENRE] = (self.names[:, :n_genres] ** 2).sum(axis=1)
        squares[:, COUNTRY] = (self.names[:, n_genres:] ** 2).sum(axis=1)
        return squares


def likeness(middles: Middles, songs: Points) -> Singles:
    """How like each middle each song is, -1..1, float32 (m, n); NaN where they share no known block.

    The cosine over the blocks known of both, times the importance of these over that of all the middle knows.
    """
    patterns, pattern_of_song = songs.patterns
    own_patterns, pattern_of_middle = _patterns(middles.known)
    spoken = _span(middles.line)
    likenesses: Singles = middles.line[:, spoken].astype(np.float32) @ songs.line[:, spoken].T
    _finish(
        likenesses,
        (middles.names * songs.name_scales).astype(np.float32),
        songs.codes,
        _shared_per_length(middles, patterns),
        pattern_of_song,
        _per_length(own_patterns.astype(np.float32) @ songs.squares.T),
        pattern_of_middle,
    )
    return likenesses


def likeness_of_pairs(middles: Middles, songs: Points, rows: Rows) -> Floats:
    """The same of a few songs for each middle, summed in float64 one by one: alike whatever it is asked along with.

    rows : int64 (m, p), song rows, -1 for none. Returns float64 (m, p), NaN at none.
    """
    assert rows.shape[0] == len(middles), (rows.shape, len(middles))
    likenesses = np.full(rows.shape, np.nan)
    _pairs(
        middles.line,
        middles.names * songs.name_scales,
        middles.known,
        middles.squares,
        songs.line,
        songs.codes,
        songs.known,
        songs.squares,
        songs.importance,
        rows,
        likenesses,
    )
    return likenesses


def _span(line: Floats) -> slice:
    """The part of the line that is not all zeros: middles without tags, or without columns, spare the products."""
    found = np.flatnonzero(line.any(axis=0))
    return slice(found[0], found[-1] + 1) if len(found) else slice(0)


def _shared_per_length(middles: Middles, patterns: Flags) -> Singles:
    """What each middle shares with songs of each pattern, 0..1, over its length in there, float32 (m, p); NaN where
    they share nothing."""
    shared = (middles.known * middles.importance) @ patterns.T
    of_everything = _per_unit((middles.known @ middles.importance)[:, None])
    lengths = np.sqrt(middles.squares @ patterns.T)
    factors = np.where(shared > 0, shared * of_everything * _per_unit(lengths), np.nan)
    return factors.astype(np.float32)


def _per_length(squares: Singles) -> Singles:
    return _per_unit(np.sqrt(squares))


def _per_unit(values: NDArray[Any]) -> NDArray[Any]:
    """1 / value, 0 where it is 0."""
    inverse: NDArray[Any] = np.divide(1.0, values, out=np.zeros_like(values), where=values > 0)
    return inverse


def _patterns(known: Flags) -> tuple[Flags, Codes]:
    bits = np.packbits(known, axis=1)
    _, first, place = np.unique(bits, axis=0, return_index=True, return_inverse=True)
    return known[first], place.astype(np.int32)


def _line_squares(line: NDArray[Any], squares: NDArray[Any]) -> None:
    """Fill in the squared lengths (n, b) in the blocks of columns and tags."""
    n_columns = squares.shape[1] + TAGS
    squares[:, :n_columns] = line[:, :n_columns] ** 2
    squares[:, TAGS] = np.einsum("na,na->n", line[:, n_columns:], line[:, n_columns:])


@njit(nogil=True, cache=True)
def _sum_up(
    indptr: Rows,
    indices: Rows,
    weights: Floats,
    line: Singles,
    codes: Codes,
    name_scales: Floats,
    known: Flags,
    line_sums: Floats,
    name_sums: Floats,
    totals: Floats,
) -> None:
    """Add the songs of each row of a CSR, times their weights, to that row's sums; what is unknown of them is 0."""
    for row in range(len(indptr) - 1):
        for entry in range(indptr[row], indptr[row + 1]):
            song, weight = indices[entry], weights[entry]
            for place in range(line.shape[1]):
                line_sums[row, place] += weight * line[song, place]
            for code in codes[song]:
                name_sums[row, code] += weight * name_scales[code]
            for block in range(known.shape[1]):
                totals[row, block] += weight * known[song, block]


@njit(nogil=True, cache=True)
def _finish(
    products: Singles,
    names: Singles,
    codes: Codes,
    factors: Singles,
    pattern_of_song: Codes,
    per_length: Singles,
    pattern_of_middle: Codes,
) -> None:
    """Make likenesses (m, n) of products along the line, in place: add what the names give, and take the factors.

    factors : (m, p) by the song's pattern. per_length : (r, n) by the middle's pattern.
    """
    m, n = products.shape
    for row in range(m):
        own, own_names, own_factors = products[row], names[row], factors[row]
        own_lengths = per_length[pattern_of_middle[row]]
        for song in range(n):
            product = own[song] + own_names[codes[song, 0]] + own_names[codes[song, 1]]
            own[song] = product * own_lengths[song] * own_factors[pattern_of_song[song]]


@njit(nogil=True, cache=True)
def _pairs(
    line: Floats,
    names: Floats,
    known: Flags,
    squares: Floats,
    song_line: Singles,
    song_codes: Codes,
    song_known: Flags,
    song_squares: Singles,
    importance: Floats,
    rows: Rows,
    likenesses: Floats,
) -> None:
    for row in range(rows.shape[0]):
        for place in range(rows.shape[1]):
            song = rows[row, place]
            if song < 0:
                continue
            everything, shared, own_square, song_square = 0.0, 0.0, 0.0, 0.0
            for block in range(len(importance)):
                everything += importance[block] * known[row, block]
                if known[row, block] and song_known[song, block]:
                    shared += importance[block]
                    own_square += squares[row, block]
                    song_square += song_squares[song, block]
            if shared == 0:
                continue
            product = names[row, song_codes[song, 0]] + names[row, song_codes[song, 1]]
            for axis in range(line.shape[1]):
                product += line[row, axis] * song_line[song, axis]
            length = np.sqrt(own_square * song_square)
            likenesses[row, place] = product / length * shared / everything if length > 0 else 0.0
