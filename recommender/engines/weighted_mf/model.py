"""Weighted matrix factorisation: what a listener would like, found under what everybody played and rated.

Two heads share the kernel of `wals`. The ranking head (w0 > 0) learns from plays and ratings which songs a
listener takes to; the rating head (w0 = 0) learns from ratings alone what a listener would rate. Only the songs'
side is kept: a listener is folded in by one exact half-step from whatever the tables hold.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import sparse

from quasimusic.exceptions import TableNeeded
from recommender.engines.base import Engine, Params, Reason, State, unwanted
from recommender.engines.learned import LearnedSongs
from recommender.engines.preference import damped_repetitions, own_song_reasons, preferences, require_events
from recommender.engines.ranking import Singles, best_products
from recommender.engines.tables import Floats, Rows, Tables, id_array
from recommender.engines.weighted_mf.wals import (
    Problem,
    Side,
    Standing,
    attribute,
    iterate,
    predict,
    solve_rows,
    weighted_mean,
)

RATINGS = "rated_"  # prefix of the rating head's arrays in the state


@dataclass(frozen=True, eq=False)
class Head:
    """One factorisation on the tables of the day.

    problem : all listeners of the tables against the learned songs.
    side : what was learned of the songs.
    songs : which songs that were.
    """

    problem: Problem
    side: Side
    songs: LearnedSongs

    def listeners(self, rows: Rows) -> Side:
        """These listeners, folded in."""
        return solve_rows(self.problem.rows(rows), self.standing)

    @cached_property
    def columns(self) -> Singles:
        """Factors and bias of each song of the tables, float32 (n_songs, K + 1), NaN where it was not learned."""
        return self.songs.spread(np.column_stack([self.side.factors, self.side.biases]).T.astype(np.float32)).T.copy()

    @cached_property
    def standing(self) -> Standing:
        """The songs as every listener meets them."""
        return Standing.of(self.problem, self.side)


class WeightedMF(Engine):
    """WALS with jointly learned biases; see `wals` for the loss and docs/engines.md for the parameters."""

    name = "weighted_mf"
    title = "Underground"
    needs = ()  # history or ratings: one of them is enough
    defaults: ClassVar[Params] = {
        "n_factors": 64,
        "n_iterations": 15,
        "regularisation": 0.5,
        "w0": 0.1,
        "alpha": 1.0,
        "rating_regularisation": 5.0,
    }
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "n_factors": (1, 512),
        "n_iterations": (1, 1000),
        "regularisation": (1e-6, 1e6),
        "w0": (1e-6, 1.0),
        "alpha": (0.0, 1e6),
        "rating_regularisation": (1e-6, 1e6),
    }

    @classmethod
    def learn(cls, tables: Tables, params: Params, rng: np.random.Generator) -> State:
        """Song factors, biases and the constant of the ranking head and, where there are ratings, of the rating head.

        Raises TableNeeded where there are neither plays nor ratings.
        """
        require_events(cls.name, tables)
        state = dict(_last(ranking_states(tables, params, rng), params["n_iterations"]))
        if len(tables.ratings):
            state.update(_last(rating_states(tables, params, rng), params["n_iterations"]))
        return state

    def score_rows(self, listener_rows: Rows, current_song: int | None = None) -> Floats:
        """The predicted preference, about 0..1; NaN for songs not learned and listeners without a known song."""
        head = self._ranking
        predicted = predict(head.problem.mean, head.listeners(listener_rows), head.side)
        predicted[np.diff(head.problem.values.indptr)[listener_rows] == 0] = np.nan
        return head.songs.spread(predicted)

    def _best(self, listener_rows: Rows, n: int, current_row: int | None, exclude_heard: bool) -> tuple[Rows, Floats]:
        head = self._ranking
        listeners = head.listeners(listener_rows)
        left = np.column_stack([listeners.factors, np.ones(len(listener_rows))]).astype(np.float32)
        left[np.diff(head.problem.values.indptr)[listener_rows] == 0] = np.nan
        barred = unwanted(self.tables, listener_rows, current_row, exclude_heard)
        rows, products = best_products(left, head.columns, n, barred)
        return rows, products + (head.problem.mean + listeners.biases)[:, None]

    def predict_ratings(self, listener_ids: Iterable[Any], song_ids: Iterable[Any]) -> Floats:
        """The rating each listener would give the song beside it, float64 (n,) in 1..5.

        NaN for a song that nobody had rated; a listener without ratings gets what the song's own bias says.
        Raises TableNeeded where the engine was fitted without ratings, UnknownListener, UnknownSong.
        """
        head = self._rating
        listener_rows, inverse = np.unique(self.tables.listener_rows(listener_ids), return_inverse=True)
        places = head.songs.places[self.tables.song_rows(song_ids)]
        assert inverse.shape == places.shape, (inverse.shape, places.shape)
        listeners = head.listeners(listener_rows)
        products = np.einsum("nk,nk->n", listeners.factors[inverse], head.side.factors[places])
        ratings = head.problem.mean + listeners.biases[inverse] + head.side.biases[places] + products
        return np.where(places >= 0, np.clip(ratings, 1.0, 5.0), np.nan)

    def explain(self, listener_id: Any, song_id: Any) -> tuple[Reason, ...]:
        """The score as a sum over the listener's own songs, exactly (see `wals.attribute`)."""
        row = int(self.tables.listener_rows([listener_id])[0])
        song_row = int(self.tables.song_rows([song_id])[0])
        if self._ranking.songs.places[song_row] < 0:
            return ()
        song_rows, summands, rest = self.attribute(row, song_row)
        return own_song_reasons(self.tables, row, song_rows, summands, rest)

    def attribute(self, listener_row: int, song_row: int) -> tuple[Rows, Floats, float]:
        """The listener's song rows int64 (p,), what each adds to the score float64 (p,), and what is left."""
        head = self._ranking
        place = int(head.songs.places[song_row])
        places, summands, rest = attribute(head.problem, head.standing, listener_row, place)
        return head.songs.song_rows[places], summands, rest

    @cached_property
    def _ranking(self) -> Head:
        values, weights = _ranking_entries(self.tables, self.params)
        return self._head("", values, weights, self.params["w0"], self.params["regularisation"])

    @cached_property
    def _rating(self) -> Head:
        if f"{RATINGS}song_ids" not in self.state:
            raise TableNeeded(f"{self.name} was fitted without ratings, so it cannot predict them; fit it with ratings")
        values, weights = _rating_entries(self.tables)
        return self._head(RATINGS, values, weights, 0.0, self.params["rating_regularisation"])

    def _head(
        self, prefix: str, values: sparse.csr_array, weights: sparse.csr_array, w0: float, regularisation: float
    ) -> Head:
        songs = LearnedSongs(pd.Index(self.state[f"{prefix}song_ids"]), self.tables.songs)
        mean = float(self.state[f"{prefix}mean"][0])
        problem = Problem(songs.gather(values), songs.gather(weights), w0, regularisation, mean)
        return Head(problem, Side(self.state[f"{prefix}song_factors"], self.state[f"{prefix}song_biases"]), songs)


def ranking_states(tables: Tables, params: Params, rng: np.random.Generator) -> Iterator[State]:
    """The ranking head's state after each iteration, for ever."""
    values, weights = _ranking_entries(tables, params)
    return _states("", tables, values, weights, params["w0"], params["regularisation"], params["n_factors"], rng)


def rating_states(tables: Tables, params: Params, rng: np.random.Generator) -> Iterator[State]:
    """The rating head's state after each iteration, for ever."""
    values, weights = _rating_entries(tables)
    regularisation = params["rating_regularisation"]
    return _states(RATINGS, tables, values, weights, 0.0, regularisation, params["n_factors"], rng)


def _ranking_entries(tables: Tables, params: Params) -> tuple[sparse.csr_array, sparse.csr_array]:
    """X in 0..1 and W = 1 + alpha log(repetition) at what listeners played or rated."""
    weights = damped_repetitions(tables)
    weights.data = 1.0 + params["alpha"] * (weights.data - 1.0)
    return preferences(tables), weights


def _rating_entries(tables: Tables) -> tuple[sparse.csr_array, sparse.csr_array]:
    """X = rating in 1..5 and W = 1 at what listeners rated."""
    values = tables.rating_matrix
    return values, sparse.csr_array((np.ones(values.nnz), values.indices, values.indptr), shape=values.shape)


def _states(
    prefix: str,
    tables: Tables,
    values: sparse.csr_array,
    weights: sparse.csr_array,
    w0: float,
    regularisation: float,
    n_factors: int,
    rng: np.random.Generator,
) -> Iterator[State]:
    learned = np.unique(values.indices)
    values, weights = values[:, learned], weights[:, learned]
    mean = weighted_mean(values, weights, w0)
    problem = Problem(values, weights, w0, regularisation, mean)
    for _, songs in iterate(problem, n_factors, rng):
        yield {
            f"{prefix}song_ids": id_array(tables.songs.ids[learned]),
            f"{prefix}song_factors": songs.factors,
            f"{prefix}song_biases": songs.biases,
            f"{prefix}mean": np.array([mean]),
        }


def _last(states: Iterator[State], n_iterations: int) -> State:
    return deque(islice(states, n_iterations), maxlen=1)[0]
