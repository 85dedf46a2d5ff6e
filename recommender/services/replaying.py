"""Rewards given anew: what the kept impressions would have earned, had the curve of today been in force all along."""

from collections import defaultdict
from datetime import date

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from listening.models import Impression
from recommender.services.crediting import Earned, Key, add_to_day, add_to_listeners, faded
from recommender.services.curve import curve_in_force

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
