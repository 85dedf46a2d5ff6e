"""Bayesian search for the hyper-parameters of `weighted_mf`: a Gaussian process over lambda and K.

The number of iterations costs no dimension: one fit to the longest count passes all shorter ones and is scored
on its way.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from scipy import sparse
from skopt import gp_minimize  # type: ignore[import-untyped] # the package has no types
from skopt.space import Integer, Real  # type: ignore[import-untyped] # likewise

from quasimusic.exceptions import ParameterOutOfRange, TableNeeded
from recommender.engines.metrics import evaluate, rmse
from recommender.engines.preference import require_events
from recommender.engines.splits import folds, rating_folds
from recommender.engines.tables import RatingTable, Tables
from recommender.engines.threads import mapped
from recommender.engines.weighted_mf import drawing
from recommender.engines.weighted_mf.heads import Task, penalised_task, ranking_task
from recommender.engines.weighted_mf.model import WeightedMF

RANKED = 10  # places of the list that a ranking is judged by


@dataclass(frozen=True)
class Trial:
    """One point of the search: its parameters (the best iteration count among them) and what it lost there,
    the mean over the folds of the RMSE in stars or, without ratings, of -ndcg@10."""

    params: dict[str, int | float]
    loss: float


Progress = Callable[[Sequence[Trial]], None]


@dataclass(frozen=True)
class Search:
    """What a search tried, in order.

    names : the parameters searched: lambda, K and the iterations of one head.
    measure : what the loss is, in words.
    """

    tuner: "HyperTuner"
    names: tuple[str, str, str]
    measure: str
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The trial that lost least, the first of equals; its parameters are ready for `WeightedMF.fit`."""
        return best_of(self.trials)

    @cached_property
    def convergence(self) -> str:
        """Picture (SVG): the loss of each trial and the best so far."""
        return drawing.convergence([trial.loss for trial in self.trials], self.measure)

    @cached_property
    def dependence(self) -> str:
        """Picture (SVG): how the loss depends on lambda and on K."""
        points = [[trial.params[name] for name in self.names[:2]] for trial in self.trials]
        losses = np.array([trial.loss for trial in self.trials])
        return drawing.dependence(self.tuner.dimensions(self.names), points, losses, self.measure)


@dataclass(frozen=True)
class HyperTuner:
    """What to search, and how long.

    regularisation : range of lambda, searched on a log scale. n_factors : range of K.
    n_iterations : range of iteration counts, of which `n_counts` evenly spaced ones are scored.
    n_trials : points tried, the first `n_random` of them at random. n_folds : folds of the cross-validation.
    """

    regularisation: tuple[float, float] = (0.01, 1.0)
    n_factors: tuple[int, int] = (20, 60)
    n_iterations: tuple[int, int] = (100, 120)
    n_counts: int = 5
    n_trials: int = 25
    n_random: int = 8
    n_folds: int = 5

    def __post_init__(self) -> None:
        for name in ("regularisation", "n_factors", "n_iterations"):
            least, most = getattr(self, name)
            if not 0 < least < most:
                raise ParameterOutOfRange(f"{name} is searched from {least} to {most}; give two rising bounds above 0")
        for name in ("n_counts", "n_trials"):
            if getattr(self, name) < 1:
                raise ParameterOutOfRange(f"{name} is {getattr(self, name)}; give 1 or more")
        if not 1 <= self.n_random <= self.n_trials:
            raise ParameterOutOfRange(f"{self.n_random} random trials of {self.n_trials}; give from 1 to all of them")

    def search(self, tables: Tables, *, rng: np.random.Generator, progress: Progress | None = None) -> Search:
        """Try `n_trials` points on `tables`.

        Judged by the RMSE of held-out ratings where there are ratings, else by the ndcg@10 of held-out plays; the
        parameters found are those of that head (`rating_regularisation`, ... or `regularisation`, ...).
        progress : called after each trial with all trials so far.
        Raises TableNeeded where there are neither plays nor ratings, or too few to hold any out.
        """
        require_events("the tuner of weighted_mf", tables)
        judge = _judge(tables, self.n_folds, rng)
        seed = int(rng.integers(2**31))
        trials: list[Trial] = []

        def lost(point: list[Any]) -> float:
            trials.append(self._trial(judge, float(point[0]), int(point[1]), seed))
            if progress is not None:
                progress(trials)
            return trials[-1].loss

        with warnings.catch_warnings():
            # K is whole, so the process may ask for a point again; trying it twice is harmless.
            warnings.filterwarnings("ignore", message="The objective has been evaluated at point", category=UserWarning)
            gp_minimize(
                lost,
                self.dimensions(judge.names),
                acq_func="EI",
                n_calls=self.n_trials,
                n_initial_points=self.n_random,
                random_state=seed,
            )
        return Search(self, judge.names, judge.measure, tuple(trials))

    def dimensions(self, names: Sequence[str]) -> list[Real | Integer]:
        """The space searched, under the names of lambda and K."""
        return [
            Real(*self.regularisation, prior="log-uniform", name=names[0]),
            Integer(*self.n_factors, name=names[1]),
        ]

    def _trial(self, judge: "_Judge", regularisation: float, n_factors: int, seed: int) -> Trial:
        counts = np.unique(np.linspace(*self.n_iterations, self.n_counts).round().astype(int)).tolist()
        # A thread a fold; each draws its own start from the seed, so that they may run in any order.
        lost = mapped(lambda fold: list(judge.losses(fold, regularisation, n_factors, counts, seed)), judge.folds)
        losses = np.mean(lost, axis=0)
        best = int(np.argmin(losses))
        params = dict(zip(judge.names, (regularisation, n_factors, counts[best]), strict=True))
        return Trial(params, float(losses[best]))


@dataclass(frozen=True, eq=False)
class _Fold:
    """One cut of the tables: what is learned from, ready to be factorised, and what is held out."""

    tables: Tables
    task: Task
    held_out: Any


@dataclass(frozen=True)
class _Judge:
    """One head of the engine: the names of its lambda, K and iterations, how it is judged, and on which folds."""

    names: tuple[str, str, str]
    measure: str
    loss: Callable[[WeightedMF, Any], float]
    folds: Sequence[_Fold]

    def losses(
        self, fold: _Fold, regularisation: float, n_factors: int, counts: Sequence[int], seed: int
    ) -> Iterator[float]:
        """The loss on one fold after each of these iteration counts, all from one fit."""
        params = WeightedMF.settle({self.names[0]: regularisation, self.names[1]: n_factors})
        states = fold.task.regularised(regularisation).states(n_factors, np.random.default_rng(seed))
        for count, state in enumerate(islice(states, counts[-1]), start=1):
            if count in counts:
                yield self.loss(WeightedMF(fold.tables, params, state), fold.held_out)


def best_of(trials: Sequence[Trial]) -> Trial:
    """The trial that lost least, the first of equals."""
    return min(trials, key=lambda trial: trial.loss)


def _judge(tables: Tables, n_folds: int, rng: np.random.Generator) -> _Judge:
    return _rating_judge(tables, n_folds, rng) if len(tables.ratings) else _ranking_judge(tables, n_folds, rng)


def _rating_judge(tables: Tables, n_folds: int, rng: np.random.Generator) -> _Judge:
    cuts = [
        _Fold(train, penalised_task(train, WeightedMF.defaults), held_out)
        for train, held_out in rating_folds(tables, n_folds=n_folds, rng=rng)
        # Nothing is said of a song whose every rating is held out.
        if np.isin(held_out.song_rows, train.ratings.song_rows).any()
    ]
    if not cuts:
        raise TableNeeded("the tuner of weighted_mf needs songs with two ratings or more, and there are none")
    names = ("rating_regularisation", "rating_factors", "rating_iterations")
    return _Judge(names, "RMSE in stars", _rating_loss, cuts)


def _ranking_judge(tables: Tables, n_folds: int, rng: np.random.Generator) -> _Judge:
    cuts = [
        _Fold(train, ranking_task(train, WeightedMF.defaults), held_out)
        for train, held_out in folds(tables, n_folds=n_folds, rng=rng)
        if held_out.nnz
    ]
    if not cuts:
        raise TableNeeded("the tuner of weighted_mf needs listeners of two songs or more, and there are none")
    return _Judge(("regularisation", "n_factors", "n_iterations"), f"-ndcg@{RANKED}", _ranking_loss, cuts)


def _rating_loss(engine: WeightedMF, held_out: RatingTable) -> float:
    listener_ids, song_ids = (
        engine.tables.users.ids[held_out.listener_rows],
        engine.tables.songs.ids[held_out.song_rows],
    )
    return rmse(engine.predict_ratings(listener_ids, song_ids), held_out.rating)


def _ranking_loss(engine: WeightedMF, held_out: sparse.csr_array) -> float:
    return -evaluate(engine, held_out, RANKED).ndcg.mean
