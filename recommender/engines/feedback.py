"""From what listeners did with what they were shown to a reward of each engine, and from rewards to weights.

The curve below is ours: the slides ask for retro-active weights and leave the reward open.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

RATING_REWARDS = {5: 1.0, 4: 0.8, 3: 0.5, 2: 0.1, 1: 0.0}
COUNTED_PLAY = 0.7  # half the song or more was heard
SKIP = 0.1  # begun and left: better than never tried, barely
PASSED_OVER = 0.0


@dataclass(frozen=True)
class EngineReward:
    """Reward credited to an engine: `total`, out of `credit` impressions' worth of shares."""

    total: float
    credit: float

    @property
    def mean(self) -> float:
        """Mean reward of a whole impression, 0..1; 0 without credit."""
        return self.total / self.credit if self.credit else 0.0


def reward(*, rating: int | None, counted: bool, skipped: bool) -> float:
    """Reward of one impression, 0..1: a rating says more than a play, a play more than a skip."""
    if rating is not None:
        return RATING_REWARDS[rating]
    if counted:
        return COUNTED_PLAY
    return SKIP if skipped else PASSED_OVER


def engine_rewards(settled: Iterable[tuple[Mapping[str, float], float]]) -> dict[str, EngineReward]:
    """Reward of each engine over settled impressions, given as (shares by engine, reward).

    An engine is credited with its share: sum of share x reward, out of the sum of its shares.
    """
    totals: dict[str, list[float]] = {}
    for shares, value in settled:
        for engine, share in shares.items():
            entry = totals.setdefault(engine, [0.0, 0.0])
            entry[0] += share * value
            entry[1] += share
    return {engine: EngineReward(total, credit) for engine, (total, credit) in sorted(totals.items())}


def uniform_weights(engines: Sequence[str]) -> dict[str, float]:
    """The seed's weights: every engine the same, summing to 1."""
    return {engine: 1.0 / len(engines) for engine in engines}


def accuracy_weights(ndcg: Mapping[str, float]) -> dict[str, float]:
    """Weights proportional to held-out ndcg@10 (0..1 each), summing to 1; uniform where every one is 0."""
    total = sum(ndcg.values())
    if total <= 0:
        return uniform_weights(list(ndcg))
    return {engine: value / total for engine, value in ndcg.items()}
