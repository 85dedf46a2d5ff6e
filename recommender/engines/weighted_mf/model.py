"""Weighted matrix factorisation: what a listener would like, found under what everybody played and rated.

The ranking head learns from plays and ratings which songs a listener takes to; the rating head learns from ratings
alone what a listener would rate (see `heads`). Only the songs' side is kept: a listener is folded in by one exact
half-step from whatever the tables hold.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from quasimusic.exceptions import TableNeeded
from recommender.engines.base import Engine, Params, Reason, State, unwanted
from recommender.engines.preference import own_song_reasons, require_events
from recommender.engines.ranking import Singles, best_products
from recommender.engines.tables import Floats, Rows, Tables
from recommender.engines.weighted_mf.heads import (
    LOSSES,
    RATINGS,
    Head,
    RatingHead,
    ranking_head,
    ranking_task,
    rating_head,
    rating_task,
)
from recommender.engines.weighted_mf.wals import SOLVERS, HalfStep, attribute, half_step


class WeightedMF(Engine):
    """WALS with jointly learned biases; see `wals` for the loss and docs/engines.md for the parameters."""

    name = "weighted_mf"
    title = "Underground"
    needs = ()  # history or ratings: one of them is enough
    defaults: ClassVar[Params] = {
        "n_factors": 128,
        "n_iterations": 15,
        "regularisation": 0.05,
        "count_power": 1.0,
        "w0": 0.2,
        "alpha": 0.3,
        "solver": "cg",
        "rating_loss": "scaled",
        "rating_factors": 10,
        "rating_iterations": 20,
        "rating_regularisation": 1.2,
    }
    ranges: ClassVar[Mapping[str, tuple[float, float] | tuple[str, ...]]] = {
        "n_factors": (1, 512),
        "n_iterations": (1, 1000),
        "regularisation": (1e-6, 1e6),
        "count_power": (0.0, 2.0),
        "w0": (1e-6, 1.0),
        "alpha": (0.0, 1e6),
        "solver": SOLVERS,
        "rating_loss": LOSSES,
        "rating_factors": (1, 512),
        "rating_iterations": (1, 1000),
        "rating_regularisation": (1e-6, 1e6),
    }

    half_step: ClassVar[HalfStep] = staticmethod(half_step)  # where one is computed: a subclass may know a cluster

    @classmethod
    def learn(cls, tables: Tables, params: Params, rng: np.random.Generator) -> State:
        """What the ranking head learns of songs and, where there are ratings, what the rating head does.

        Raises TableNeeded where there are neither plays nor ratings.
        """
        require_events(cls.name, tables)
        ranking = ranking_task(tables, params, cls.half_step).states(params["n_factors"], rng)
        state = dict(_last(ranking, params["n_iterations"]))
        if len(tables.ratings):
            rating = rating_task(tables, params, cls.half_step).states(params["rating_factors"], rng)
            state.update(_last(rating, params["rating_iterations"]))
        return state

    def score_rows(self, listener_rows: Rows, current_song: int | None = None) -> Floats:
        """The predicted preference, about 0..1; NaN for songs not learned and listeners without a known song."""
        left, base = self._folded_in(listener_rows)
        scores: Floats = np.add(left @ self._ranking.columns.T, base[:, None], dtype=np.float64)
        return scores

    def _best(self, listener_rows: Rows, n: int, current_row: int | None, exclude_heard: bool) -> tuple[Rows, Floats]:
        left, base = self._folded_in(listener_rows)
        barred = unwanted(self.tables, listener_rows, current_row, exclude_heard)
        rows, products = best_products(left, self._ranking.columns, n, barred)
        return rows, products + base[:, None]

    def _folded_in(self, listener_rows: Rows) -> tuple[Singles, Floats]:
        """What a song's column is multiplied by, float32 (m, K + 1), NaN for listeners without a known song, and what
        is added, float64 (m,). In single precision: products are right to about 1e-7."""
        head = self._ranking
        listeners = head.listeners(listener_rows)
        left: Singles = np.column_stack([listeners.factors, np.ones(len(listener_rows))]).astype(np.float32)
        starts = head.problem.starts
        left[starts[listener_rows] == starts[listener_rows + 1]] = np.nan
        return left, (head.mean + listeners.biases).astype(np.float64)

    def predict_ratings(self, listener_ids: Iterable[Any], song_ids: Iterable[Any]) -> Floats:
        """The rating each listener would give the song beside it, float64 (n,) in 1..5.

        NaN for a song that nobody had rated; a listener without ratings gets what the song's own bias says (under the
        Bayesian loss, what listeners at large would give).
        Raises TableNeeded where the engine was fitted without ratings, UnknownListener, UnknownSong.
        """
        head = self._rating
        listener_rows, inverse = np.unique(self.tables.listener_rows(listener_ids), return_inverse=True)
        places = head.songs.places[self.tables.song_rows(song_ids)]
        assert inverse.shape == places.shape, (inverse.shape, places.shape)
        listeners = head.listeners(listener_rows)
        products = np.einsum("nk,nk->n", listeners.factors[inverse], head.side.factors[places])
        ratings = head.mean + listeners.biases[inverse] + head.side.biases[places] + products
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
        return ranking_head(self.tables, self.params, self.state)

    @cached_property
    def _rating(self) -> RatingHead:
        if f"{RATINGS}song_ids" not in self.state:
            raise TableNeeded(f"{self.name} was fitted without ratings, so it cannot predict them; fit it with ratings")
        return rating_head(self.tables, self.params, self.state)


def _last(states: Iterator[State], n_iterations: int) -> State:
    return deque(islice(states, n_iterations), maxlen=1)[0]
