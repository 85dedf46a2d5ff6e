"""What each engine weighs for each listener: strategies that turn what engines earned into weights of the blend.

Rewards are kept as two decayed sums: `reward`, of share x reward over the impressions an engine spoke for, and
`credit`, of its shares alone. Their quotient is the mean reward of an impression, 0..1.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.tables import Floats, Rows

Sums = TypeVar("Sums", float, Floats)  # of one engine, or of many

EXPLORATION = 0.1
SHRINKAGE = 20.0
SHARPNESS = 4.0
MOST_SLIDER = 2.0
UNTOLD = 0.5  # the mean reward before there is any
SURE = 1e-3  # no mean is nearer to 0 or 1: a Beta distribution needs room on both sides
ROUNDING = 1e-9
MOST_SEED = 2**63 - 1


@dataclass(frozen=True, eq=False)
class Evidence:
    """What there is to weigh the engines by.

    engines : names, in the order of all that follows.
    prior : float64 (e,) >= 0, weights learned on held-out data; brought to the sum 1.
    listeners : int64 (m,) >= 0, ids: what a listener draws by chance goes by the id, not by the place in the batch.
    reward, credit : float64 (m, e), decayed sums of each listener, 0 <= reward <= credit.
    band_reward, band_credit : float64 (e,), the same of everybody.
    Raises ParameterOutOfRange where a sum or a weight is impossible.
    """

    engines: tuple[str, ...]
    prior: Floats
    listeners: Rows
    reward: Floats
    credit: Floats
    band_reward: Floats
    band_credit: Floats

    def __post_init__(self) -> None:
        shape = (len(self.listeners), len(self.engines))
        assert self.reward.shape == self.credit.shape == shape, (self.reward.shape, self.credit.shape, shape)
        assert self.prior.shape == self.band_reward.shape == self.band_credit.shape == shape[1:], self.prior.shape
        if not ((self.prior >= 0).all() and 0 < self.prior.sum() < np.inf):
            raise ParameterOutOfRange(f"prior weights must be numbers from 0 with one above it, not {self.prior}")
        for reward, credit in ((self.reward, self.credit), (self.band_reward, self.band_credit)):
            if not ((reward >= 0) & (reward <= credit * (1 + ROUNDING) + ROUNDING) & np.isfinite(credit)).all():
                raise ParameterOutOfRange("rewards must be from 0 to the credit they were earned with")
        object.__setattr__(self, "prior", self.prior / self.prior.sum())


class Strategy(ABC):
    """A way to weigh the engines."""

    name: ClassVar[str]

    @abstractmethod
    def weights(self, evidence: Evidence, *, rng: np.random.Generator) -> Floats:
        """Weights of each engine for each listener, float64 (m, e) >= 0, each row summing to 1.

        The same rng state and the same evidence of a listener give the same row, whoever else is in the batch.
        """

    def expected(self, evidence: Evidence) -> Floats:
        """The weights with nothing left to chance, float64 (m, e): what a listener is told was learned."""
        return self.weights(evidence, rng=np.random.default_rng(0))


class Uniform(Strategy):
    """Every engine the same: the seed's."""

    name = "uniform"

    def weights(self, evidence: Evidence, *, rng: np.random.Generator) -> Floats:
        return np.full(evidence.reward.shape, 1.0 / len(evidence.engines))


class Accuracy(Strategy):
    """What was learned on held-out data, for everybody."""

    name = "accuracy"

    def weights(self, evidence: Evidence, *, rng: np.random.Generator) -> Floats:
        return np.tile(evidence.prior, (len(evidence.listeners), 1))


class Thompson(Strategy):
    """The learned weights, tilted towards what earned more, with a bounded part left to chance.

    exploration : x, 0..1. The prior is mixed with the uniform blend, (1 - x) prior + x / e, so that no engine is silent
        for good; and no weight strays by more than x from that of the posterior mean.
    shrinkage : > 0, impressions after which a listener's own rewards count as much as the band's.
    sharpness : >= 0, power to which a reward is raised.

    The band. With the mean reward mu of everybody's impressions, engine e earned m_e = (s mu + R_e) / (s + C_e).
    The listener. theta_e has the posterior Beta(s m_e + r_e, s (1 - m_e) + c_e - r_e).
    The weights. w_e = p_e theta_e^sharpness / N, where p is the mixed prior: an engine that earned the better part more
    than the others has its prior weight multiplied, for the best weights of a blend are not in proportion to what its
    parts earn alone. N leaves the weights of the engines that nobody credited yet at their prior, and makes the rest
    sum to what that leaves.
    The draw. Weights are (1 - x) w(mean of theta) + x w(theta drawn from the posterior).

    Source: Thompson, "On the likelihood that one unknown probability exceeds another in view of the evidence of two
    samples" (1933); Russo, Van Roy, Kazerouni, Osband and Wen, "A tutorial on Thompson sampling" (2018). The tilt and
    its bound are ours.
    """

    name = "thompson"

    def __init__(
        self, exploration: float = EXPLORATION, shrinkage: float = SHRINKAGE, sharpness: float = SHARPNESS
    ) -> None:
        if not 0 <= exploration <= 1:
            raise ParameterOutOfRange(f"exploration is {exploration}; it must be a share from 0 to 1")
        if not 0 < shrinkage < np.inf:
            raise ParameterOutOfRange(f"shrinkage is {shrinkage}; it must be a number of impressions above 0")
        if not 0 <= sharpness < np.inf:
            raise ParameterOutOfRange(f"sharpness is {sharpness}; it must be a number from 0")
        self.exploration, self.shrinkage, self.sharpness = exploration, shrinkage, sharpness

    def weights(self, evidence: Evidence, *, rng: np.random.Generator) -> Floats:
        alpha, beta = self.posteriors(evidence)
        seed = int(rng.integers(MOST_SEED))
        drawn = np.empty_like(alpha)
        for row, listener in enumerate(evidence.listeners):
            drawn[row] = np.random.default_rng((seed, int(listener))).beta(alpha[row], beta[row])
        return (1 - self.exploration) * self.expected(evidence) + self.exploration * self._tilted(evidence, drawn)

    def expected(self, evidence: Evidence) -> Floats:
        alpha, beta = self.posteriors(evidence)
        return self._tilted(evidence, alpha / (alpha + beta))

    def posteriors(self, evidence: Evidence) -> tuple[Floats, Floats]:
        """The two parameters of each engine's Beta distribution for each listener, float64 (m, e) > 0."""
        total = evidence.band_credit.sum()
        mean = evidence.band_reward.sum() / total if total > 0 else UNTOLD
        earned = (self.shrinkage * mean + evidence.band_reward) / (self.shrinkage + evidence.band_credit)
        earned = np.clip(earned, SURE, 1 - SURE)
        lost = np.maximum(evidence.credit - evidence.reward, 0.0)
        return self.shrinkage * earned + evidence.reward, self.shrinkage * (1 - earned) + lost

    def _tilted(self, evidence: Evidence, rewards: Floats) -> Floats:
        """Weights for these mean rewards, float64 (m, e)."""
        n_engines = len(evidence.engines)
        prior = (1 - self.exploration) * evidence.prior + self.exploration / n_engines
        credited = (evidence.band_credit > 0) | (evidence.credit > 0)
        # Against the highest of the row: a power of small numbers may vanish, a power of 1 never does.
        tilt = (rewards / rewards.max(axis=1, keepdims=True)) ** self.sharpness
        raised = np.where(credited, prior * tilt, 0.0)
        left = np.where(credited, prior, 0.0).sum(axis=1, keepdims=True)
        total = raised.sum(axis=1, keepdims=True)
        scale = np.divide(left, total, out=np.ones_like(total), where=total > 0)
        # Where the tilt leaves the credited ones nothing to share, they keep their prior.
        return np.where(credited & (total > 0), raised * scale, prior)


STRATEGIES: dict[str, type[Strategy]] = {each.name: each for each in (Uniform, Accuracy, Thompson)}


def adjusted(weights: Floats, sliders: Floats | Sequence[float]) -> Floats:
    """Weights under a listener's own sliders, float64 (m, e), rows summing to 1.

    sliders : (e,) or (m, e), what each weight is multiplied by, 0..2; 1 leaves it. Where they silence every engine that
        has a weight, the weights stay: a board without a voice plays nothing.
    Raises ParameterOutOfRange.
    """
    factors = np.asarray(sliders, dtype=np.float64)
    if not ((factors >= 0) & (factors <= MOST_SLIDER)).all():
        raise ParameterOutOfRange(f"a slider goes from 0 to {MOST_SLIDER:g}, not {factors}")
    raised = weights * factors
    total = raised.sum(axis=1, keepdims=True)
    kept: Floats = np.where(total > 0, raised / np.where(total > 0, total, 1.0), weights)
    return kept


def decayed(sums: Sums, days: float, half_life_days: float) -> Sums:
    """Sums of rewards or credit, days later: they halve every `half_life_days`.

    Raises ParameterOutOfRange (days < 0, half-life not above 0).
    """
    if not days >= 0 or not half_life_days > 0:
        raise ParameterOutOfRange(f"{days} days at a half-life of {half_life_days}: give 0 or more, and more than 0")
    left: Sums = sums * 2.0 ** (-days / half_life_days)
    return left
