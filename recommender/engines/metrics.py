"""How good recommendations are, measured on what was held out.

A metric is one number a listener, float64 (m,), and its mean over listeners is reported with an interval; coverage and
exposure are of all lists together. A hit is a recommended song that was held out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from quasimusic.exceptions import EngineFault, ParameterOutOfRange, TableNeeded
from recommender.engines.likeness import Likeness
from recommender.engines.tables import Floats, RatingTable, Rows, Tables

N_RESAMPLES = 1000
SEED = 0  # of the resamples: one for all engines, so that equal values have equal intervals
INTERVAL = (0.025, 0.975)
BLOCK = 1 << 20  # listeners drawn, or pairs of songs compared, at once: bounds the memory

LESS_IS_BETTER = ("gini", "rmse", "mae")

Marks = NDArray[np.bool_]


class Recommender(Protocol):
    """What can be evaluated: an engine or the hybrid."""

    tables: Tables

    def recommend(
        self, listener_ids: Sequence[Any] | NDArray[Any] | pd.Index, n: int
    ) -> tuple[NDArray[Any], Floats]: ...


@runtime_checkable
class RatingPredictor(Protocol):
    """What also says how many stars a listener would give."""

    tables: Tables

    def predict_ratings(self, listener_ids: pd.Index, song_ids: pd.Index) -> Floats: ...


@dataclass(frozen=True)
class Estimate:
    """A mean over listeners with its 95% interval: the percentiles of the mean over listeners drawn anew, as many as
    there are, with replacement.

    Source: Efron, "Bootstrap methods: another look at the jackknife" (1979).
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Floats) -> "Estimate":
        """Of `values` float64 (m,), one a listener; a listener of NaN does not count. Raises EngineFault where none
        does. A single listener has no interval and stands for their own bounds."""
        return estimates({"": values})[""]

    def root(self) -> "Estimate":
        """Of the square root of what this is an estimate of."""
        return Estimate(*(float(np.sqrt(value)) for value in (self.mean, self.low, self.high)))


def estimates(values: Mapping[str, Floats], weights: Floats | None = None) -> dict[str, Estimate]:
    """Several means over the same listeners, each by name, on the same resamples.

    values : float64 (m,) each, NaN = does not count. weights : float64 (m,), what each listener counts; default 1.
    """
    table = np.column_stack(list(values.values()))
    counts = np.where(np.isnan(table), 0.0, 1.0 if weights is None else weights[:, None])
    if not (counts.sum(axis=0) > 0).all():
        raise EngineFault("there is not one listener to take the mean of")
    sums = np.nan_to_num(table) * counts
    means = sums.sum(axis=0) / counts.sum(axis=0)
    low, high = np.nanquantile(_resampled(sums, counts), INTERVAL, axis=0)
    return {name: Estimate(*map(float, row)) for name, row in zip(values, np.stack([means, low, high], 1), strict=True)}


def _resampled(sums: Floats, counts: Floats) -> Floats:
    """Column sums over column counts, both float64 (m, q), of rows drawn with replacement, (N_RESAMPLES, q); NaN where
    nothing that counts was drawn."""
    m, q = sums.shape
    rng = np.random.default_rng(SEED)
    both = np.hstack([sums, counts])
    totals = []
    step = max(1, BLOCK // m)
    for start in range(0, N_RESAMPLES, step):
        n = min(step, N_RESAMPLES - start)
        drawn = rng.integers(m, size=(n, m)) + m * np.arange(n)[:, None]
        totals.append(np.bincount(drawn.ravel(), minlength=n * m).reshape(n, m).astype(np.float64) @ both)
    above, below = np.hsplit(np.vstack(totals), 2)
    means: Floats = np.divide(above, below, out=np.full((N_RESAMPLES, q), np.nan), where=below > 0)
    return means


@dataclass(frozen=True, eq=False)
class Metrics:
    """Quality of the first k recommendations.

    n_listeners : listeners with something held out; all are counted, also those who got no recommendation.
    values : by metric what each of these has, float64 (n_listeners,), NaN where it says nothing of them.
    coverage : share of the catalogue that was recommended to anybody, 0..1.
    gini : how unevenly the songs of the catalogue are recommended, 0..1; NaN where none is.
    """

    k: int
    n_listeners: int
    values: Mapping[str, Floats]
    coverage: float
    gini: float

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """Means over listeners by metric; without those that say nothing of any listener."""
        return estimates({name: values for name, values in self.values.items() if not np.isnan(values).all()})

    @property
    def recall(self) -> Estimate:
        return self.estimates["recall"]

    @property
    def ndcg(self) -> Estimate:
        return self.estimates["ndcg"]

    def less(self, other: "Metrics", *names: str) -> dict[str, Estimate]:
        """The mean difference from `other`, judged on the same listeners, of these metrics.

        Pairs go together into the resamples, so what makes a listener hard for both engines cancels out.
        """
        assert self.n_listeners == other.n_listeners, (self.n_listeners, other.n_listeners)
        return estimates({name: self.values[name] - other.values[name] for name in names})

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, ready for JSON; what says nothing of anybody is left out."""
        means = {name: asdict(estimate) for name, estimate in self.estimates.items()}
        overall = {"coverage": self.coverage, "gini": self.gini}
        known = {name: value for name, value in overall.items() if not np.isnan(value)}
        return {"k": self.k, "n_listeners": self.n_listeners, **means, **known}


def evaluate(
    engine: Recommender,
    held_out: sparse.csr_array,
    k: int = 10,
    *,
    likeness: Likeness | None = None,
    passed_over: sparse.csr_array | None = None,
) -> Metrics:
    """Recommend k songs to every listener with held-out songs, and count the hits.

    engine : fitted on tables without the held-out pairs, so that those can be recommended.
    held_out : CSR (n_listeners, n_songs) on the rows of `engine.tables`.
    likeness : of songs; where it is given, the diversity of lists is measured too.
    passed_over : CSR as `held_out`, pairs that are no hit and no miss: they are left out of the lists.
    Raises TableNeeded where nothing is held out, ParameterOutOfRange (k < 1).
    """
    tables = engine.tables
    assert held_out.shape == (tables.n_listeners, tables.n_songs), held_out.shape
    if k < 1:
        raise ParameterOutOfRange(f"k is {k}; at least one place of a list must be judged")
    n_held = np.diff(held_out.indptr)
    listener_rows = np.flatnonzero(n_held)
    if not len(listener_rows):
        raise TableNeeded("evaluation needs listeners of two known songs or more, and there are none")
    song_rows = _lists(engine, listener_rows, k, passed_over)
    values = {
        **accuracy(hits_at(song_rows, held_out, listener_rows), n_held[listener_rows]),
        "novelty": novelty(song_rows, surprise(tables)),
    }
    if likeness is not None:
        values["diversity"] = diversity(song_rows, likeness)
    return Metrics(k, len(listener_rows), values, coverage(song_rows, tables.n_songs), gini(song_rows, tables.n_songs))


def _lists(engine: Recommender, listener_rows: Rows, k: int, passed_over: sparse.csr_array | None) -> Rows:
    """Song rows of the lists, int64 (m, k), best first, padded with -1."""
    spare = 0 if passed_over is None else int(np.diff(passed_over.indptr)[listener_rows].max())
    ids, _ = engine.recommend(engine.tables.users.ids[listener_rows], k + spare)
    song_rows = engine.tables.songs.ids.get_indexer(pd.Index(ids.ravel())).reshape(ids.shape).astype(np.int64)
    if passed_over is None:
        return song_rows
    gone = hits_at(song_rows, passed_over, listener_rows)
    last = np.argsort(gone, axis=1, kind="stable")
    kept: Rows = np.take_along_axis(np.where(gone, -1, song_rows), last, axis=1)[:, :k]
    return kept


def hits_at(song_rows: Rows, held_out: sparse.csr_array, listener_rows: Rows) -> Marks:
    """Which recommended songs were held out, bool (m, k).

    song_rows : int64 (m, k), one list a listener, best first, -1 where the list is shorter.
    """
    n_songs = held_out.shape[1]
    listeners, songs = held_out.tocoo().coords
    held = listeners.astype(np.int64) * n_songs + songs
    return np.isin(listener_rows[:, None] * n_songs + song_rows, held) & (song_rows >= 0)


def accuracy(hits: Marks, n_held: Rows) -> dict[str, Floats]:
    """Every metric that is made of hits, by name, float64 (m,) each, 0..1.

    hits : bool (m, k), one row a listener, best place first. n_held : int64 (m,) >= 1, held-out songs.
    """
    return {
        "precision": precision(hits),
        "recall": recall(hits, n_held),
        "ndcg": ndcg(hits, n_held),
        "map": average_precision(hits, n_held),
        "mrr": reciprocal_rank(hits),
        "hit_rate": hit_rate(hits),
    }


def precision(hits: Marks) -> Floats:
    """Hits over places, (m,), 0..1; a place left empty is a miss."""
    shares: Floats = hits.mean(axis=1)
    return shares


def recall(hits: Marks, n_held: Rows) -> Floats:
    """Hits over held-out songs, (m,), 0..1."""
    found: Floats = hits.sum(axis=1) / n_held
    return found


def ndcg(hits: Marks, n_held: Rows) -> Floats:
    """Normalised discounted cumulative gain with gain 1 a hit, (m,), 0..1.

    A hit at place p (from 1) counts 1 / log2(p + 1); the best possible list has hits at its first min(k, n_held)
    places. Source: Jarvelin, Kekalainen, "Cumulated gain-based evaluation of IR techniques" (2002).
    """
    k = hits.shape[1]
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(discounts)[np.minimum(n_held, k) - 1]
    shares: Floats = hits @ discounts / best
    return shares


def average_precision(hits: Marks, n_held: Rows) -> Floats:
    """Precision of the list down to each hit, summed, over held-out songs, (m,), 0..1; its mean is MAP.

    What is never found counts 0. Source: Buckley, Voorhees, "Evaluating evaluation measure stability" (2000).
    """
    down_to = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    shares: Floats = (down_to * hits).sum(axis=1) / n_held
    return shares


def reciprocal_rank(hits: Marks) -> Floats:
    """1 / place of the first hit, 0 without one, (m,), 0..1; its mean is MRR.

    Source: Voorhees, "The TREC-8 question answering track report" (1999).
    """
    ranks: Floats = np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1.0), 0.0)
    return ranks


def hit_rate(hits: Marks) -> Floats:
    """1 where there is any hit, else 0, (m,)."""
    found: Floats = np.where(hits.any(axis=1), 1.0, 0.0)
    return found


def surprise(tables: Tables) -> Floats:
    """Bits it takes to say that a listener knows a song, float64 (n_songs,) >= 0.

    -log2 of the share of listeners who know it, of those who know any; a song nobody knows counts as known to one.
    """
    n_knowing = np.bincount(tables.known.indices, minlength=tables.n_songs)
    n_listeners = max(int((np.diff(tables.known.indptr) > 0).sum()), 1)
    bits: Floats = np.log2(np.divide(n_listeners, np.maximum(n_knowing, 1)))
    return bits


def novelty(song_rows: Rows, bits: Floats) -> Floats:
    """Mean surprise of a list's songs in bits, (m,), 0..log2(n_listeners); NaN where the list is empty.

    bits : float64 (n_songs,). Source: Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender
    systems" (2010).
    """
    listed = song_rows >= 0
    total = np.where(listed, bits[song_rows], 0.0).sum(axis=1)
    means: Floats = np.divide(total, listed.sum(axis=1), out=np.full(len(total), np.nan), where=listed.any(axis=1))
    return means


def diversity(song_rows: Rows, likeness: Likeness) -> Floats:
    """1 - mean likeness of the pairs of songs in a list, (m,), 0 (all alike)..2 (all opposed).

    NaN where the list has no pair that can be compared.
    Source: Ziegler et al., "Improving recommendation lists through topic diversification" (2005).
    """
    others = ~np.eye(song_rows.shape[1], dtype=bool)
    values = np.full(len(song_rows), np.nan)
    step = max(1, BLOCK // song_rows.shape[1] ** 2)
    for start in range(0, len(song_rows), step):
        lists = song_rows[start : start + step]
        listed = lists >= 0
        alike = likeness(lists)
        compared = others & listed[:, :, None] & listed[:, None, :] & ~np.isnan(alike)
        n_pairs = compared.sum(axis=(1, 2))
        total = np.where(compared, alike, 0.0).sum(axis=(1, 2))
        values[start : start + step][n_pairs > 0] = 1.0 - total[n_pairs > 0] / n_pairs[n_pairs > 0]
    return values


def coverage(song_rows: Rows, n_songs: int) -> float:
    """Share of the catalogue in any list, 0..1; rows of -1 are padding."""
    return len(np.unique(song_rows[song_rows >= 0])) / n_songs


def gini(song_rows: Rows, n_songs: int) -> float:
    """How unevenly the places of all lists fall on the songs of the catalogue: 0 all alike, near 1 all on one song.

    With places sorted upwards, x_1 <= ... <= x_n: sum_i (2i - n - 1) x_i / (n sum_i x_i); NaN where every list is
    empty.
    Source: Gini, "Variabilita e mutabilita" (1912), in the form of Glasser, "Variance formulas for the mean difference
    and coefficient of concentration" (1962).
    """
    shown = np.sort(np.bincount(song_rows[song_rows >= 0], minlength=n_songs))
    if not shown.any():
        return float("nan")
    ranks = np.arange(1, n_songs + 1)
    return float((2 * ranks - n_songs - 1) @ shown / (n_songs * shown.sum()))


def evaluate_ratings(engine: RatingPredictor, held_out: RatingTable) -> dict[str, Estimate]:
    """Errors of predicted ratings in stars, `rmse` and `mae`, where there is a prediction (NaN = none).

    Every rating counts the same; the intervals are over listeners, who come with all their ratings.
    Raises EngineFault where not one is predicted.
    """
    tables = engine.tables
    predicted = engine.predict_ratings(tables.users.ids[held_out.listener_rows], tables.songs.ids[held_out.song_rows])
    errors = _errors(predicted, held_out.rating)
    _, listeners = np.unique(held_out.listener_rows[~np.isnan(predicted)], return_inverse=True)
    n_rated = np.bincount(listeners).astype(np.float64)
    means = {
        "rmse": np.bincount(listeners, errors**2) / n_rated,
        "mae": np.bincount(listeners, np.abs(errors)) / n_rated,
    }
    found = estimates(means, weights=n_rated)
    return {**found, "rmse": found["rmse"].root()}


def rmse(predicted: Floats, actual: Floats) -> float:
    """Root of the mean squared error where there is a prediction (NaN = none)."""
    return float(np.sqrt(np.mean(_errors(predicted, actual) ** 2)))


def _errors(predicted: Floats, actual: Floats) -> Floats:
    assert predicted.shape == actual.shape, (predicted.shape, actual.shape)
    errors = (predicted - actual)[~np.isnan(predicted)]
    if not len(errors):
        raise EngineFault("there is not one prediction to compare with")
    return errors
