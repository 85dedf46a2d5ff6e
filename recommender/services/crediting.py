"""What engines earned by what they had shown: added to as impressions are settled, never read over again."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from listening.models import Impression
from recommender.engines.weighing import decayed
from recommender.models import DailyReward, ListenerReward

PLAYED = (Impression.Outcome.FULL, Impression.Outcome.HALF)
HEARD_OF = 5000  # rows brought up to date at once

Key = tuple[int, str]  # a listener's id and an engine


@dataclass(frozen=True, slots=True)
class Settled:
    """An impression that has just been given its reward."""

    pk: int
    listener_id: int
    song_id: int
    shares: Mapping[str, float]
    outcome: str
    reward: float
    counts: float


@dataclass(slots=True)
class Earned:
    """What an engine earned: sums over impressions it had a share of."""

    impressions: int = 0
    plays: int = 0
    credit: float = 0.0
    reward: float = 0.0

    def add(self, share: float, settled: Settled) -> None:
        self.impressions += 1
        self.plays += settled.outcome in PLAYED
        self.move(share * settled.counts, share * settled.counts * settled.reward)

    def move(self, credit: float, reward: float) -> None:
        self.credit += credit
        self.reward += reward


def credit_engines(*, settled: Collection[Settled], at: datetime) -> None:
    """Add what these earned to the day and to each listener's own. For the transaction that settled them: so each
    counts once, and a lesson that breaks off has neither settled nor credited."""
    by_listener: dict[Key, Earned] = defaultdict(Earned)
    by_engine: dict[str, Earned] = defaultdict(Earned)
    for one in settled:
        for engine, share in one.shares.items():
            by_listener[one.listener_id, engine].add(share, one)
            by_engine[engine].add(share, one)
    add_to_listeners(by_listener, at)
    # Last, for these few rows are everybody's: whoever else credits waits for them until this transaction ends.
    add_to_day(by_engine, timezone.localdate(at))


def add_to_listeners(earned: Mapping[Key, Earned], at: datetime) -> None:
    """Raise listeners' own sums, faded to that moment. Rows are locked in one order, so that two who add can wait for
    each other but never both at once."""
    listener_ids = sorted({listener_id for listener_id, _ in earned})
    own = ListenerReward.objects.filter(listener__in=listener_ids).order_by("listener_id", "engine")
    missing = sorted(earned.keys() - set(own.values_list("listener_id", "engine")))
    fresh = [ListenerReward(listener_id=pk, engine=engine, as_of=at) for pk, engine in missing]
    ListenerReward.objects.bulk_create(fresh, ignore_conflicts=True)
    raised = [_raised(row, earned[key], at) for row in own.select_for_update() if (key := _key(row)) in earned]
    ListenerReward.objects.bulk_create(
        raised,
        batch_size=HEARD_OF,
        update_conflicts=True,
        unique_fields=["listener", "engine"],
        update_fields=["credit", "reward", "as_of"],
    )


def add_to_day(earned: Mapping[str, Earned], day: date) -> None:
    fresh = [DailyReward(day=day, engine=engine) for engine in sorted(earned)]
    DailyReward.objects.bulk_create(fresh, ignore_conflicts=True)
    for engine, sums in sorted(earned.items()):
        DailyReward.objects.filter(day=day, engine=engine).update(
            impressions=F("impressions") + sums.impressions,
            plays=F("plays") + sums.plays,
            credit=F("credit") + sums.credit,
            reward=F("reward") + sums.reward,
        )


def faded(since: datetime | date, at: datetime | date) -> float:
    """What is left of a reward after that time: half after each half-life."""
    age: timedelta = at - since
    return decayed(1.0, max(age / timedelta(days=1), 0.0), settings.REWARD_HALF_LIFE_DAYS)


def listener_sums(listener_ids: Iterable[int], at: datetime) -> dict[Key, tuple[float, float]]:
    """Reward and credit of each engine with each of these listeners, faded to that moment."""
    rows = ListenerReward.objects.filter(listener__in=list(listener_ids))
    return {
        (pk, engine): (reward * left, credit * left)
        for pk, engine, reward, credit, as_of in rows.values_list("listener", "engine", "reward", "credit", "as_of")
        if (left := faded(as_of, at))
    }


def overall_sums(on: date) -> dict[str, tuple[float, float]]:
    """Reward and credit of each engine with everybody, faded to that day."""
    sums: dict[str, tuple[float, float]] = {}
    for day, engine, reward, credit in DailyReward.objects.values_list("day", "engine", "reward", "credit"):
        before, left = sums.get(engine, (0.0, 0.0)), faded(day, on)
        sums[engine] = (before[0] + reward * left, before[1] + credit * left)
    return sums


def _key(row: ListenerReward) -> Key:
    return row.listener_id, row.engine


def _raised(row: ListenerReward, earned: Earned, at: datetime) -> ListenerReward:
    left = faded(row.as_of, at)
    row.credit = row.credit * left + earned.credit
    row.reward = row.reward * left + earned.reward
    row.as_of = max(row.as_of, at)
    return row
