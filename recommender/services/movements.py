"""How what a listener did moved their own mix: told on their board."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from django.utils import timezone

from listening.models import Impression
from recommender.models import Movement, TrainingRun
from recommender.services.crediting import Earned, Key, Settled, overall_sums
from recommender.services.weights import gather_evidence, prior_weights, strategy

TOLD = 0.005  # of a weight: what moves by less reads the same
KEPT = 6  # of a listener, of one lesson

Sums = dict[str, tuple[float, float]]


@dataclass
class _Act:
    """One thing a listener did, and what it earned each engine, on whatever shelves the song stood."""

    listener_id: int
    song_id: int
    outcome: str
    earned: dict[str, Earned] = field(default_factory=lambda: defaultdict(Earned))


def note_movements(
    *, settled: Collection[Settled], before: Mapping[Key, tuple[float, float]], at: datetime
) -> list[Movement]:
    """Write down, for each thing a listener did, the engine that spoke for it and whose weight it moved furthest.

    before: reward and credit by (listener, engine), as they stood before these were credited.
    """
    acts = _acts(settled)
    if not acts:
        return []
    prior = prior_weights(run=TrainingRun.objects.filter(is_active=True).first())
    states, places = _states(acts, before)
    sums = {(row, engine): earned for row, state in enumerate(states) for engine, earned in state.items()}
    band = overall_sums(timezone.localdate(at))
    evidence = gather_evidence(prior=prior, sums=sums, listener_ids=range(len(states)), band=band)
    weights = strategy().expected(evidence)
    moved: dict[int, list[Movement]] = defaultdict(list)
    for act, place in zip(acts, places, strict=True):
        # Of those that spoke for the song: the others give way, or gain, by whatever these move.
        spoke = np.array([engine in act.earned for engine in evidence.engines])
        differences = np.where(spoke, weights[place + 1] - weights[place], 0.0)
        furthest = int(np.argmax(np.abs(differences)))
        if abs(differences[furthest]) >= TOLD:
            movement = Movement(
                listener_id=act.listener_id,
                song_id=act.song_id,
                outcome=act.outcome,
                engine=evidence.engines[furthest],
                before=weights[place, furthest],
                after=weights[place + 1, furthest],
                moved_at=at,
            )
            moved[act.listener_id].append(movement)
    return Movement.objects.bulk_create([movement for own in moved.values() for movement in own[-KEPT:]])


def _acts(settled: Collection[Settled]) -> list[_Act]:
    acts: dict[tuple[int, int], _Act] = {}
    for one in settled:
        if one.outcome != Impression.Outcome.PASSED and one.shares:
            act = acts.setdefault((one.listener_id, one.song_id), _Act(one.listener_id, one.song_id, one.outcome))
            for engine, share in one.shares.items():
                act.earned[engine].add(share, one)
    return sorted(acts.values(), key=lambda act: act.listener_id)


def _states(acts: Collection[_Act], before: Mapping[Key, tuple[float, float]]) -> tuple[list[Sums], list[int]]:
    """How each listener's sums stood before and after each act, one after the other; and the place, for each act, of
    the state before it, which the state after it follows."""
    starts: dict[int, Sums] = defaultdict(dict)
    for (listener_id, engine), sums in before.items():
        starts[listener_id][engine] = sums
    states: list[Sums] = []
    places, whose = [], None
    for act in acts:
        if act.listener_id != whose:
            whose = act.listener_id
            states.append(starts[whose])
        places.append(len(states) - 1)
        state = dict(states[-1])
        for engine, earned in act.earned.items():
            own = state.get(engine, (0.0, 0.0))
            state[engine] = (own[0] + earned.reward, own[1] + earned.credit)
        states.append(state)
    return states, places
