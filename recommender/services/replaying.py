"""Rewards given anew: what the kept impressions would have earned, had the curve of today been in force all along."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from django.db import transaction
from django.utils import timezone

from listening.models import Impression
from recommender.services.crediting import Earned, Key, add_to_day, add_to_listeners, faded
from recommender.services.learning import rewards_in_force

CHUNK = 2_000


def replay_rewards() -> int:
    """Give settled impressions the reward that the curve in force gives to what came of them; returns how many changed.

    What engines earned moves by the differences, so that nothing changes where the curve did not, and what was earned
    by impressions no longer kept stands as it was.
    """
    n_changed = 0
    for outcome, reward in rewards_in_force().items():
        otherwise = Impression.objects.filter(outcome=outcome).exclude(reward=reward).order_by("pk")
        while changed := _replay_some(list(otherwise.values_list("pk", flat=True)[:CHUNK]), reward):
            n_changed += changed
    return n_changed


@transaction.atomic
def _replay_some(pks: Sequence[int], reward: float) -> int:
    held = Impression.objects.filter(pk__in=pks).exclude(reward=reward).select_for_update(no_key=True)
    rows = list(held.values_list("listener_id", "shares", "reward", "settled_at"))
    now = timezone.now()
    by_listener: dict[Key, Earned] = defaultdict(Earned)
    by_day: dict[date, dict[str, Earned]] = defaultdict(lambda: defaultdict(Earned))
    for listener_id, shares, before, settled_at in rows:
        for engine, share in shares.items():
            difference = share * (reward - before)
            by_listener[listener_id, engine].reward += difference * faded(settled_at, now)
            by_day[timezone.localdate(settled_at)][engine].reward += difference
    Impression.objects.filter(pk__in=pks).update(reward=reward)
    add_to_listeners(by_listener, now)
    for day, earned in sorted(by_day.items()):
        add_to_day(earned, day)
    return len(rows)
