"""Planted listeners to try a music manager on, and what another strategy would have earned from what was logged.

Numbers alone: who serves the lists and learns from them is the caller's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quasimusic.exceptions import EngineFault, ParameterOutOfRange
from recommender.engines.tables import Floats, Rows

FULL, HALF, SKIP, NOTHING = 3, 2, 1, 0  # what was heard of a song, coded
TRIED = 0.15  # chance that a song of no interest is begun all the same
RATES = 0.1  # chance that what was begun is rated
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Planted:
    """Listeners in groups, each of whose truth one engine serves best.

    groups : int64 (m,), the group of each listener. liking : float64 (groups, n_songs) in 0..1, the truth: how probable
    it is that a listener of the group wants to hear the song when it is shown.
    """

    groups: Rows
    liking: Floats

    def __post_init__(self) -> None:
        assert self.liking.ndim == 2, self.liking.shape
        if not ((self.liking >= 0) & (self.liking <= 1)).all():
            raise ParameterOutOfRange("a liking is a chance from 0 to 1")
        if not ((self.groups >= 0) & (self.groups < len(self.liking))).all():
            raise ParameterOutOfRange(f"groups are numbered from 0 to {len(self.liking) - 1}")

    @classmethod
    def of(cls, scores: Floats, n_listeners: int, *, contrast: float = 2.0, mean: float = 0.2) -> "Planted":
        """Groups alike in size, in turn, each of which likes songs as one engine scores them.

        scores : float64 (groups, n_songs), NaN = of no interest. The liking is a logistic function of the standardised
        score, as steep as `contrast`, and such that `mean` of the songs' standing at the average is liked.
        """
        if not 0 < mean < 1:
            raise ParameterOutOfRange(f"mean is {mean}; it must be a chance between 0 and 1")
        centre, spread = (part(scores, axis=1, keepdims=True) for part in (np.nanmean, np.nanstd))
        z = (scores - centre) / np.where(spread > 0, spread, 1.0)
        liking = 1.0 / (1.0 + np.exp(-(contrast * z + np.log(mean / (1 - mean)))))
        return cls(np.arange(n_listeners) % len(scores), np.nan_to_num(liking))

    def chances(self, listener_rows: Rows, song_rows: Rows) -> Floats:
        """How probable it is that these listeners want these songs, float64 (m, n); 0 at padding (-1)."""
        found = self.liking[self.groups[listener_rows][:, None], np.maximum(song_rows, 0)]
        return np.where(song_rows >= 0, found, 0.0)


@dataclass(frozen=True, eq=False)
class Behaviour:
    """What became of shown songs: `heard` int64 (m, n), coded; `stars` int64 (m, n), 1..5, 0 = not rated."""

    heard: Rows
    stars: Rows


def behave(chances: Floats, rng: np.random.Generator) -> Behaviour:
    """What listeners do with what they are shown in a day, chances (m, n) of wanting each.

    What is wanted is heard, three times in four to the end; of the rest a few are begun and left. What was begun is
    rated now and then: wanted 4 or 5, not wanted 1 or 2.
    """
    wanted, begun, ended, rated, better = rng.random((5, *chances.shape))
    wants = wanted < chances
    listened = np.where(ended < 0.75, FULL, HALF)
    heard = np.where(wants, listened, np.where((chances > 0) & (begun < TRIED), SKIP, NOTHING))
    stars = np.where(wants, 4, 1) + (better < 0.5)
    return Behaviour(heard, np.where((heard != NOTHING) & (rated < RATES), stars, 0))


def regret(earned: Floats, best: Floats) -> Floats:
    """Reward lost so far against always playing the planted best, float64 (days,): the sums of both differ by it."""
    assert earned.shape == best.shape, (earned.shape, best.shape)
    lost: Floats = np.cumsum(best - earned)
    return lost


@dataclass(frozen=True)
class Replay:
    """What a strategy would have earned an impression: `mean` 0..1 with its standard error, and the effective number of
    impressions that told it."""

    mean: float
    error: float
    n_effective: float


def replayed(rewards: Floats, propensities: Floats, chances: Floats, listeners: NDArray[np.integer]) -> Replay:
    """Mean reward a strategy would have had, from impressions that another one logged.

    rewards : float64 (p,), 0..1. propensities : float64 (p,) above 0, how probable the impression was as logged;
    chances : float64 (p,), under the strategy asked about. listeners : (p,), whose impressions go together: the error
    is of listeners, not of impressions.

    Inverse propensities, self-normalised: sum w r / sum w with w = chance / propensity; its error by the delta method.
    Source: Swaminathan and Joachims, "The self-normalized estimator for counterfactual learning" (2015); Kong, "A note
    on importance sampling using standardized weights" (1992), for the effective number.
    Raises ParameterOutOfRange (impossible chances), EngineFault where the strategy would have shown nothing of it.
    """
    assert rewards.shape == propensities.shape == chances.shape == listeners.shape, rewards.shape
    if not ((propensities > 0) & (propensities <= 1 + ROUNDING) & (chances >= 0) & (chances <= 1 + ROUNDING)).all():
        raise ParameterOutOfRange("a propensity is a chance above 0, what is asked about one from 0")
    weights = chances / propensities
    total = weights.sum()
    if not total > 0:
        raise EngineFault("there is no logged impression that the strategy would have shown")
    mean = float(weights @ rewards / total)
    _, groups = np.unique(listeners, return_inverse=True)
    residuals = np.bincount(groups, weights * (rewards - mean))
    return Replay(mean, float(np.sqrt(residuals @ residuals) / total), float(total**2 / (weights @ weights)))
