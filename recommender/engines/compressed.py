"""Sparse matrices as the compiled kernels read them, and the product of one with its own transpose."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from recommender.engines.tables import Floats, Rows
from recommender.engines.threads import mapped

BLOCK_FLOATS = 1 << 20  # products that one thread lays out at once: 8 MiB


class Compressed(NamedTuple):
    """The arrays of a CSR (m, n), always of the same types, so that a kernel is compiled but once.

    starts : int64 (m + 1,). places : int32 (nnz,), columns. values : float64 (nnz,).
    """

    starts: Rows
    places: NDArray[np.int32]
    values: Floats

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> "Compressed":
        """The rows of `matrix`; arrays that have the right type already are shared with it."""
        return cls(
            matrix.indptr.astype(np.int64, copy=False),
            matrix.indices.astype(np.int32, copy=False),
            matrix.data.astype(np.float64, copy=False),
        )


def gram(X: sparse.csr_array) -> Floats:
    """X'X, dense float64 (n, n), C order.

    X : CSR float64 (m, n). Costs the sum over rows of their squared lengths.
    """
    products = np.empty((X.shape[1], X.shape[1]))
    rows, columns = Compressed.of(X), Compressed.of(X.T.tocsr())

    def fill(block: slice) -> None:
        gram_rows(rows, columns, block.start, products[block])

    mapped(fill, blocks(X.shape[1]))
    return products


def blocks(n: int) -> list[slice]:
    """The rows of an (n, n) array in blocks of `BLOCK_FLOATS` or less."""
    step = max(1, BLOCK_FLOATS // max(n, 1))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]


@njit(nogil=True, cache=True)
def gram_rows(rows: Compressed, columns: Compressed, first: int, out: Floats) -> None:
    """Fill `out` float64 (b, n) with rows `first` to first + b of X'X.

    rows : of X (m, n). columns : of its transpose (n, m).
    """
    out[:] = 0.0
    for place in range(len(out)):
        products = out[place]
        for entry in range(columns.starts[first + place], columns.starts[first + place + 1]):
            row, value = columns.places[entry], columns.values[entry]
            for other in range(rows.starts[row], rows.starts[row + 1]):
                products[rows.places[other]] += value * rows.values[other]
