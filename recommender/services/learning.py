"""Learning from what was shown: impressions are settled into rewards, rewards are credited to engines."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from catalog.models import Song
from listening.models import Impression, Play, Rating, Verdict
from recommender.models import Curve, TrainingRun, Weights
from recommender.services.crediting import Settled, credit_engines, listener_sums, overall_sums
from recommender.services.curve import curve_in_force
from recommender.services.movements import note_movements
from recommender.services.weights import overall_weights

PATIENCE = timedelta(minutes=15)  # a play may still be rated, a skip may still be resumed
FULL_SHARE = 0.9  # of a song heard is all of it: many fade out
CHUNK = 500
WHISKER = 0.002
AT_ONCE = 5_000  # impressions settled in one transaction, which keeps other writers waiting on SQLite

Outcome = Impression.Outcome


def settle_impressions(*, listener_id: int | None = None) -> int:
    """Give each impression that can be judged its reward and credit the engines, once however often this runs and
    however many do so at once; returns how many.

    Judged are impressions whose song was rated or given a verdict, those played a while ago, and those left alone for
    SETTLE_HOURS. listener_id: this one's alone.
    """
    curve, n_settled = curve_in_force(), 0
    while settled := _settle_some(listener_id, curve):
        n_settled += settled
    return n_settled


def learn_weights() -> Weights | None:
    """Move everybody's weights by what was earned; a new row tells of it where any weight or mean reward moved by more
    than a whisker, else None."""
    rewards = {
        engine: {"mean": round(reward / credit, 6), "credit": round(credit, 3)}
        for engine, (reward, credit) in sorted(overall_sums(timezone.localdate()).items())
        if credit > 0
    }
    with transaction.atomic():
        # A run published between the reading and the writing would lose its weights to those read here.
        active = TrainingRun.objects.filter(is_active=True)
        active.hold()
        newest = Weights.objects.first()
        if newest is None:
            return None
        values = overall_weights(run=active.first())
        if not (_moved(newest.values, values) or _moved(_means(newest.rewards), _means(rewards))):
            return None
        return Weights.objects.create(
            made_at=timezone.now(), strategy=settings.WEIGHTS_STRATEGY, values=values, rewards=rewards
        )


def _means(rewards: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {engine: earned["mean"] for engine, earned in rewards.items()}


def _moved(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    return before.keys() != after.keys() or any(abs(before[engine] - after[engine]) > WHISKER for engine in after)


@transaction.atomic
def _settle_some(listener_id: int | None, curve: Curve) -> int:
    now = timezone.now()
    # What another lesson holds is left to it.
    held = _judgeable(now, listener_id).select_for_update(skip_locked=True, no_key=True, of=("self",))[:AT_ONCE]
    judged = list(
        held.values_list("pk", "listener_id", "song_id", "shares", "verdict", "rating", "heard", "counted", named=True)
    )
    outcomes = _outcomes(judged)
    settled = [
        Settled(row.pk, row.listener_id, row.song_id, row.shares, outcome, curve.reward(outcome), curve.counts(outcome))
        for row, outcome in zip(judged, outcomes, strict=True)
    ]
    for outcome in sorted(set(outcomes)):
        _note([one.pk for one in settled if one.outcome == outcome], outcome, curve, now)
    before = listener_sums({one.listener_id for one in settled}, now)
    credit_engines(settled=settled, at=now)
    note_movements(settled=settled, before=before, at=now)
    return len(settled)


def _judgeable(now: datetime, listener_id: int | None) -> QuerySet[Impression]:
    # Whatever shelf or page the song was played from: all that showed it before did well.
    shown = {"listener": OuterRef("listener"), "song": OuterRef("song")}
    plays = Play.objects.filter(**shown, started_at__gte=OuterRef("shown_at"))
    rating = Rating.objects.filter(**shown, rated_at__gte=OuterRef("shown_at"))
    of_its_kind = Q(artist=OuterRef("song__artist")) | Q(genre=OuterRef("song__genre"))
    verdict = (
        Verdict.objects.in_force(now)
        .filter(
            Q(song=OuterRef("song")) | Q(of_its_kind, kind=Verdict.Kind.NO),
            listener=OuterRef("listener"),
            said_at__gte=OuterRef("shown_at"),
        )
        .order_by("-kind")
    )  # "no" before "love"
    whose = {} if listener_id is None else {"listener": listener_id}
    return (
        Impression.objects.filter(settled_at=None, **whose)
        .annotate(
            verdict=Subquery(verdict.values("kind")[:1]),
            rating=Subquery(rating.values("rating")[:1]),
            heard=Subquery(plays.order_by("-seconds_heard").values("seconds_heard")[:1]),
            counted=Exists(plays.filter(counted=True)),
            tried=Exists(plays.filter(started_at__lt=now - PATIENCE)),
        )
        .filter(
            Q(verdict__isnull=False)
            | Q(rating__isnull=False)
            | Q(tried=True)
            | Q(shown_at__lt=now - timedelta(hours=settings.SETTLE_HOURS))
        )
        .order_by("shown_at")
    )


def _outcomes(judged: Iterable[Any]) -> list[Outcome]:
    """What came of each, in their order."""
    songs = Song.objects.in_bulk({row.song_id for row in judged if row.counted and row.rating is None})
    return [_outcome(row, songs.get(row.song_id)) for row in judged]


def _outcome(row: Any, song: Song | None) -> Outcome:
    """A verdict says more than a rating, a rating more than a play, a play more than a skip."""
    if row.verdict is not None:
        return Outcome(row.verdict)
    if row.rating is not None:
        return Outcome(f"rated {row.rating}")
    if row.heard is None:
        return Outcome.PASSED
    if not row.counted or song is None:
        return Outcome.SKIPPED
    return Outcome.FULL if row.heard >= FULL_SHARE * song.audible_seconds else Outcome.HALF


def _note(pks: list[int], outcome: Outcome, curve: Curve, now: datetime) -> None:
    worth = {"outcome": outcome, "reward": curve.reward(outcome), "counts": curve.counts(outcome)}
    for start in range(0, len(pks), CHUNK):
        chunk = Impression.objects.filter(pk__in=pks[start : start + CHUNK], settled_at=None)
        chunk.update(**worth, settled_at=now)
