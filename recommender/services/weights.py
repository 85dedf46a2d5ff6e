"""What each engine weighs: for everybody, for each listener as learned, and in a list about to be made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from django.conf import settings
from django.db.models import Max
from django.db.models.functions import TruncDate
from django.utils import timezone

from recommender.engines import ENGINES
from recommender.engines.tables import Floats
from recommender.engines.weighing import STRATEGIES, Evidence, Strategy, Thompson, adjusted
from recommender.models import Board, DailyReward, TrainingRun, Weights
from recommender.services.crediting import Key, listener_sums, overall_sums

CHARTED = timedelta(days=90)
NOBODY = 0  # in place of a listener, for what holds of everybody

Sums = Mapping[str, tuple[float, float]]  # reward and credit by engine


@dataclass(frozen=True)
class EngineDay:
    """An engine on one day: its last weight and the mean reward it earned, None where it had none."""

    day: date
    weight: float | None
    mean_reward: float | None


def strategy(name: str | None = None) -> Strategy:
    """The one of this name; by default that of the settings."""
    chosen = STRATEGIES[name or settings.WEIGHTS_STRATEGY]
    if issubclass(chosen, Thompson):
        return chosen(exploration=settings.EXPLORATION, shrinkage=settings.SHRINKAGE)
    return chosen()


def prior_weights(*, run: TrainingRun | None, engines: Sequence[str] = ()) -> dict[str, float]:
    """What was learned in training, by engine: of these, or of all that the run weighed; equal where nothing was."""
    learned = run.weights if run else {}
    prior = {name: learned.get(name, 0.0) for name in engines or learned or ENGINES}
    return prior if sum(prior.values()) > 0 else dict.fromkeys(prior, 1.0)


def gather_evidence(
    *, prior: Mapping[str, float], sums: Mapping[Key, tuple[float, float]], listener_ids: Sequence[int], band: Sums
) -> Evidence:
    """sums: of these listeners by (listener, engine). band: of everybody."""
    engines = tuple(prior)
    own = np.array([[sums.get((pk, engine), (0.0, 0.0)) for engine in engines] for pk in listener_ids])
    own = own.reshape(len(listener_ids), len(engines), 2)
    everybody = np.array([band.get(engine, (0.0, 0.0)) for engine in engines])
    return Evidence(
        engines=engines,
        prior=np.array([prior[engine] for engine in engines]),
        listeners=np.asarray(listener_ids, dtype=np.int64),
        reward=own[:, :, 0],
        credit=own[:, :, 1],
        band_reward=everybody[:, 0],
        band_credit=everybody[:, 1],
    )


def overall_weights(*, run: TrainingRun | None) -> dict[str, float]:
    """What the engines weigh for somebody of whom nothing is known."""
    evidence = gather_evidence(
        prior=prior_weights(run=run), sums={}, listener_ids=[NOBODY], band=overall_sums(timezone.localdate())
    )
    return _told(evidence, strategy().expected(evidence)[0])


def learned_weights(*, listener_ids: Sequence[int], by: str | None = None) -> dict[int, dict[str, float]]:
    """What was learned of each of these listeners, before chance and their own sliders: by engine, summing to 1.

    by: the name of a strategy, by default that of the settings.
    """
    evidence = _evidence(prior_weights(run=TrainingRun.objects.filter(is_active=True).first()), listener_ids)
    rows = strategy(by).expected(evidence)
    return {pk: _told(evidence, row) for pk, row in zip(listener_ids, rows, strict=True)}


def mix(*, listener_ids: Sequence[int], run: TrainingRun, engines: Sequence[str]) -> tuple[Floats, Floats]:
    """What these listeners' lists are made by: weights float64 (m, engines), drawn and under each one's own sliders,
    and leanings float64 (m,), from 1, familiar, to -1, new.

    The draw goes by run, listener and day, so that a list made again the same day is the same list.
    """
    evidence = _evidence(prior_weights(run=run, engines=engines), listener_ids)
    rng = np.random.default_rng((run.pk, timezone.localdate().toordinal()))
    boards = {board.listener_id: board for board in Board.objects.filter(listener__in=listener_ids)}
    own = [boards.get(pk, Board()) for pk in listener_ids]
    sliders = np.array([[board.sliders.get(engine, 1.0) for engine in engines] for board in own])
    return adjusted(strategy().weights(evidence, rng=rng), sliders), np.array([-board.novelty for board in own])


def heard_weights(*, learned: Mapping[str, float], sliders: Mapping[str, float]) -> dict[str, float]:
    """Learned weights under a listener's own sliders, by engine."""
    engines = list(learned)
    weights = np.array([[learned[engine] for engine in engines]])
    heard = adjusted(weights, [sliders.get(engine, 1.0) for engine in engines])
    return dict(zip(engines, heard[0].tolist(), strict=True))


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


def _evidence(prior: Mapping[str, float], listener_ids: Sequence[int]) -> Evidence:
    now = timezone.now()
    sums, band = listener_sums(listener_ids, now), overall_sums(timezone.localdate(now))
    return gather_evidence(prior=prior, sums=sums, listener_ids=listener_ids, band=band)


def _told(evidence: Evidence, weights: Floats) -> dict[str, float]:
    return dict(zip(evidence.engines, weights.tolist(), strict=True))
