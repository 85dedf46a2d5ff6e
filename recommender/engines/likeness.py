"""How alike the songs of a list are, for judging how varied the list is."""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from recommender.engines.content import learn_content, points
from recommender.engines.points import likeness_of_pairs
from recommender.engines.tables import Floats, Rows, SongTable, Tables

# The yardstick is fixed: it must not move where the content engine is tuned.
YARDSTICK = {"audio_weight": 1.0, "genre_weight": 1.0, "tag_weight": 1.0, "country_weight": 0.0, "n_tag_axes": 64}

# Lists of song rows, int64 (m, k), to the likeness of each pair of their songs, float64 (m, k, k); NaN where two
# songs cannot be compared. Rows of -1 are padding, whose likeness means nothing.
Likeness = Callable[[Rows], Floats]


def song_likeness(tables: Tables) -> Likeness:
    """By content where anything is known of how songs sound, else by who listens to them."""
    return _by_content(tables.songs) if tables.songs.has_content.any() else _by_listening(tables.known)


def _by_content(songs: SongTable) -> Likeness:
    """-1..1, the cosine of the songs' points over what is known of both (see `points.likeness`)."""
    every = points(songs, learn_content(songs, YARDSTICK))

    def alike(song_rows: Rows) -> Floats:
        k = song_rows.shape[1]
        singles = every.rows(song_rows.ravel()).alone()
        return likeness_of_pairs(singles, every, np.repeat(song_rows, k, axis=0)).reshape(-1, k, k)

    return alike


def _by_listening(known: sparse.csr_array) -> Likeness:
    """0..1, the cosine of the songs' listeners; none with a song that has no listener."""
    by_song = known.T.tocsr()
    lengths = np.sqrt(np.diff(by_song.indptr))

    def alike(song_rows: Rows) -> Floats:
        k = song_rows.shape[1]
        first, second = np.repeat(song_rows, k, axis=1).ravel(), np.tile(song_rows, k).ravel()
        together = by_song[first].multiply(by_song[second]).sum(axis=1)
        both = lengths[first] * lengths[second]
        cosines: Floats = np.divide(together, both, out=np.full(len(both), np.nan), where=both > 0)
        return cosines.reshape(-1, k, k)

    return alike
