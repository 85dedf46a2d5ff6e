"""Relevance, "On top of the world": the same order of songs for everybody, by the columns asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quasimusic.exceptions import ParameterOutOfRange, TableNeeded
from recommender.engines.base import NUMBERS, Engine, Params, Reason, State, unwanted
from recommender.engines.tables import Floats, Rows, Tables

IN_COUNTRY = ("plays_in_country", "plays_decayed_in_country")
WITH_MOMENTS = ("plays_recent", "plays_decayed", "plays_decayed_in_country")
FROM_HISTORY = ("plays", "listeners", "plays_in_country", *WITH_MOMENTS)
NOWHERE = -1  # the country of a listener who told none, or where nobody plays


@dataclass(frozen=True, eq=False)
class Order:
    """The songs of a country in their order.

    scores : float64 (n_songs,), NaN = no opinion. rows : int64, the songs with an opinion, best first.
    """

    scores: Floats
    rows: Rows

    @classmethod
    def of(cls, scores: Floats) -> "Order":
        ranked = np.argsort(-scores, kind="stable")  # NaN comes last
        return cls(scores, ranked[: np.isfinite(scores).sum()])

    def best(self, n: int, barred: NDArray[np.integer]) -> Rows:
        """The first n song rows that are not barred; fewer where there are no more."""
        first = self.rows[: n + len(barred)]
        return first[~np.isin(first, barred)][:n]


class Relevance(Engine):
    """Songs in descending order by a list of columns, the later ones settling the ties of the earlier; or by weights.

    A song scores the number of songs that stand below it over the most that any song has below it: 0..1, alike for
    songs that tie. With weights it has such a score in each column, and the weighted mean of these. A song without a
    value in a column stands below all that have one; without a value in any, there is no opinion on it. Nothing is
    learned: the order is that of the tables of the day.
    """

    name: ClassVar[str] = "relevance"
    title: ClassVar[str] = "On top of the world"
    needs: ClassVar[tuple[str, ...]] = ("songs",)
    defaults: ClassVar[Params] = {"columns": None, "recent_days": 30.0, "half_life_days": 30.0}
    ranges = {"recent_days": (0.0, 36500.0), "half_life_days": (0.01, 36500.0)}

    @classmethod
    def settle(cls, params: Params | None) -> Params:
        settled = super().settle(params)
        columns = settled["columns"]
        if isinstance(columns, str):
            wanted = "a list of names, a mapping of names to weights, or None"
            raise ParameterOutOfRange(f"relevance: columns is {columns!r}; it must be {wanted}")
        if isinstance(columns, Mapping):
            _check_weights(columns)
        return settled

    @classmethod
    def learn(cls, tables: Tables, params: Params, rng: np.random.Generator) -> State:
        return {}

    def _prepare(self) -> None:
        columns = self.params["columns"] or _default_columns(self.tables)
        self._names = tuple(columns)
        for name in self._names:
            _require(self.tables, name)
        self._weights = np.array([columns[name] for name in columns]) if isinstance(columns, Mapping) else None
        self._countries = _countries(self.tables)
        self._orders: dict[int, Order] = {}  # of each country, once somebody from there has asked

    def score_rows(self, listener_rows: Rows, current_song: int | None = None) -> Floats:
        """The order is the same whatever plays; it differs by country where a column does."""
        countries, places = np.unique(self._countries_of(listener_rows), return_inverse=True)
        orders = [self._order(country).scores for country in countries.tolist()]
        scores: Floats = np.array(orders).reshape(len(orders), self.tables.n_songs)[places]
        return scores

    def _best(self, listener_rows: Rows, n: int, current_row: int | None, exclude_heard: bool) -> tuple[Rows, Floats]:
        rows, scores = np.full((len(listener_rows), n), -1), np.full((len(listener_rows), n), np.nan)
        barred = unwanted(self.tables, listener_rows, current_row, exclude_heard)
        for place, country in enumerate(self._countries_of(listener_rows).tolist()):
            order = self._order(country)
            best = order.best(n, barred.indices[barred.indptr[place] : barred.indptr[place + 1]])
            rows[place, : len(best)], scores[place, : len(best)] = best, order.scores[best]
        return rows, scores

    def explain(self, listener_id: Any, song_id: Any) -> tuple[Reason, ...]:
        """A reason per column: its share of the songs below that it decides, or with weights of the score; and the
        song's rank in it."""
        listener_row, song_row = self.tables.listener_rows([listener_id]), self.tables.song_rows([song_id])[0]
        columns = self._columns(self._countries_of(listener_row)[0])
        if np.isnan(columns[:, song_row]).all():
            return ()
        parts = self._parts(columns, song_row)
        shares = parts / parts.sum() if parts.any() else np.eye(1, len(parts))[0]
        ranks = 1 + (columns > columns[:, [song_row]]).sum(axis=1)
        reasons = [
            Reason(kind="column", share=float(share), value=float(rank), detail=name)
            for name, share, rank in zip(self._names, shares, ranks, strict=True)
            if share > 0
        ]
        return tuple(sorted(reasons, key=lambda reason: -reason.share))

    def _order(self, country: int) -> Order:
        if country not in self._orders:  # two threads may both work it out, to the same end
            columns = self._columns(country)
            scores = _order(columns) if self._weights is None else _weighted(columns, self._weights)
            self._orders[country] = Order.of(scores)
        return self._orders[country]

    def _parts(self, columns: Floats, song_row: int) -> Floats:
        """What each column does for a song, float64 (n_columns,) >= 0."""
        if self._weights is None:
            return _decided(columns, song_row)
        parts: Floats = self._weights * _column_scores(columns)[:, song_row]
        return parts

    def _countries_of(self, listener_rows: Rows) -> Rows:
        """The country whose order each listener gets, int64; NOWHERE for the order of the whole world."""
        if not set(IN_COUNTRY) & set(self._names):
            return np.full_like(listener_rows, NOWHERE)
        countries: Rows = self._countries[listener_rows]
        return countries

    def _columns(self, country: int) -> Floats:
        """The columns as a listener of this country sees them, float64 (n_columns, n_songs)."""
        return np.array([self._column(name, country) for name in self._names])

    def _column(self, name: str, country: int) -> Floats:
        if name not in FROM_HISTORY:
            return self.tables.songs.column(name)
        history = self.tables.history
        counted = np.ones(len(history)) if name == "listeners" else history.repetition
        if name == "plays_recent":
            counted = np.where(_ages(self.tables) <= self.params["recent_days"], counted, 0.0)
        if "decayed" in name:
            ages = _ages(self.tables)
            oldest = np.nanmax(ages)
            counted = counted * np.exp2(-np.nan_to_num(ages, nan=oldest) / self.params["half_life_days"])
        if name in IN_COUNTRY and country != NOWHERE:
            counted = np.where(self._countries[history.listener_rows] == country, counted, 0.0)
        return np.bincount(history.song_rows, counted, minlength=self.tables.n_songs).astype(np.float64)


def _check_weights(columns: Mapping[str, Any]) -> None:
    for name, weight in columns.items():
        if not isinstance(weight, NUMBERS) or not 0 <= weight < np.inf:
            raise ParameterOutOfRange(f"relevance: the weight of {name} is {weight!r}; it must be a number from 0")
    if columns and not any(columns.values()):
        raise ParameterOutOfRange("relevance: all weights are 0; one column at least must weigh something")


def _default_columns(tables: Tables) -> tuple[str, ...]:
    """What listeners here play, as far as they play; what is told of the songs' popularity settles the ties."""
    songs = tables.songs
    told = "popularity" in songs.numeric_names and bool(np.isfinite(songs.column("popularity")).any())
    if not len(tables.history) and told:
        return ("popularity",)
    return ("listeners", "popularity") if told else ("listeners", "plays")


def _require(tables: Tables, name: str) -> None:
    """Raise TableNeeded or ColumnMissing where the tables cannot give this column."""
    if name not in FROM_HISTORY:
        tables.songs.column(name)
        return
    tables.require(f"relevance by {name}", "history")
    if name in WITH_MOMENTS and np.isnat(tables.history.last_played_at).all():
        raise TableNeeded(f"relevance by {name} reads last_played_at, which the history table lacks")


def _ages(tables: Tables) -> Floats:
    """Days from each entry of the history to the latest of all, float64 (p,), NaN where unknown."""
    # There is no clock in here: the latest moment the table knows is now.
    moments = pd.Series(tables.history.last_played_at)
    ages: Floats = ((moments.max() - moments) / pd.Timedelta(days=1)).to_numpy(dtype=np.float64)
    return ages


def _countries(tables: Tables) -> Rows:
    """The country of each listener, int64 (n_listeners,), NOWHERE where none is known or nobody plays."""
    codes, _ = pd.factorize(pd.Series(tables.users.countries).replace("", None))
    heard_in = np.unique(codes[tables.history.listener_rows])
    return np.where(np.isin(codes, heard_in), codes, NOWHERE).astype(np.int64)


def _weighted(columns: Floats, weights: Floats) -> Floats:
    """The weighted mean of each song's scores in the columns, float64 (n_songs,), NaN where it has no value."""
    scores: Floats = weights @ _column_scores(columns) / weights.sum()
    scores[np.isnan(columns).all(axis=0)] = np.nan
    return scores


def _column_scores(columns: Floats) -> Floats:
    """The score of each song in each column alone, float64 (n_columns, n_songs); 0 where it has no value."""
    return np.nan_to_num([_order(column[None]) for column in columns])


def _order(columns: Floats) -> Floats:
    """Score of each song by its place in the lexicographic order of the columns, float64 (n_songs,)."""
    # Dense ranks put a missing value below every other; np.unique of columns is their lexicographic order.
    ranks = np.array([np.unique(column, return_inverse=True)[1] for column in np.nan_to_num(columns, nan=-np.inf)])
    _, places, counts = np.unique(ranks, axis=1, return_inverse=True, return_counts=True)
    n_below = (np.cumsum(counts) - counts)[places].astype(np.float64)
    n_below[np.isnan(columns).all(axis=0)] = np.nan
    n_below -= np.nanmin(n_below, initial=np.inf)
    return n_below / max(np.nanmax(n_below, initial=0.0), 1.0)


def _decided(columns: Floats, song_row: int) -> Floats:
    """How many of the songs below this one each column puts there, float64 (n_columns,)."""
    values = np.nan_to_num(columns, nan=-np.inf)[:, ~np.isnan(columns).all(axis=0)]
    mine = np.nan_to_num(columns[:, song_row], nan=-np.inf)
    tied = np.ones(values.shape[1], dtype=bool)
    decided = np.zeros(len(columns))
    for place, (value, own) in enumerate(zip(values, mine, strict=True)):
        decided[place] = (tied & (value < own)).sum()
        tied &= value == own
    return decided
