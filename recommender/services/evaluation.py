"""Measuring the band on what is held out of its tables, for people to compare by; nothing fitted here serves."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.conf import settings
from django.utils import timezone
from scipy import sparse

from quasimusic.exceptions import EngineFault, ParameterOutOfRange, TableNeeded
from recommender.engines import ENGINES
from recommender.engines.base import Engine, Params
from recommender.engines.core import core
from recommender.engines.hybrid import Hybrid, learned_weights
from recommender.engines.likeness import Likeness, song_likeness
from recommender.engines.metrics import LESS_IS_BETTER, Metrics, RatingPredictor, evaluate, evaluate_ratings
from recommender.engines.splits import (
    Newcomers,
    held_ratings,
    leave_last_out,
    leave_one_out,
    split,
    split_by_time,
)
from recommender.engines.tables import RatingTable, Tables
from recommender.engines.threads import bounded
from recommender.engines.weighing import Uniform
from recommender.loading import load_tables
from recommender.models import Evaluation, TrainingRun
from recommender.services.training import K, Report, chance

logger = logging.getLogger(__name__)

Splitter = Callable[..., tuple[Tables, sparse.csr_array]]

SPLITS: dict[str, Splitter] = {
    "random": split,
    "one": leave_one_out,
    "last": leave_last_out,
    "time": split_by_time,
}
COLD = "cold"
N_TOLD = (0, 1, 3, 5, 10)  # songs a newcomer has told when the band is asked
MOST_PLACES = 1000
HYBRID = "hybrid"
ACCURACY = ("precision", "recall", "ndcg", "map", "mrr", "hit_rate")
BEYOND = ("novelty", "diversity", "coverage", "gini")
STARS = ("rmse", "mae")
JUDGED_BY = "ndcg"
COMPARED = ("ndcg", "recall")

Figures = dict[str, Any]


def evaluate_band(
    *,
    seed: int,
    k: int = K,
    protocol: str = "random",
    n_core: int | None = None,
    tuned: bool = True,
    report: Report = logger.info,
) -> Evaluation:
    """Measure each engine that has its tables, and the hybrid, and keep the figures.

    protocol: a name of `SPLITS`, or "cold": newcomers, after each of `N_TOLD` songs. n_core: on the n-core over songs
    with content. tuned: with the parameters the active run was tuned to. report: called with a line at each step.
    An engine without its tables is told under its name: {"left_out": why}.
    Raises ParameterOutOfRange, MomentUnknown (by time, where moments are unknown), TableNeeded (nothing to hold out).
    """
    rng = chance(seed)
    if not 1 <= k <= MOST_PLACES:
        raise ParameterOutOfRange(f"k is {k}; lists of 1 to {MOST_PLACES} songs are judged")
    if protocol not in (*SPLITS, COLD):
        raise ParameterOutOfRange(f"no protocol {protocol!r}; there are {', '.join((*SPLITS, COLD))}")
    tables = load_tables()
    if n_core is not None:
        tables = core(tables, n_core)
    bench = _Bench(k, seed, _tuned(report) if tuned else {}, report)
    with bounded(settings.ENGINE_THREADS):
        results = bench.cold(tables, rng) if protocol == COLD else bench.warm(*_split(tables, protocol, rng))
    return Evaluation.objects.create(
        made_at=timezone.now(),
        protocol=protocol if n_core is None else f"{protocol}, {n_core}-core",
        seed=seed,
        k=k,
        results=results,
    )


def stages(evaluation: Evaluation) -> dict[str, dict[str, Figures]]:
    """Figures by engine under the stages they were taken at: of newcomers after each number of songs, else one."""
    if evaluation.protocol.startswith(COLD):
        return {_after(n): figures for n, figures in evaluation.results.items()}
    return {"": evaluation.results}


def measured(figures: Mapping[str, Figures]) -> dict[str, Figures]:
    """Those of the figures by engine that are not of an engine left out."""
    return {name: each for name, each in figures.items() if "left_out" not in each}


def best_engine(figures: Mapping[str, Figures]) -> str:
    """The engine of the highest mean ndcg, the hybrid apart."""
    engines = {name: mean(each[JUDGED_BY]) for name, each in measured(figures).items() if name != HYBRID}
    return max(engines, key=engines.__getitem__)


def mean(figure: Any) -> float:
    """A figure's mean over listeners; a figure of all lists together is its own."""
    found: float = figure["mean"] if isinstance(figure, dict) else figure
    return found


def best(figures: Mapping[str, Figures], metric: str) -> float:
    """The best any of those measured has in a metric."""
    means = [mean(each[metric]) for each in measured(figures).values() if metric in each]
    return min(means) if metric in LESS_IS_BETTER else max(means)


def _after(n: str) -> str:
    return f"After {n} {'song' if n == '1' else 'songs'}"


def _tuned(report: Report) -> Mapping[str, Params]:
    active = TrainingRun.objects.filter(is_active=True).first()
    if active is None or not active.tuned:
        return {}
    report(f"Parameters as {active} was tuned: {', '.join(active.tuned)}; the others' are defaults.")
    return active.tuned


def _split(tables: Tables, protocol: str, rng: np.random.Generator) -> tuple[Tables, sparse.csr_array, RatingTable]:
    train, held_out = SPLITS[protocol](tables, rng=rng)
    if not held_out.nnz:
        raise TableNeeded("Nothing can be measured: no listener has played or rated two songs yet.")
    return train, held_out, held_ratings(tables, held_out)


@dataclass(frozen=True)
class _Bench:
    """How it is measured."""

    k: int
    seed: int
    params: Mapping[str, Params]
    report: Report

    def warm(self, train: Tables, held_out: sparse.csr_array, ratings: RatingTable) -> dict[str, Figures]:
        """Figures by engine of listeners who go on."""
        self.report(f"{held_out.nnz} songs of {np.diff(held_out.indptr).astype(bool).sum()} listeners are held out.")
        engines, results = self._fit(train)
        results = self._figures(engines, self._weights(train), held_out, song_likeness(train), results)
        for name, engine in engines.items():
            results[name] |= self._stars(engine, ratings)
        return results

    def cold(self, tables: Tables, rng: np.random.Generator) -> dict[str, dict[str, Figures]]:
        """Figures by engine of newcomers, by how much they have told; the engines are fitted without them."""
        newcomers = Newcomers.of(tables, n_told=max(N_TOLD), rng=rng)
        train, held_out = newcomers.told(0), newcomers.held_out
        self.report(f"{np.diff(held_out.indptr).astype(bool).sum()} listeners are taken for new.")
        engines, left_out = self._fit(train)
        weights, likeness = self._weights(train), song_likeness(train)
        results = {}
        for n in N_TOLD:
            told = newcomers.told(n)
            self.report(f"{_after(str(n))}:")
            folded_in = {name: engine.on(told) for name, engine in engines.items()}
            results[str(n)] = self._figures(
                folded_in, weights, held_out, likeness, left_out, passed_over=newcomers.passed_over(n)
            )
        return results

    def _fit(self, train: Tables) -> tuple[dict[str, Engine], dict[str, Figures]]:
        """The engines that have their tables, by name; and of each how long it took or why it is left out."""
        engines: dict[str, Engine] = {}
        told: dict[str, Figures] = {}
        for name, engine_class in ENGINES.items():
            began = time.perf_counter()
            try:
                engines[name] = engine_class.fit(train, self.params.get(name), rng=chance(self.seed))
            except TableNeeded as fault:
                told[name] = {"left_out": str(fault)}
                self.report(f"{name} is left out: {fault}")
                continue
            told[name] = {"seconds": time.perf_counter() - began}
            self.report(f"{name}: fitted in {told[name]['seconds']:.1f} s")
        return engines, told

    def _weights(self, train: Tables) -> dict[str, float] | None:
        """The hybrid's weights as it would learn them before it sees what is held out; None for equal ones."""
        if Uniform.name == settings.WEIGHTS_STRATEGY:
            return None
        return learned_weights(train, rng=chance(self.seed), params=self.params)

    def _figures(
        self,
        engines: Mapping[str, Engine],
        weights: Mapping[str, float] | None,
        held_out: sparse.csr_array,
        likeness: Likeness,
        told: Mapping[str, Figures],
        passed_over: sparse.csr_array | None = None,
    ) -> dict[str, Figures]:
        """The figures of each engine and the hybrid, and by how much each falls short of the best engine."""
        band = Hybrid(engines, weights)
        found: dict[str, Metrics] = {}
        for name, engine in {**engines, HYBRID: band}.items():
            found[name] = evaluate(engine, held_out, self.k, likeness=likeness, passed_over=passed_over)
            judged = found[name].estimates[JUDGED_BY]
            self.report(f"{name}: {JUDGED_BY}@{self.k} {judged.mean:.3f} ({judged.low:.3f} to {judged.high:.3f})")
        figures = {name: dict(each) for name, each in told.items()}
        figures[HYBRID] = {"weights": band.weights}
        for name, metrics in found.items():
            figures[name] |= metrics.to_dict()
        leader = found[best_engine(figures)]
        for name, metrics in found.items():
            differences = metrics.less(leader, *COMPARED)
            figures[name]["less_best"] = {metric: asdict(estimate) for metric, estimate in differences.items()}
        return figures

    def _stars(self, engine: Engine, ratings: RatingTable) -> Figures:
        """How far an engine that predicts ratings is from those held out."""
        if not isinstance(engine, RatingPredictor) or not len(ratings):
            return {}
        try:
            return {name: asdict(estimate) for name, estimate in evaluate_ratings(engine, ratings).items()}
        except EngineFault as fault:  # too few ratings to learn from, or of other songs: the rest is measured
            self.report(f"{engine.name} predicts no rating: {fault}")
            return {}
