"""The two heads of `weighted_mf`: what each learns from, what it learns, and how a listener is folded into it.

The ranking head learns from plays and ratings which songs a listener takes to (w0 > 0); the rating head learns from
ratings alone what a listener would rate (w0 = 0), by one of three losses. Both leave arrays named with a prefix.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from recommender.engines.base import Params, State
from recommender.engines.learned import LearnedSongs
from recommender.engines.preference import damped_repetitions, preferences
from recommender.engines.ranking import Singles
from recommender.engines.tables import Floats, Rows, Tables, id_array
from recommender.engines.weighted_mf import variational, wals
from recommender.engines.weighted_mf.variational import Beliefs, Prior, Ratings
from recommender.engines.weighted_mf.wals import HalfStep, Problem, Side, Standing, solve_rows, weighted_mean

RATINGS = "rated_"  # prefix of the rating head's arrays in the state
LOSSES = ("slides", "scaled", "bayesian")
COUNT_POWER, BIAS_SHARE = 0.5, 0.2  # of the scaled loss


class RatingHead(Protocol):
    """What predicts ratings: a constant, the songs' side, and listeners folded in."""

    @property
    def mean(self) -> float: ...
    @property
    def side(self) -> Side: ...
    @property
    def songs(self) -> LearnedSongs: ...
    def listeners(self, rows: Rows) -> Side: ...


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

    @property
    def mean(self) -> float:
        return self.problem.mean

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


@dataclass(frozen=True, eq=False)
class BayesianHead:
    """The Bayesian factorisation on the ratings of the day.

    ratings : of all listeners of the tables for the learned songs, less `mean`.
    beliefs : what was learned of these songs. prior, precision : of listeners at large and of ratings.
    """

    ratings: Ratings
    mean: float
    beliefs: Beliefs
    prior: Prior
    precision: float
    songs: LearnedSongs

    @property
    def side(self) -> Side:
        return self.beliefs.side

    def listeners(self, rows: Rows) -> Side:
        """These listeners, folded in under the learned prior."""
        beliefs, _ = variational.believe(self.ratings.rows(rows), self.beliefs, self.prior, self.precision)
        return beliefs.side


@dataclass(frozen=True, eq=False)
class Task:
    """A problem to factorise; `song_ids` are those of its columns, `prefix` names what is learned.

    solver : of the rows' equations, one of wals.SOLVERS. half_step : what computes one.
    """

    prefix: str
    song_ids: NDArray[Any]
    problem: Problem
    solver: str
    half_step: HalfStep

    def states(self, n_factors: int, rng: np.random.Generator) -> Iterator[State]:
        """What is learned after each iteration, for ever."""
        for _, songs in wals.iterate(self.problem, n_factors, rng, self.solver, self.half_step):
            yield {
                f"{self.prefix}song_ids": self.song_ids,
                f"{self.prefix}song_factors": songs.factors,
                f"{self.prefix}song_biases": songs.biases,
                f"{self.prefix}mean": np.array([self.problem.mean]),
            }

    def regularised(self, regularisation: float) -> "Task":
        """The same task under another lambda."""
        return replace(self, problem=replace(self.problem, regularisation=regularisation))


@dataclass(frozen=True, eq=False)
class BayesianTask:
    """Ratings to factorise, less their `mean`, of listeners who rated; `song_ids` are those of the columns."""

    song_ids: NDArray[Any]
    ratings: Ratings
    mean: float

    def states(self, n_factors: int, rng: np.random.Generator) -> Iterator[State]:
        """What is learned after each iteration, for ever."""
        for model in variational.iterate(self.ratings, n_factors, rng):
            yield {
                f"{RATINGS}song_ids": self.song_ids,
                f"{RATINGS}song_means": model.songs.means,
                f"{RATINGS}song_covariances": model.songs.covariances,
                f"{RATINGS}mean": np.array([self.mean]),
                f"{RATINGS}prior_mean": model.listener_prior.mean,
                f"{RATINGS}prior_covariance": model.listener_prior.covariance,
                f"{RATINGS}precision": np.array([model.precision]),
            }


def ranking_task(tables: Tables, params: Params, half_step: HalfStep = wals.half_step) -> Task:
    """What the ranking head learns from these tables."""
    values, weights = _ranking_entries(tables, params)
    learned = np.unique(values.indices)
    values, weights = values[:, learned], weights[:, learned]
    mean = weighted_mean(values, weights, params["w0"])
    problem = _ranking_problem(values, weights, params, mean)
    return Task("", id_array(tables.songs.ids[learned]), problem, params["solver"], half_step)


def rating_task(tables: Tables, params: Params, half_step: HalfStep = wals.half_step) -> Task | BayesianTask:
    """What the rating head learns from these tables, which hold ratings."""
    return bayesian_task(tables) if params["rating_loss"] == "bayesian" else penalised_task(tables, params, half_step)


def penalised_task(tables: Tables, params: Params, half_step: HalfStep = wals.half_step) -> Task:
    """What it learns under a penalty, by the loss of the slides or the scaled one."""
    values, song_ids = _rated(tables)
    problem = _rating_problem(values, params, float(values.data.mean()))
    return Task(RATINGS, song_ids, problem, params["solver"], half_step)


def bayesian_task(tables: Tables) -> BayesianTask:
    """What it learns under the Bayesian loss. Listeners at large are those who rate."""
    values, song_ids = _rated(tables)
    mean = float(values.data.mean())
    raters = np.flatnonzero(np.diff(values.indptr))
    return BayesianTask(song_ids, Ratings(_less(values[raters], mean)), mean)


def ranking_head(tables: Tables, params: Params, state: State) -> Head:
    """The ranking head that left this state, on these tables."""
    songs = LearnedSongs(pd.Index(state["song_ids"]), tables.songs)
    values, weights = (songs.gather(entries) for entries in _ranking_entries(tables, params))
    problem = _ranking_problem(values, weights, params, float(state["mean"][0]))
    return Head(problem, Side(state["song_factors"], state["song_biases"]), songs)


def rating_head(tables: Tables, params: Params, state: State) -> RatingHead:
    """The rating head that left this state, on these tables."""
    learned = {name.removeprefix(RATINGS): array for name, array in state.items() if name.startswith(RATINGS)}
    songs = LearnedSongs(pd.Index(learned["song_ids"]), tables.songs)
    values, mean = songs.gather(tables.rating_matrix), float(learned["mean"][0])
    if params["rating_loss"] == "bayesian":
        beliefs = Beliefs(learned["song_means"], learned["song_covariances"])
        prior = Prior(learned["prior_mean"], learned["prior_covariance"])
        return BayesianHead(Ratings(_less(values, mean)), mean, beliefs, prior, float(learned["precision"][0]), songs)
    side = Side(learned["song_factors"], learned["song_biases"])
    return Head(_rating_problem(values, params, mean), side, songs)


def _ranking_entries(tables: Tables, params: Params) -> tuple[sparse.csr_array, sparse.csr_array]:
    """X in 0..1 and W = 1 + alpha log(repetition) at what listeners played or rated."""
    weights = damped_repetitions(tables)
    weights.data = 1.0 + params["alpha"] * (weights.data - 1.0)
    return preferences(tables), weights


def _ranking_problem(values: sparse.csr_array, weights: sparse.csr_array, params: Params, mean: float) -> Problem:
    w0, regularisation = params["w0"], params["regularisation"]
    return Problem(values, weights, w0, regularisation, mean, count_power=params["count_power"])


def _rated(tables: Tables) -> tuple[sparse.csr_array, NDArray[Any]]:
    """Ratings of the songs that have one, and the ids of these."""
    learned = np.unique(tables.rating_matrix.indices)
    return tables.rating_matrix[:, learned], id_array(tables.songs.ids[learned])


def _rating_problem(values: sparse.csr_array, params: Params, mean: float) -> Problem:
    """X = rating in 1..5 and W = 1 at what listeners rated."""
    problem = Problem(values, _with(values, np.ones(values.nnz)), 0.0, params["rating_regularisation"], mean)
    if params["rating_loss"] == "slides":
        return problem
    return replace(problem, count_power=COUNT_POWER, bias_share=BIAS_SHARE)


def _less(values: sparse.csr_array, mean: float) -> sparse.csr_array:
    return _with(values, values.data - mean)


def _with(values: sparse.csr_array, data: Floats) -> sparse.csr_array:
    return sparse.csr_array((data, values.indices, values.indptr), shape=values.shape)
