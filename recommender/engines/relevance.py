"""Relevance, "On top of the world": the same order of songs for everybody, by the columns asked for."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import rankdata

from quasimusic.exceptions import ParameterOutOfRange, TableNeeded
from recommender.engines.base import Engine, Params, Reason, State
from recommender.engines.tables import Floats, Rows, Tables

FROM_HISTORY = ("plays", "listeners", "plays_recent", "plays_in_country")
NOWHERE = -1  # the country of a listener who told none, or where nobody plays


class Relevance(Engine):
    """Songs in descending order by a list of columns, the later ones settling the ties of the earlier.

    A song scores the number of songs that stand below it over the most that any song has below it: 0..1, alike for
    songs that tie. A song without a value in a column stands below all that have one; without a value in any, there
    is no opinion on it. Nothing is learned: the order is that of the tables of the day.
    """

    name: ClassVar[str] = "relevance"
    title: ClassVar[str] = "On top of the world"
    needs: ClassVar[tuple[str, ...]] = ("songs",)
    defaults: ClassVar[Params] = {"columns": None, "recent_days": 30.0}
    ranges = {"recent_days": (0.0, 36500.0)}

    @classmethod
    def settle(cls, params: Params | None) -> Params:
        settled = super().settle(params)
        if isinstance(settled["columns"], str):
            raise ParameterOutOfRange(
                f"relevance: columns is {settled['columns']!r}; it must be a list of names or None"
            )
        return settled

    @classmethod
    def learn(cls, tables: Tables, params: Params, rng: np.random.Generator) -> State:
        return {}

    def _prepare(self) -> None:
        self._names = tuple(self.params["columns"] or (_default_column(self.tables),))
        for name in self._names:
            _require(self.tables, name)
        self._countries, self._country_plays = _plays_by_country(self.tables)
        self._orders: dict[int, Floats] = {}

    def score_rows(self, listener_rows: Rows, current_song: int | None = None) -> Floats:
        """The order is the same whatever plays; it differs by country where plays_in_country is a column."""
        countries, places = np.unique(self._countries_of(listener_rows), return_inverse=True)
        orders = np.empty((len(countries), self.tables.n_songs))
        for place, country in enumerate(countries):
            orders[place] = self._order(country)
        scores: Floats = orders[places]
        return scores

    def explain(self, listener_id: Any, song_id: Any) -> tuple[Reason, ...]:
        """A reason per column: its share of the songs below that it decides, and the song's rank in it."""
        listener_row, song_row = self.tables.listener_rows([listener_id]), self.tables.song_rows([song_id])[0]
        columns = self._columns(self._countries_of(listener_row)[0])
        if np.isnan(columns[:, song_row]).all():
            return ()
        decided = _decided(columns, song_row)
        shares = decided / decided.sum() if decided.any() else np.eye(1, len(decided))[0]
        ranks = 1 + (columns > columns[:, [song_row]]).sum(axis=1)
        reasons = [
            Reason(kind="column", share=float(share), value=float(rank), detail=name)
            for name, share, rank in zip(self._names, shares, ranks, strict=True)
            if share > 0
        ]
        return tuple(sorted(reasons, key=lambda reason: -reason.share))

    def _countries_of(self, listener_rows: Rows) -> Rows:
        """The country whose order each listener gets, int64; NOWHERE for the order of the whole world."""
        if "plays_in_country" not in self._names:
            return np.full_like(listener_rows, NOWHERE)
        countries: Rows = self._countries[listener_rows]
        return countries

    def _order(self, country: int) -> Floats:
        """The scores of this country's listeners, float64 (n_songs,), worked out when first asked for."""
        if country not in self._orders:
            self._orders[country] = _order(self._columns(country))
        return self._orders[country]

    def _columns(self, country: int) -> Floats:
        """The columns as a listener of this country sees them, float64 (n_columns, n_songs)."""
        return np.array([self._column(name, country) for name in self._names])

    def _column(self, name: str, country: int) -> Floats:
        if name not in FROM_HISTORY:
            return self.tables.songs.column(name)
        if name == "plays_in_country" and country != NOWHERE:
            plays: Floats = self._country_plays[[country]].toarray()[0]
            return plays
        history = self.tables.history
        counted = np.ones(len(history)) if name == "listeners" else history.repetition
        if name == "plays_recent":
            counted = np.where(_recent(self.tables, self.params["recent_days"]), counted, 0.0)
        return np.bincount(history.song_rows, counted, minlength=self.tables.n_songs).astype(np.float64)


def _default_column(tables: Tables) -> str:
    songs = tables.songs
    if "popularity" in songs.numeric_names and np.isfinite(songs.column("popularity")).any():
        return "popularity"
    return "plays"


def _require(tables: Tables, name: str) -> None:
    """Raise TableNeeded or ColumnMissing where the tables cannot give this column."""
    if name not in FROM_HISTORY:
        tables.songs.column(name)
        return
    tables.require(f"relevance by {name}", "history")
    if name == "plays_recent" and np.isnat(tables.history.last_played_at).all():
        raise TableNeeded("relevance by plays_recent reads last_played_at, which the history table lacks")


def _recent(tables: Tables, days: float) -> NDArray[np.bool_]:
    """Which entries of the history were last played within these days of the latest of all, bool (p,)."""
    # There is no clock in here: the latest moment the table knows is now.
    moments = pd.Series(tables.history.last_played_at)
    recent: NDArray[np.bool_] = (moments >= moments.max() - pd.Timedelta(days=days)).to_numpy()
    return recent


def _plays_by_country(tables: Tables) -> tuple[Rows, sparse.csr_array]:
    """The country of each listener, int64 (n_listeners,), NOWHERE where none is known or nobody plays;
    and plays, CSR (n_countries, n_songs)."""
    codes, names = pd.factorize(pd.Series(tables.users.countries).replace("", None))
    known = np.flatnonzero(codes >= 0)
    lives_in = sparse.csr_array((np.ones(len(known)), (codes[known], known)), shape=(len(names), tables.n_listeners))
    plays = sparse.csr_array(lives_in @ tables.repetitions)
    silent = np.flatnonzero(np.diff(plays.indptr) == 0)
    return np.where(np.isin(codes, silent), NOWHERE, codes).astype(np.int64), plays


def _order(columns: Floats) -> Floats:
    """Score of each song by its place in the lexicographic order of the columns, float64 (n_songs,)."""
    # Dense ranks put a missing value below every other; np.unique of columns is their lexicographic order.
    ranks = rankdata(np.nan_to_num(columns, nan=-np.inf), method="dense", axis=1).astype(np.int64)
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
