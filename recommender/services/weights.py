"""What each engine weighs, for everybody and for each listener."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Max
from django.db.models.functions import TruncDate
from django.utils import timezone

from recommender.engines import ENGINES
from recommender.loading import weights_in_force
from recommender.models import DailyReward, Weights

CHARTED = timedelta(days=90)


@dataclass(frozen=True)
class EngineDay:
    """An engine on one day: its last weight and the mean reward it earned, None where it had none."""

    day: date
    weight: float | None
    mean_reward: float | None


def learned_weights(*, listener_ids: Sequence[int]) -> dict[int, dict[str, float]]:
    """What was learned of each of these listeners, before their own sliders: by engine, summing to 1."""
    return {pk: weights_in_force(ENGINES) for pk in listener_ids}


def adjusted_weights(learned: Mapping[str, float], sliders: Mapping[str, float]) -> dict[str, float]:
    """Learned weights times a listener's sliders, summing to 1; as learned where all sliders stand at 0."""
    raised = {name: weight * sliders.get(name, 1.0) for name, weight in learned.items()}
    total = sum(raised.values())
    return {name: weight / total for name, weight in raised.items()} if total > 0 else dict(learned)


def weights_by_day() -> dict[str, list[EngineDay]]:
    """The course of each engine over the last days, by its name; only days on which anything is known."""
    since = timezone.now() - CHARTED
    lasts = Weights.objects.filter(made_at__gte=since).order_by().values(day=TruncDate("made_at")).annotate(Max("pk"))
    last_of = {row["pk__max"]: row["day"] for row in lasts}
    values = {last_of[row.pk]: row.values for row in Weights.objects.filter(pk__in=last_of)}
    means = {
        (row.day, row.engine): row.reward / row.credit
        for row in DailyReward.objects.filter(day__gte=since.date())
        if row.credit
    }
    days = sorted(values.keys() | {day for day, _ in means})
    return {
        name: [EngineDay(day, values.get(day, {}).get(name), means.get((day, name))) for day in days]
        for name in ENGINES
    }
