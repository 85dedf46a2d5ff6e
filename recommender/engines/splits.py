"""Holding out part of what is known, so that engines are judged on what they have not seen."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quasimusic.exceptions import MomentUnknown, ParameterOutOfRange, TableNeeded
from recommender.engines.tables import Floats, RatingTable, Rows, Tables

Marks = NDArray[np.bool_]

UNKNOWN = np.iinfo(np.int64).min  # NaT as a number: below every moment
FEW = 15  # newcomers, where one listener in five are fewer and there are twice as many


def split(tables: Tables, *, fraction: float = 0.2, rng: np.random.Generator) -> tuple[Tables, sparse.csr_array]:
    """Hide `fraction` of each listener's known songs.

    A held-out (listener, song) leaves both history and ratings. A listener of two known songs or more keeps at
    least one and has at least one held out; a listener of one keeps it.
    Returns the training tables and the held-out pairs, CSR float64 (n_listeners, n_songs) of ones.
    """
    _check_fraction(fraction)
    return _hold_out(tables, fraction, rng.random(tables.known.nnz))


def split_by_time(
    tables: Tables, *, fraction: float = 0.2, rng: np.random.Generator
) -> tuple[Tables, sparse.csr_array]:
    """As `split`, hiding what each listener came to last; what came in one moment is hidden by chance.

    The moment of a (listener, song) is the later of `last_played_at` and `rated_at`.
    Raises MomentUnknown where a pair has neither.
    """
    _check_fraction(fraction)
    return _hold_out(tables, fraction, rng.random(tables.known.nnz), -_moments(tables))


def leave_one_out(tables: Tables, *, rng: np.random.Generator) -> tuple[Tables, sparse.csr_array]:
    """As `split`, hiding one song of each listener."""
    return _hold_out(tables, 0.0, rng.random(tables.known.nnz))


def leave_last_out(tables: Tables, *, rng: np.random.Generator) -> tuple[Tables, sparse.csr_array]:
    """As `split_by_time`, hiding one song of each listener."""
    return _hold_out(tables, 0.0, rng.random(tables.known.nnz), -_moments(tables))


def folds(tables: Tables, *, n_folds: int, rng: np.random.Generator) -> Iterator[tuple[Tables, sparse.csr_array]]:
    """As `split`, n_folds times over: each known pair is held out once, except that a listener's only song never is."""
    _check_folds(n_folds)
    listeners, songs = _pairs(tables)
    counts = np.bincount(listeners, minlength=tables.n_listeners)
    fold = np.where(counts[listeners] > 1, _places(listeners, rng.random(len(songs))) % n_folds, -1)
    for number in range(n_folds):
        yield _hide(tables, listeners[fold == number], songs[fold == number])


def rating_folds(tables: Tables, *, n_folds: int, rng: np.random.Generator) -> Iterator[tuple[Tables, RatingTable]]:
    """Training tables and held-out ratings, each rating held out once; history is left as it is."""
    _check_folds(n_folds)
    fold = rng.permutation(len(tables.ratings)) % n_folds
    for number in range(n_folds):
        yield replace(tables, ratings=_ratings(tables, fold != number)), _ratings(tables, fold == number)


def held_ratings(tables: Tables, held_out: sparse.csr_array) -> RatingTable:
    """Those ratings of `tables` that are of held-out pairs."""
    ratings = tables.ratings
    pairs = _numbered(tables, ratings.listener_rows, ratings.song_rows)
    return _ratings(tables, np.isin(pairs, _numbered(tables, *_entries(held_out))))


@dataclass(frozen=True, eq=False)
class Newcomers:
    """Some listeners as if they were new: what they know is told one song after the other, in an order of chance.

    tables : everything that is known. n_told : the most songs of a newcomer that are told.
    listeners, songs : int64 (p,), the newcomers' pairs; places : int64 (p,), at which place each is told, from 0.
    """

    tables: Tables
    n_told: int
    listeners: Rows
    songs: Rows
    places: Rows

    @classmethod
    def of(cls, tables: Tables, *, n_told: int, fraction: float = 0.2, rng: np.random.Generator) -> "Newcomers":
        """`fraction` of the listeners who know more songs than are told, drawn by chance.

        Raises TableNeeded where there are not two such listeners: one must stay to learn from.
        """
        listeners, songs = _pairs(tables)
        rich = np.flatnonzero(np.bincount(listeners, minlength=tables.n_listeners) > n_told)
        if len(rich) < 2:
            raise TableNeeded(
                f"a cold start needs two listeners who know more than {n_told} songs; there are {len(rich)}"
            )
        n_new = min(max(round(fraction * len(rich)), FEW), len(rich) // 2)
        new = np.isin(listeners, rng.permutation(rich)[:n_new])
        places = _places(listeners[new], rng.random(int(new.sum())))
        return cls(tables, n_told, listeners[new], songs[new], places)

    @property
    def held_out(self) -> sparse.csr_array:
        """The pairs that are never told, CSR as of `split`: the same to be found, however much is told."""
        return self._matrix(self.places >= self.n_told)

    def told(self, n: int) -> Tables:
        """The tables as they stand when each newcomer has told n songs."""
        hidden = self.places >= n
        return _hide(self.tables, self.listeners[hidden], self.songs[hidden])[0]

    def passed_over(self, n: int) -> sparse.csr_array:
        """The pairs not yet told that will be, CSR as of `split`: neither to be found nor wrong to name."""
        return self._matrix((self.places >= n) & (self.places < self.n_told))

    def _matrix(self, marks: Marks) -> sparse.csr_array:
        return _matrix(self.tables, self.listeners[marks], self.songs[marks])


def _pairs(tables: Tables) -> tuple[Rows, Rows]:
    return _entries(tables.known)


def _entries(matrix: sparse.csr_array) -> tuple[Rows, Rows]:
    listeners, songs = matrix.tocoo().coords
    return listeners.astype(np.int64), songs.astype(np.int64)


def _check_folds(n_folds: int) -> None:
    if n_folds < 2:
        raise ParameterOutOfRange(f"n_folds is {n_folds}; at least two folds are needed")


def _check_fraction(fraction: float) -> None:
    if not 0.0 < fraction < 1.0:
        raise ParameterOutOfRange(f"fraction is {fraction}; a share between 0 and 1 must be held out")


def _moments(tables: Tables) -> Rows:
    """When each known song was last played or rated, int64 (nanoseconds), in the order of `_pairs`."""
    listeners, songs = _pairs(tables)
    pairs = _numbered(tables, listeners, songs)
    order = np.argsort(pairs)
    moments = np.full(len(pairs), UNKNOWN)
    for events, happened_at in (
        (tables.history, tables.history.last_played_at),
        (tables.ratings, tables.ratings.rated_at),
    ):
        places = np.searchsorted(pairs, _numbered(tables, events.listener_rows, events.song_rows), sorter=order)
        np.maximum.at(moments, order[places], happened_at.astype(np.int64))
    n_unknown = int((moments == UNKNOWN).sum())
    if n_unknown:
        raise MomentUnknown(
            f"a split by time needs to know when: {n_unknown} of {len(moments)} known songs have neither "
            "last_played_at in history nor rated_at in ratings"
        )
    return moments


def _hold_out(tables: Tables, fraction: float, *keys: Rows | Floats) -> tuple[Tables, sparse.csr_array]:
    """Hide of each listener of two known songs or more the first `fraction`, at least one and not all, by these sort
    keys (n_known,) of the pairs, the last one deciding."""
    listeners, songs = _pairs(tables)
    counts = np.bincount(listeners, minlength=tables.n_listeners)
    n_held = np.where(counts > 1, np.clip(np.rint(fraction * counts), 1, counts - 1), 0)
    hidden = _places(listeners, *keys) < n_held[listeners]
    return _hide(tables, listeners[hidden], songs[hidden])


def _places(groups: Rows, *keys: Rows | Floats) -> Rows:
    """The place 0, 1, 2, ... of each entry within its group by these sort keys, int64 in the order of `groups`."""
    order = np.lexsort((*keys, groups))
    counts = np.bincount(groups)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    places = np.empty(len(groups), dtype=np.int64)
    places[order] = np.arange(len(groups)) - starts
    return places


def _matrix(tables: Tables, listeners: Rows, songs: Rows) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(songs)), (listeners, songs)), shape=(tables.n_listeners, tables.n_songs))


def _numbered(tables: Tables, listeners: Rows, songs: Rows) -> Rows:
    """One number for each (listener, song)."""
    return listeners * tables.n_songs + songs


def _hide(tables: Tables, listeners: Rows, songs: Rows) -> tuple[Tables, sparse.csr_array]:
    hidden = _numbered(tables, listeners, songs)
    history, ratings = tables.history, tables.ratings
    kept = ~np.isin(_numbered(tables, history.listener_rows, history.song_rows), hidden)
    remaining = replace(
        history,
        listener_rows=history.listener_rows[kept],
        song_rows=history.song_rows[kept],
        repetition=history.repetition[kept],
        last_played_at=history.last_played_at[kept],
    )
    kept = ~np.isin(_numbered(tables, ratings.listener_rows, ratings.song_rows), hidden)
    train = replace(tables, history=remaining, ratings=_ratings(tables, kept))
    return train, _matrix(tables, listeners, songs)


def _ratings(tables: Tables, marks: Marks) -> RatingTable:
    ratings = tables.ratings
    return replace(
        ratings,
        listener_rows=ratings.listener_rows[marks],
        song_rows=ratings.song_rows[marks],
        rating=ratings.rating[marks],
        rated_at=ratings.rated_at[marks],
    )
