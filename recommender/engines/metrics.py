"""How good recommendations are, measured on what was held out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from quasimusic.exceptions import EngineFault, TableNeeded
from recommender.engines.tables import Floats, Rows, Tables

NORMAL_95 = 1.959964  # the standard normal's 97.5% point

Marks = NDArray[np.bool_]


class Recommender(Protocol):
    """What can be evaluated: an engine or the hybrid."""

    tables: Tables

    def recommend(
        self, listener_ids: Sequence[Any] | NDArray[Any] | pd.Index, n: int
    ) -> tuple[NDArray[Any], Floats]: ...


@dataclass(frozen=True)
class Estimate:
    """A mean over listeners with its 95% interval by the normal approximation."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Floats) -> "Estimate":
        """The mean of `values` float64 (m,); a single value has no interval and stands for its own bounds."""
        mean = float(np.mean(values))
        spread = NORMAL_95 * float(np.std(values, ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        return cls(mean, float(mean - spread), float(mean + spread))


@dataclass(frozen=True)
class Metrics:
    """Quality of the first k recommendations.

    n_listeners : listeners with something held out; all are counted, also those who got no recommendation.
    recall, ndcg : means over these listeners, 0..1.
    coverage : share of the catalogue that was recommended to anybody, 0..1.
    """

    k: int
    n_listeners: int
    recall: Estimate
    ndcg: Estimate
    coverage: float

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON."""
        return asdict(self)


def evaluate(engine: Recommender, held_out: sparse.csr_array, k: int = 10) -> Metrics:
    """Recommend k songs to every listener with held-out songs, and count the hits.

    engine : fitted on tables without the held-out pairs, so that those can be recommended.
    held_out : CSR (n_listeners, n_songs) on the rows of `engine.tables`.
    Raises TableNeeded where nothing is held out.
    """
    tables = engine.tables
    assert held_out.shape == (tables.n_listeners, tables.n_songs), held_out.shape
    n_held = np.diff(held_out.indptr)
    listener_rows = np.flatnonzero(n_held)
    if not len(listener_rows):
        raise TableNeeded("evaluation needs listeners of two known songs or more, and there are none")
    ids, _ = engine.recommend(tables.users.ids[listener_rows], k)
    song_rows = tables.songs.ids.get_indexer(pd.Index(ids.ravel())).reshape(ids.shape).astype(np.int64)
    hits = hits_at(song_rows, held_out, listener_rows)
    return Metrics(
        k=k,
        n_listeners=len(listener_rows),
        recall=Estimate.of(recall(hits, n_held[listener_rows])),
        ndcg=Estimate.of(ndcg(hits, n_held[listener_rows])),
        coverage=coverage(song_rows, tables.n_songs),
    )


def hits_at(song_rows: Rows, held_out: sparse.csr_array, listener_rows: Rows) -> Marks:
    """Which recommended songs were held out, bool (m, k).

    song_rows : int64 (m, k), one list a listener, best first, -1 where the list is shorter.
    """
    n_songs = held_out.shape[1]
    listeners, songs = held_out.tocoo().coords
    held = listeners.astype(np.int64) * n_songs + songs
    return np.isin(listener_rows[:, None] * n_songs + song_rows, held) & (song_rows >= 0)


def recall(hits: Marks, n_held: Rows) -> Floats:
    """Hits over held-out songs, float64 (m,)."""
    found: Floats = hits.sum(axis=1) / n_held
    return found


def ndcg(hits: Marks, n_held: Rows) -> Floats:
    """Normalised discounted cumulative gain with gain 1 a hit, float64 (m,).

    A hit at place p (from 1) counts 1 / log2(p + 1); the best possible list has hits at its first min(k, n_held)
    places. Source: Jarvelin, Kekalainen, "Cumulated gain-based evaluation of IR techniques" (2002).
    """
    k = hits.shape[1]
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(discounts)[np.minimum(n_held, k) - 1]
    shares: Floats = hits @ discounts / best
    return shares


def coverage(song_rows: Rows, n_songs: int) -> float:
    """Share of the catalogue in any list, 0..1; rows of -1 are padding."""
    return len(np.unique(song_rows[song_rows >= 0])) / n_songs


def rmse(predicted: Floats, actual: Floats) -> float:
    """Root of the mean squared error where there is a prediction (NaN = none)."""
    return float(np.sqrt(np.mean(_errors(predicted, actual) ** 2)))


def mae(predicted: Floats, actual: Floats) -> float:
    """Mean absolute error where there is a prediction (NaN = none)."""
    return float(np.mean(np.abs(_errors(predicted, actual))))


def _errors(predicted: Floats, actual: Floats) -> Floats:
    assert predicted.shape == actual.shape, (predicted.shape, actual.shape)
    errors = (predicted - actual)[~np.isnan(predicted)]
    if not len(errors):
        raise EngineFault("there is not one prediction to compare with")
    return errors
