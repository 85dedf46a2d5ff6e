"""Holding out part of what is known, so that engines are judged on what they have not seen."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.tables import RatingTable, Rows, Tables

Marks = NDArray[np.bool_]


def split(tables: Tables, *, fraction: float = 0.2, rng: np.random.Generator) -> tuple[Tables, sparse.csr_array]:
    """Hide `fraction` of each listener's known songs.

    A held-out (listener, song) leaves both history and ratings. A listener of two known songs or more keeps at
    least one and has at least one held out; a listener of one keeps it.
    Returns the training tables and the held-out pairs, CSR float64 (n_listeners, n_songs) of ones.
    """
    if not 0.0 < fraction < 1.0:
        raise ParameterOutOfRange(f"fraction is {fraction}; a share between 0 and 1 must be held out")
    listeners, songs = _pairs(tables)
    counts = np.bincount(listeners, minlength=tables.n_listeners)
    n_held = np.where(counts > 1, np.clip(np.rint(fraction * counts), 1, counts - 1), 0)
    hidden = _places(listeners, rng) < n_held[listeners]
    return _hide(tables, listeners[hidden], songs[hidden])


def folds(tables: Tables, *, n_folds: int, rng: np.random.Generator) -> Iterator[tuple[Tables, sparse.csr_array]]:
    """As `split`, n_folds times over: each known pair is held out once, except that a listener's only song never is."""
    _check_folds(n_folds)
    listeners, songs = _pairs(tables)
    counts = np.bincount(listeners, minlength=tables.n_listeners)
    fold = np.where(counts[listeners] > 1, _places(listeners, rng) % n_folds, -1)
    for number in range(n_folds):
        yield _hide(tables, listeners[fold == number], songs[fold == number])


def rating_folds(tables: Tables, *, n_folds: int, rng: np.random.Generator) -> Iterator[tuple[Tables, RatingTable]]:
    """Training tables and held-out ratings, each rating held out once; history is left as it is."""
    _check_folds(n_folds)
    fold = rng.permutation(len(tables.ratings)) % n_folds
    for number in range(n_folds):
        yield replace(tables, ratings=_ratings(tables, fold != number)), _ratings(tables, fold == number)


def _pairs(tables: Tables) -> tuple[Rows, Rows]:
    listeners, songs = tables.known.tocoo().coords
    return listeners.astype(np.int64), songs.astype(np.int64)


def _check_folds(n_folds: int) -> None:
    if n_folds < 2:
        raise ParameterOutOfRange(f"n_folds is {n_folds}; at least two folds are needed")


def _places(groups: Rows, rng: np.random.Generator) -> Rows:
    """A random place 0, 1, 2, ... of each entry within its group, int64 in the order of `groups`."""
    order = np.lexsort((rng.random(len(groups)), groups))
    counts = np.bincount(groups)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    places = np.empty(len(groups), dtype=np.int64)
    places[order] = np.arange(len(groups)) - starts
    return places


def _hide(tables: Tables, listeners: Rows, songs: Rows) -> tuple[Tables, sparse.csr_array]:
    shape = (tables.n_listeners, tables.n_songs)
    held_out = sparse.csr_array((np.ones(len(songs)), (listeners, songs)), shape=shape)
    hidden = listeners * tables.n_songs + songs
    history, ratings = tables.history, tables.ratings
    kept = ~np.isin(history.listener_rows * tables.n_songs + history.song_rows, hidden)
    remaining = replace(
        history,
        listener_rows=history.listener_rows[kept],
        song_rows=history.song_rows[kept],
        repetition=history.repetition[kept],
        last_played_at=history.last_played_at[kept],
    )
    kept = ~np.isin(ratings.listener_rows * tables.n_songs + ratings.song_rows, hidden)
    return replace(tables, history=remaining, ratings=_ratings(tables, kept)), held_out


def _ratings(tables: Tables, marks: Marks) -> RatingTable:
    ratings = tables.ratings
    return replace(
        ratings,
        listener_rows=ratings.listener_rows[marks],
        song_rows=ratings.song_rows[marks],
        rating=ratings.rating[marks],
        rated_at=ratings.rated_at[marks],
    )
