"""What might have been, from the impressions kept: under another reward curve, or by another strategy."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date

import numpy as np
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from listening.models import Impression
from quasimusic.exceptions import EngineFault, ParameterOutOfRange
from recommender.engines.hybrid import Hybrid
from recommender.engines.simulation import Replay, replayed
from recommender.engines.weighing import STRATEGIES
from recommender.services.crediting import Earned, Key, add_to_day, add_to_listeners, faded
from recommender.services.curve import curve_in_force
from recommender.services.weights import learned_weights

CHUNK = 2_000


def replay_rewards() -> int:
    """Give settled impressions the reward that the curve in force gives to what came of them; returns how many changed.

    What engines earned moves by the differences, so that nothing changes where the curve did not, and what was earned
    by impressions no longer kept stands as it was.
    """
    curve, n_changed = curve_in_force(), 0
    for outcome in Impression.Outcome:
        worth = {"reward": curve.reward(outcome), "counts": curve.counts(outcome)}
        while changed := _replay_some(Impression.objects.filter(outcome=outcome).exclude(**worth), **worth):
            n_changed += changed
    return n_changed


def replay_strategy(*, name: str) -> Replay:
    """The mean reward of mixed lists had this strategy weighed the engines, with its error, from what was logged.

    A song's chance is taken to be that of the engines that spoke for it, in proportion to their weights: with shares
    s_e and logged weights w_e, another strategy's weights v_e show it sum_e s_e v_e / w_e times as often. The strategy
    weighs as of now, by all that was learned. Raises ParameterOutOfRange, EngineFault (nothing logged to go by).
    """
    if name not in STRATEGIES:
        raise ParameterOutOfRange(f"no strategy {name!r}; there are {', '.join(STRATEGIES)}")
    logged = Impression.objects.filter(shelf=Hybrid.name).exclude(settled_at=None).exclude(weights={})
    rows = list(logged.order_by("pk").values_list("listener_id", "shares", "weights", "reward"))
    if not rows:
        raise EngineFault("No settled impression of a mixed list is kept; lists have to be shown and heard first.")
    listeners = np.array([row[0] for row in rows])
    other = learned_weights(listener_ids=np.unique(listeners).tolist(), by=name)
    ratios = np.array([_ratio(shares, weights, other[pk]) for pk, shares, weights, _ in rows])
    # A common scale, which cancels out, makes chances of them.
    scale = 1 / max(ratios.max(), 1.0)
    rewards = np.array([row[3] for row in rows])
    return replayed(rewards, np.full(len(rows), scale), scale * ratios, listeners)


def _ratio(shares: Mapping[str, float], logged: Mapping[str, float], other: Mapping[str, float]) -> float:
    """How many times as often the song would be shown under other weights than under the logged ones."""
    return sum(
        share * other.get(engine, 0.0) / logged[engine] for engine, share in shares.items() if logged.get(engine, 0) > 0
    )


@transaction.atomic
def _replay_some(otherwise: QuerySet[Impression], reward: float, counts: float) -> int:
    held = otherwise.order_by("pk").select_for_update(no_key=True)[:CHUNK]
    rows = list(held.values_list("pk", "listener_id", "shares", "reward", "counts", "settled_at", named=True))
    now = timezone.now()
    by_listener: dict[Key, Earned] = defaultdict(Earned)
    by_day: dict[date, dict[str, Earned]] = defaultdict(lambda: defaultdict(Earned))
    for row in rows:
        credit, earned = counts - row.counts, counts * reward - row.counts * row.reward
        left = faded(row.settled_at, now)
        for engine, share in row.shares.items():
            by_listener[row.listener_id, engine].move(share * left * credit, share * left * earned)
            by_day[timezone.localdate(row.settled_at)][engine].move(share * credit, share * earned)
    Impression.objects.filter(pk__in=[row.pk for row in rows]).update(reward=reward, counts=counts)
    add_to_listeners(by_listener, now)
    for day, earned_then in sorted(by_day.items()):
        add_to_day(earned_then, day)
    return len(rows)
