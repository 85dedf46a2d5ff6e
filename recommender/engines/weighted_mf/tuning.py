"""Bayesian search for the hyper-parameters of `weighted_mf`: a Gaussian process over lambda and K.

The number of iterations costs no dimension: one fit to the longest count passes all shorter ones and is scored
on its way.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from scipy import sparse
from skopt import gp_minimize  # type: ignore[import-untyped] # the package has no types
from skopt.space import Integer, Real  # type: ignore[import-untyped] # likewise

from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.base import Params, State
from recommender.engines.metrics import evaluate, rmse
from recommender.engines.preference import require_events
from recommender.engines.splits import folds, rating_folds
from recommender.engines.tables import RatingTable, Tables
from recommender.engines.weighted_mf.model import WeightedMF, ranking_states, rating_states

RANKED = 10  # places of the list that a ranking is judged by


@dataclass(frozen=True)
class Trial:
    """One point of the search: its parameters (the best iteration count among them) and what it lost there,
    the mean over the folds of the RMSE in stars or, without ratings, of -ndcg@10."""

    params: dict[str, int | float]
    loss: float


Progress = Callable[[int, int, Trial], None]


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
    n_trials: int = 20
    n_random: int = 8
    n_folds: int = 5

    def __post_init__(self) -> None:
        for name in ("regularisation", "n_factors", "n_iterations"):
            least, most = getattr(self, name)
            if not 0 < least < most:
                raise ParameterOutOfRange(f"{name} is searched from {least} to {most}; give two rising bounds above 0")
        if not 1 <= self.n_random <= self.n_trials:
            raise ParameterOutOfRange(f"{self.n_random} random trials of {self.n_trials}; give from 1 to all of them")

    def search(
        self, tables: Tables, *, rng: np.random.Generator, progress: Progress | None = None
    ) -> tuple[dict[str, int | float], list[Trial]]:
        """Try `n_trials` points on `tables`.

        Judged by the RMSE of held-out ratings where there are ratings, else by the ndcg@10 of held-out plays; the
        parameters found are those of that head (`rating_regularisation` or `regularisation`).
        progress : called after each trial with how many are done, how many there are and the best so far.
        Returns the best parameters, ready for `WeightedMF.fit`, and all trials in the order tried.
        Raises TableNeeded where there are neither plays nor ratings.
        """
        require_events("the tuner of weighted_mf", tables)
        judge = _judge(tables, self.n_folds, rng)
        seed = int(rng.integers(2**31))
        trials: list[Trial] = []

        def lost(point: list[Any]) -> float:
            params = {judge.regularisation: float(point[0]), "n_factors": int(point[1])}
            trials.append(self._trial(judge, params, seed))
            if progress is not None:
                progress(len(trials), self.n_trials, _best(trials))
            return trials[-1].loss

        with warnings.catch_warnings():
            # K is whole, so the process may ask for a point again; trying it twice is harmless.
            warnings.filterwarnings("ignore", message="The objective has been evaluated at point", category=UserWarning)
            gp_minimize(
                lost,
                [Real(*self.regularisation, prior="log-uniform"), Integer(*self.n_factors)],
                n_calls=self.n_trials,
                n_initial_points=self.n_random,
                random_state=seed,
            )
        return _best(trials).params, trials

    def _trial(self, judge: "_Judge", params: dict[str, int | float], seed: int) -> Trial:
        counts = np.unique(np.linspace(*self.n_iterations, self.n_counts).round().astype(int)).tolist()
        losses = np.mean(list(judge.losses(WeightedMF.settle(params), counts, seed)), axis=0)
        best = int(np.argmin(losses))
        return Trial({**params, "n_iterations": counts[best]}, float(losses[best]))


@dataclass(frozen=True)
class _Judge:
    """One head of the engine, the parameter it is regularised by, how it is judged, and the folds it is judged on."""

    regularisation: str
    states: Callable[[Tables, Params, np.random.Generator], Iterator[State]]
    loss: Callable[[WeightedMF, Any], float]
    cuts: Sequence[tuple[Tables, Any]]

    def losses(self, params: Params, counts: Sequence[int], seed: int) -> Iterator[list[float]]:
        """For each fold the loss after each of these iteration counts, all from one fit."""
        for train, held_out in self.cuts:
            states = islice(self.states(train, params, np.random.default_rng(seed)), counts[-1])
            engines = ((i, WeightedMF(train, params, state)) for i, state in enumerate(states, start=1))
            yield [self.loss(engine, held_out) for i, engine in engines if i in counts]


def _judge(tables: Tables, n_folds: int, rng: np.random.Generator) -> _Judge:
    if len(tables.ratings):
        cuts = list(rating_folds(tables, n_folds=n_folds, rng=rng))
        return _Judge("rating_regularisation", rating_states, _rating_loss, cuts)
    return _Judge("regularisation", ranking_states, _ranking_loss, list(folds(tables, n_folds=n_folds, rng=rng)))


def _rating_loss(engine: WeightedMF, held_out: RatingTable) -> float:
    listener_ids, song_ids = (
        engine.tables.users.ids[held_out.listener_rows],
        engine.tables.songs.ids[held_out.song_rows],
    )
    return rmse(engine.predict_ratings(listener_ids, song_ids), held_out.rating)


def _ranking_loss(engine: WeightedMF, held_out: sparse.csr_array) -> float:
    return -evaluate(engine, held_out, RANKED).ndcg.mean


def _best(trials: Sequence[Trial]) -> Trial:
    return min(trials, key=lambda trial: trial.loss)
