"""The songs a model was fitted on, found again among the songs of today's tables."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.engines.tables import Rows, SongTable

Number = TypeVar("Number", bound=np.floating)


@dataclass(frozen=True, eq=False)
class LearnedSongs:
    """Learned songs, each at its place in the learned arrays.

    ids : Index (k,), what was learned, in the order of the arrays. songs : the songs of the tables.
    """

    ids: pd.Index
    songs: SongTable

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def places(self) -> Rows:
        """Place of each song of the tables, int64 (n_songs,), -1 where it was not learned."""
        return self.ids.get_indexer(self.songs.ids).astype(np.int64)

    @cached_property
    def song_rows(self) -> Rows:
        """Song row of each place, int64 (k,), -1 where the tables no longer have the song."""
        return self.songs.ids.get_indexer(self.ids).astype(np.int64)

    def gather(self, matrix: sparse.csr_array) -> sparse.csr_array:
        """The learned columns of a CSR (m, n_songs) as CSR (m, k); stored zeros stay."""
        entries = matrix.tocoo()
        rows, columns = entries.coords
        places = self.places[columns]
        kept = places >= 0
        return sparse.csr_array((entries.data[kept], (rows[kept], places[kept])), shape=(matrix.shape[0], len(self)))

    @cached_property
    def in_place(self) -> bool:
        """Whether the learned songs are those of the tables, in their order."""
        return self.ids.equals(self.songs.ids)

    def spread(self, values: NDArray[Number]) -> NDArray[Number]:
        """Values (m, k) of the learned songs laid on the songs of the tables, (m, n_songs), NaN elsewhere.

        Where all songs are learned and in place, these are the values themselves.
        """
        assert values.shape[1] == len(self), values.shape
        if self.in_place:
            return values
        if not len(self):
            return np.full((len(values), len(self.songs)), np.nan, dtype=values.dtype)
        spread = np.take(values, self.places, axis=1)  # the place -1 takes the last of them
        spread[:, self._absent] = np.nan
        return spread

    @cached_property
    def _absent(self) -> Rows:
        """Rows of the songs that were not learned, int64."""
        return np.flatnonzero(self.places < 0)
