"""Learning from what was shown: impressions are settled into rewards, rewards are credited to engines."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from listening.models import Impression, Play, Rating
from recommender.engines.feedback import engine_rewards, reward
from recommender.models import TrainingRun, Weights

PATIENCE = timedelta(minutes=15)  # a play may still be rated, a skip may still be resumed
REMEMBERED = timedelta(days=90)
CHUNK = 500
AT_ONCE = 20_000  # impressions settled in one lesson; a backlog takes several


def settle_impressions() -> int:
    """Give each impression that can be judged its reward, once however often this runs; returns how many.

    Judged are impressions whose song was rated, those played a while ago, and those left alone for SETTLE_HOURS.
    """
    now = timezone.now()
    by_reward: dict[float, list[int]] = {}
    for impression in _judgeable(now)[:AT_ONCE]:
        value = reward(rating=impression.rating, counted=impression.played, skipped=impression.skipped)
        by_reward.setdefault(value, []).append(impression.pk)
    return sum(_settle(pks, value, now) for value, pks in by_reward.items())


def learn_weights() -> Weights | None:
    """Credit the engines with all remembered rewards; writes a new row where anything moved, else None."""
    since = timezone.now() - REMEMBERED
    settled = Impression.objects.filter(settled_at__gte=since).values_list("shares", "reward")
    rewards = {
        engine: {"mean": round(earned.mean, 6), "credit": round(earned.credit, 3)}
        for engine, earned in engine_rewards(settled.iterator()).items()
    }
    with transaction.atomic():
        # A run published between the reading and the writing would lose its weights to those read here.
        TrainingRun.objects.filter(is_active=True).hold()
        newest = Weights.objects.first()
        if newest is None or newest.rewards == rewards:
            return None
        return Weights.objects.create(
            made_at=timezone.now(), strategy=newest.strategy, values=newest.values, rewards=rewards
        )


def _judgeable(now: datetime) -> QuerySet[Impression]:
    # Whatever shelf or page the song was played from: all that showed it before did well.
    shown = {"listener": OuterRef("listener"), "song": OuterRef("song")}
    plays = Play.objects.filter(**shown, started_at__gte=OuterRef("shown_at"))
    rating = Rating.objects.filter(**shown, rated_at__gte=OuterRef("shown_at"))
    return (
        Impression.objects.filter(settled_at=None)
        .annotate(
            rating=Subquery(rating.values("rating")[:1]),
            played=Exists(plays.filter(counted=True)),
            skipped=Exists(plays.filter(counted=False)),
            tried=Exists(plays.filter(started_at__lt=now - PATIENCE)),
        )
        .filter(Q(rating__isnull=False) | Q(tried=True) | Q(shown_at__lt=now - timedelta(hours=settings.SETTLE_HOURS)))
        .order_by("shown_at")
    )


def _settle(pks: list[int], value: float, now: datetime) -> int:
    """How many of these this call settled; those another lesson settled meanwhile keep what they have."""
    chunks = (pks[start : start + CHUNK] for start in range(0, len(pks), CHUNK))
    open_ones = (Impression.objects.filter(pk__in=chunk, settled_at=None) for chunk in chunks)
    return sum(impressions.update(reward=value, settled_at=now) for impressions in open_ones)
