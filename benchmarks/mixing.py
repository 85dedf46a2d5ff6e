"""Ways to mix the engines into one list, judged on listening that none of them has seen.

The engines are fitted on the training part, and what is to be learned of the mixture is learned on inner splits of it.
Each mixture is compared with the best single engine, listener by listener, under the same cap per artist; the music
manager as it stands is compared with that engine uncapped, too. Research data is looked for beside the checkout; the
planted world is always there.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.planted import listening
from benchmarks.quality import DATA, SEEDS, read
from benchmarks.report import Say, table
from recommender.engines.base import Engine
from recommender.engines.hybrid import FALLBACK, Hybrid, Rules, fit_engines, learned_weights
from recommender.engines.metrics import Metrics, estimates, evaluate
from recommender.engines.ranking import capped_top_n
from recommender.engines.splits import split
from recommender.engines.tables import Floats, Rows, Tables

AT = 10
BATCH = 64
CAP = 2
HARMONIC = 60.0  # added to a rank before it is turned over
DEPTH = 200  # of the lists that are drafted from

Mixture = Callable[[list[Floats]], Floats]


def measure(say: Say) -> dict[str, Any]:
    """By data set, ndcg@10 of the best single engine and the paired difference of each mixture from it."""
    sets = {"planted": Tables.from_frames(**listening(seed=0))}
    if DATA.is_dir():
        sets |= {name: read(DATA / name) for name in ("taste", "situnes")}
    figures = {}
    for name, everything in sets.items():
        figures[name] = _pooled([_measured(everything, seed) for seed in SEEDS])
        say(f"{name}: {figures[name]['gains']['z-score, stacked']}")
    return figures


def tables(figures: dict[str, Any]) -> str:
    """One table a data set: the mixtures by what they gain."""
    parts = []
    for name, figure in figures.items():
        rows = [[who, *(gain[key] for key in ("mean", "low", "high"))] for who, gain in figure["gains"].items()]
        rows.sort(key=lambda row: -row[1])
        told = f"**{name}**, ndcg@{AT} of the best single engine ({', '.join(figure['best'])}) {figure['ndcg']:.3f}"
        parts.append(f"{told}\n\n{table(['mixture', 'gain', 'low', 'high'], rows)}")
    return "\n\n".join(parts)


@dataclass(frozen=True, eq=False)
class Mixed:
    """Engines under a mixture of their scores, asked as an engine is."""

    tables: Tables
    engines: Mapping[str, Engine]
    mixture: Mixture

    def recommend(self, listener_ids: Any, n: int) -> tuple[np.ndarray, Floats]:
        rows = self.tables.listener_rows(listener_ids)
        parts = [self._best(rows[start : start + BATCH], n) for start in range(0, len(rows), BATCH)]
        columns, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
        return self.tables.song_ids(columns), scores

    def _best(self, rows: Rows, n: int) -> tuple[Rows, Floats]:
        said = [engine.score_rows(rows).astype(np.float64) for engine in self.engines.values()]
        for scores in said:
            scores[self.tables.familiar[rows].tocoo().coords] = np.nan
        return capped_top_n(self.mixture(said), n, self.tables.songs.artists, CAP)


def min_max(weights: Floats) -> Mixture:
    """The weighted mean of scores laid on 0..1; no opinion is the lowest."""

    def mixed(said: list[Floats]) -> Floats:
        laid = []
        for scores in said:
            low, high = (bound(scores, axis=1, initial=0.0, keepdims=True) for bound in (np.nanmin, np.nanmax))
            laid.append((scores - low) / np.where(high > low, high - low, 1.0))
        return _sum(laid, weights)

    return mixed


def reciprocal_rank(weights: Floats) -> Mixture:
    """The weighted sum of 1 / (60 + rank): Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet
    and individual rank learning methods" (2009)."""

    def mixed(said: list[Floats]) -> Floats:
        return _sum([np.where(np.isnan(scores), np.nan, 1.0 / (HARMONIC + _ranks(scores))) for scores in said], weights)

    return mixed


def team_draft(weights: Floats) -> Mixture:
    """Engines take turns to put their next song on the list, in an order drawn anew each round among those with a
    weight: Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval quality?" (2008)."""
    captains = np.flatnonzero(weights)

    def mixed(said: list[Floats]) -> Floats:
        rng = np.random.default_rng(0)
        ranked = [np.argsort(np.where(np.isnan(scores), np.inf, -scores), axis=1, kind="stable") for scores in said]
        drafted = np.full(said[0].shape, np.nan)
        for row in range(len(drafted)):
            nexts = dict.fromkeys(captains.tolist(), 0)
            for _ in range(DEPTH // len(captains)):
                for captain in rng.permutation(captains).tolist():
                    nexts[captain] = _draft(ranked[captain][row], said[captain][row], drafted[row], nexts[captain])
        return drafted

    return mixed


def _draft(ranked: Rows, said: Floats, drafted: Floats, at: int) -> int:
    """Put the captain's next free song behind those drafted; returns where the captain goes on."""
    while at < len(ranked):
        song = ranked[at]
        at += 1
        if np.isnan(said[song]):
            return len(ranked)
        if np.isnan(drafted[song]):
            drafted[song] = -float((~np.isnan(drafted)).sum())
            return at
    return at


def _sum(laid: list[Floats], weights: Floats) -> Floats:
    total = sum(weight * np.nan_to_num(scores) for weight, scores in zip(weights, laid, strict=True))
    spoken = np.any([~np.isnan(scores) for scores, weight in zip(laid, weights, strict=True) if weight], axis=0)
    return np.where(spoken, total, np.nan)


def _ranks(scores: Floats) -> Floats:
    order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), axis=1, kind="stable")
    ranks = np.empty(scores.shape)
    np.put_along_axis(ranks, order, np.arange(1.0, scores.shape[1] + 1)[None, :], axis=1)
    return ranks


def _measured(everything: Tables, seed: int) -> dict[str, Any]:
    train, held_out = split(everything, rng=np.random.default_rng(seed))
    learned = learned_weights(train, rng=np.random.default_rng(seed))
    engines, _ = fit_engines(train, rng=np.random.default_rng(seed))
    best, alone, uncapped = _best_single(engines, held_out)
    stacked = np.array([learned[name] for name in engines])
    alike = np.ones(len(engines)) / len(engines)
    without = np.array([float(name != FALLBACK) for name in engines])
    mixtures = {
        "z-score, stacked": Hybrid(engines, learned),
        "z-score, all alike": Hybrid(engines),
        "z-score, alike without popularity": Hybrid(engines, dict(zip(engines, without, strict=True))),
        "min-max, all alike": Mixed(train, engines, min_max(alike)),
        "min-max, same weights": Mixed(train, engines, min_max(stacked)),
        "reciprocal rank, all alike": Mixed(train, engines, reciprocal_rank(alike)),
        "reciprocal rank, same weights": Mixed(train, engines, reciprocal_rank(stacked)),
        "team draft, all": Mixed(train, engines, team_draft(alike)),
        "team draft, of those with a weight": Mixed(train, engines, team_draft(stacked)),
    }
    found = {name: evaluate(mixture, held_out, AT) for name, mixture in mixtures.items()}
    gains = {name: _differences(metrics, alone) for name, metrics in found.items()}
    gains["z-score, stacked, against it uncapped"] = _differences(found["z-score, stacked"], uncapped)
    return {"best": best, "ndcg": alone.values["ndcg"], "weights": learned, "gains": gains}


def _best_single(engines: Mapping[str, Engine], held_out: sparse.csr_array) -> tuple[str, Metrics, Metrics]:
    """The engine that finds most, with the artists capped and as it is."""
    uncapped = {name: evaluate(engine, held_out, AT) for name, engine in engines.items()}
    best = max(uncapped, key=lambda name: uncapped[name].ndcg.mean)
    return best, evaluate(Hybrid({best: engines[best]}, rules=Rules(CAP)), held_out, AT), uncapped[best]


def _differences(metrics: Metrics, other: Metrics) -> Floats:
    differences: Floats = metrics.values["ndcg"] - other.values["ndcg"]
    return differences


def _pooled(splits: list[dict[str, Any]]) -> dict[str, Any]:
    """The splits together: a listener counts once, with the mean difference over them."""
    means = {name: np.mean([each["gains"][name] for each in splits], axis=0) for name in splits[0]["gains"]}
    gains = estimates(means)
    return {
        "best": sorted({each["best"] for each in splits}),
        "ndcg": float(np.mean([each["ndcg"].mean() for each in splits])),
        "weights": [each["weights"] for each in splits],
        "gains": {name: asdict(gain) for name, gain in gains.items()},
        "by_split": [{name: float(gain.mean()) for name, gain in each["gains"].items()} for each in splits],
    }
