"""What each engine weighs, for everybody and for each listener."""

from collections.abc import Mapping, Sequence

from recommender.engines import ENGINES
from recommender.loading import weights_in_force


def learned_weights(*, listener_ids: Sequence[int]) -> dict[int, dict[str, float]]:
    """What was learned of each of these listeners, before their own sliders: by engine, summing to 1."""
    return {pk: weights_in_force(ENGINES) for pk in listener_ids}


def adjusted_weights(learned: Mapping[str, float], sliders: Mapping[str, float]) -> dict[str, float]:
    """Learned weights times a listener's sliders, summing to 1; as learned where all sliders stand at 0."""
    raised = {name: weight * sliders.get(name, 1.0) for name, weight in learned.items()}
    total = sum(raised.values())
    return {name: weight / total for name, weight in raised.items()} if total > 0 else dict(learned)
