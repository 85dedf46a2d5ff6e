"""The linear autoencoder B of `item_based`, in three forms.

B minimises |X - X B|^2 + |D^(1/2) B|^2 under diag(B) = 0; D is diagonal. With P = (X'X + D)^-1,
B_ij = -P_ij / P_jj off the diagonal: the primal form. Where listeners are fewer than songs the inverse is taken on
their side: with G = X'(I + X D^-1 X')^-1 X (so P = D^-1 - D^-1 G D^-1),

    B_ij = (G_ij / d_i) / (1 - G_jj / d_j),

the dual form, and no songs x songs array is ever made. In the sparse form a song is predicted from its strongest
companions alone; songs that go together are worked out together, so that they share the products they need.

Sources: Steck, "Embarrassingly shallow autoencoders for sparse data" (2019), for the closed form; Ning and Karypis,
"SLIM: sparse linear methods for top-n recommender systems" (2011), for songs predicted from a neighbourhood; Steck,
"Markov random fields for collaborative filtering" (2019), for overlapping groups of songs.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from quasimusic.exceptions import EngineFault
from recommender.engines.compressed import BLOCK_FLOATS, Compressed, blocks, gram, gram_rows
from recommender.engines.ranking import top_n
from recommender.engines.tables import Floats, Rows
from recommender.engines.threads import bounded, mapped, n_threads

Places = NDArray[np.int32]

GROUP = 256  # songs whose products are worked out together
N_TOGETHER = 4096  # songs these products are between: what a group has of companions beyond that is left out
COLUMNS = 128  # columns of X a thread takes at once


def primal(X: sparse.csr_array, penalty: Floats) -> Floats:
    """B through the songs x songs inverse, float64 (n, n).

    X : CSR float64 (m, n). penalty : diag(D), float64 (n,), > 0. Raises EngineFault where rounding leaves no inverse.
    """
    A = gram(X)
    A[np.diag_indices_from(A)] += penalty
    B = _inverted(A)
    B /= -np.diag(B)
    np.fill_diagonal(B, 0.0)
    return B


def dual(X: sparse.csr_array, penalty: Floats) -> tuple[Floats, Floats]:
    """The listeners x listeners inverse and diag(G), float64 (m, m) and (n,); see the head of this module.

    Raises EngineFault where rounding leaves no inverse.
    """
    A = gram(sparse.csr_array((X / np.sqrt(penalty)).T))
    A[np.diag_indices_from(A)] += 1.0
    inverse = _inverted(A)
    diagonal = np.empty(X.shape[1])
    columns = Compressed.of(X.T.tocsr())
    chunks = [slice(start, start + COLUMNS) for start in range(0, len(diagonal), COLUMNS)]
    mapped(lambda chunk: _forms(columns, inverse, chunk.start, diagonal[chunk]), chunks)
    return inverse, diagonal


def sparse_weights(X: sparse.csr_array, penalty: Floats, n_companions: int) -> sparse.csr_array:
    """B with at most `n_companions` weights in a column, CSR float32 (n, n): each song is predicted from those alone.

    Exact where they are all other songs and `N_TOGETHER` or less. Beside its result it takes memory for a thread's
    N_TOGETHER^2 products and for `n_companions` numbers a song. Raises EngineFault where rounding leaves no solution.
    """
    n = X.shape[1]
    columns = X.T.tocsr()
    companions = _strongest(X, columns, max(1, min(n_companions, n - 1)))
    order = _by_companionship(companions, np.argsort(-np.diff(columns.indptr), kind="stable"), GROUP)

    def solved(group: Rows) -> tuple[Rows, Rows, Floats]:
        chosen = _with_companions(group, companions, N_TOGETHER)
        A = gram(columns[chosen].T.tocsr())
        places = _places(chosen, companions[group], n)
        weights = _regressed(A, penalty[chosen], places)
        songs = np.broadcast_to(group[:, None], places.shape)
        there = weights != 0.0
        return chosen[places[there]], songs[there], weights[there]

    with bounded(n_threads()):  # the groups are what is spread over threads
        parts = mapped(solved, [order[start : start + GROUP] for start in range(0, max(n, 1), GROUP)])
    rows, songs, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return sparse.csr_array((weights.astype(np.float32), (rows, songs)), shape=(n, n))


def _inverted(A: Floats) -> Floats:
    """The inverse of a symmetric positive definite A (n, n), C order, in A's own memory."""
    if not len(A):  # nobody likes any song: LAPACK does not take what is empty
        return A
    factor, fault = lapack.dpotrf(A.T, lower=1, clean=0, overwrite_a=1)
    _check(fault)
    inverse, fault = lapack.dpotri(factor, lower=1, overwrite_c=1)
    _check(fault)
    whole: Floats = inverse.T
    for block in blocks(len(A)):  # LAPACK has filled in the upper half
        corner = np.triu(whole[block, block])
        whole[block, block] = corner + np.triu(corner, 1).T
        whole[block.stop :, block] = whole[block, block.stop :].T
    return whole


def _check(fault: int) -> None:
    if fault:
        raise EngineFault("item_based: its equations cannot be solved at this precision; raise regularisation")


def _strongest(X: sparse.csr_array, columns: sparse.csr_array, n: int) -> Places:
    """The n songs with the highest cosine to each, best first, int32 (n_songs, n), -1 where there are fewer."""
    squares = columns.power(2).sum(axis=1)
    lengths = np.sqrt(np.where(squares > 0, squares, 1.0))
    rows, by_song = Compressed.of(X), Compressed.of(columns)
    strongest = np.empty((len(lengths), n), dtype=np.int32)

    def find(block: slice) -> None:
        cosines = np.empty((block.stop - block.start, len(lengths)))
        gram_rows(rows, by_song, block.start, cosines)
        cosines[np.arange(len(cosines)), np.arange(block.start, block.stop)] = 0.0
        cosines /= lengths
        cosines[cosines <= 0.0] = np.nan
        strongest[block] = top_n(cosines, n)[0]

    mapped(find, blocks(len(lengths)))
    return strongest


@njit(nogil=True, cache=True)
def _by_companionship(strongest: Places, seeds: Rows, size: int) -> Rows:
    """All songs in an order whose stretches of `size` hold songs that go together.

    Each stretch grows from the first of `seeds` not placed yet to its companions, their companions and so on; where
    these end before the stretch does, from the next seed.
    """
    order = np.empty(len(seeds), dtype=np.int64)
    placed = np.zeros(len(seeds), dtype=np.bool_)
    n_placed = 0
    for seed in seeds:
        if placed[seed]:
            continue
        order[n_placed] = seed
        placed[seed] = True
        at, n_placed = n_placed, n_placed + 1
        while at < n_placed and n_placed % size:
            for song in strongest[order[at]]:
                if song >= 0 and not placed[song] and n_placed % size:
                    order[n_placed] = song
                    placed[song] = True
                    n_placed += 1
            at += 1
    return order


def _with_companions(group: Rows, companions: Places, n: int) -> Rows:
    """The songs of a group and then their companions, n together at most: of each song the first, then the second."""
    rounds: Rows = np.concatenate([group, companions[group].T.ravel()]).astype(np.int64)
    songs, first = np.unique(rounds[rounds >= 0], return_index=True)
    chosen: Rows = songs[np.argsort(first)][:n]
    return chosen


def _places(chosen: Rows, companions: Places, n_songs: int) -> Rows:
    """Where among the chosen songs each companion stands, int64 (b, c), -1 where it does not."""
    places = np.full(n_songs + 1, -1)  # the companion -1, who is none, finds the last
    places[chosen] = np.arange(len(chosen))
    found: Rows = places[companions]
    return found


def _regressed(A: Floats, penalty: Floats, places: Rows) -> Floats:
    """The first songs of A each predicted from its companions: weights float64 (b, c), 0 where there is none.

    A : X'X of some songs, float64 (u, u). penalty : theirs, float64 (u,). places : the companions' among them,
        int64 (b, c), -1 for none.
    """
    weights = np.zeros(places.shape)
    step = max(1, BLOCK_FLOATS // max(places.shape[1], 1) ** 2)
    for start in range(0, len(places), step):
        own = np.arange(start, min(start + step, len(places)))
        companions = places[own]
        there = companions >= 0
        equations = A[companions[:, :, None], companions[:, None, :]] * (there[:, :, None] & there[:, None, :])
        diagonal = np.arange(places.shape[1])
        equations[:, diagonal, diagonal] += np.where(there, penalty[companions], 1.0)
        together = np.where(there, A[own[:, None], companions], 0.0)
        weights[own] = np.linalg.solve(equations, together[:, :, None])[:, :, 0]
    return weights


@njit(nogil=True, cache=True)
def _forms(columns: Compressed, inverse: Floats, first: int, out: Floats) -> None:
    """x' inverse x of each column x of X from `first` on, into `out` float64 (b,); `columns` of X'."""
    for place in range(len(out)):
        start, stop = columns.starts[first + place], columns.starts[first + place + 1]
        form = 0.0
        for entry in range(start, stop):
            along = inverse[columns.places[entry]]
            product = 0.0
            for other in range(start, stop):
                product += along[columns.places[other]] * columns.values[other]
            form += columns.values[entry] * product
        out[place] = form
