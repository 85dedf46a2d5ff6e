"""Days of listening by planted listeners, served and learned from by the services that serve everybody.

Half of a world is real: songs, listeners and what they heard before are written down, the band is trained, lists are
made, shown, played and settled as ever. The other half is planted: whom a song pleases is a matter of what one engine
thinks of it and the others do not, the engines being dealt out to the listeners in turn.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import Avg
from django.utils import timezone
from scipy.special import ndtri
from scipy.stats import rankdata

from accounts.models import Listener
from catalog.models import Song
from listening.models import Impression
from listening.services import rate_song, record_play
from listening.world.catalogue import GENRES
from listening.world.plan import plan_world
from listening.world.writing import write_world
from quasimusic.exceptions import DatabaseFault, ParameterOutOfRange
from recommender.engines.base import Engine
from recommender.engines.hybrid import FALLBACK, Hybrid
from recommender.engines.simulation import FULL, HALF, NOTHING, SKIP, Planted, behave, regret
from recommender.engines.tables import Floats, Rows, Tables
from recommender.loading import load_band, load_tables
from recommender.services.learning import learn_weights, settle_impressions
from recommender.services.lists import Card, home, refresh_everybody
from recommender.services.training import MOST_SEED, train_band
from recommender.services.weights import learned_weights

START = datetime(2026, 1, 1, 12, tzinfo=timezone.get_default_timezone())
PAST = 60  # days that the listeners have behind them
STEP = timedelta(days=1, minutes=1)  # from page to page: what was left alone for a day is settled before the next
LATER = timedelta(hours=8)  # from the page to what is played of it, all of it before the next page
CONTRAST = 1.5  # how much likelier to please a song is, the higher its engine ranks it
PLEASED = 0.03  # by a song in the middle of that engine's order; by its first dozen, one in five or more
SECONDS = {FULL: 1.0, HALF: 0.6, SKIP: 0.1}  # of the song

Progress = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Truth:
    """Who is served best by which engine: `best` int64 (m,), places in `engines`; and what pleases whom."""

    engines: tuple[str, ...]
    listener_ids: tuple[int, ...]
    best: Rows
    planted: Planted


class Clock:
    """The time in a world of its own."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


def check_sizes(*, n_listeners: int, n_days: int, n_songs: int, seed: int) -> None:
    """Raises ParameterOutOfRange where there would be nothing to simulate."""
    for word, value, least in (("listeners", n_listeners, 2), ("days", n_days, 1), ("songs", n_songs, len(GENRES))):
        if value < least:
            raise ParameterOutOfRange(f"{word} is {value}; a simulation needs at least {least}")
    if not 0 <= seed <= MOST_SEED:
        raise ParameterOutOfRange(f"seed is {seed}; it must be a whole number from 0 to {MOST_SEED}")


def simulate_days(
    *, n_listeners: int, n_days: int, n_songs: int, seed: int, progress: Progress = lambda done: None
) -> dict[str, Any]:
    """Fill the database with a world and let its listeners listen for that many days; returns what came of it.

    For a database and a process of its own: time stands still but for the simulated days. Raises DatabaseFault where
    the database is not empty, ParameterOutOfRange.
    """
    check_sizes(n_listeners=n_listeners, n_days=n_days, n_songs=n_songs, seed=seed)
    if Listener.objects.exists() or Song.objects.exists():
        raise DatabaseFault("A simulation needs a database of its own; in this one there are listeners or songs.")
    with _own_time(START) as clock:
        write_world(world=plan_world(seed, n_songs, n_listeners, PAST), until=START)
        train_band(seed=seed)
        truth = plant()
        moments, weights = [], []
        for day in range(n_days):
            refresh_everybody()
            moments.append(clock.at)
            _live_a_day(truth, clock, np.random.default_rng((seed, day)))
            clock.at = moments[-1] + STEP
            settle_impressions()
            learn_weights()
            weights.append(_weights(truth))
            progress(day + 1)
        clock.at += timedelta(hours=settings.SETTLE_HOURS)
        settle_impressions()
        return _figures(truth, np.array([_earned(truth, moment) for moment in moments]), np.array(weights))


@contextmanager
def _own_time(start: datetime) -> Iterator[Clock]:
    """Let everything in this process that asks for the time be told that of the clock."""
    real, clock = timezone.now, Clock(start)
    timezone.now = clock
    try:
        yield clock
    finally:
        timezone.now = real


def plant() -> Truth:
    """Deal the engines out to the listeners. A listener on whom the engine dealt has no opinion gets popularity."""
    tables = load_tables()
    _, band = load_band(tables)
    names = tuple(band.engines)
    standing = np.array([_standing(engine, tables) for engine in band.engines.values()])
    rows = np.arange(tables.n_listeners)
    best = rows % len(names)
    silent = np.isnan(standing[best, rows]).all(axis=1)
    best[silent] = names.index(FALLBACK)
    own, all_told = standing[best, rows], np.nan_to_num(standing).sum(axis=0)
    others = (all_told - np.nan_to_num(own)) / max(len(names) - 1, 1)
    # What all of them like tells no group from another.
    planted = Planted.of(own - others, tables.n_listeners, contrast=CONTRAST, mean=PLEASED)
    return Truth(names, tuple(tables.users.ids.tolist()), best, planted)


def _standing(engine: Engine, tables: Tables) -> Floats:
    """Where songs stand in an engine's order for each listener, as quantiles of a normal distribution, float64
    (m, n_songs): so all engines please alike, whatever their scores are like. NaN: known to the listener, or no
    opinion."""
    scores = engine.score_rows(np.arange(tables.n_listeners)).astype(np.float64)
    scores[tables.familiar.tocoo().coords] = np.nan
    ranks = rankdata(scores, axis=1, nan_policy="omit")
    standing: Floats = ndtri(ranks / (np.sum(~np.isnan(scores), axis=1, keepdims=True) + 1))
    return standing


def _live_a_day(truth: Truth, clock: Clock, rng: np.random.Generator) -> None:
    """Everybody looks at their page, and listens later in the day."""
    listeners = Listener.objects.in_bulk(truth.listener_ids)
    pages = [_cards(listeners[pk]) for pk in truth.listener_ids]
    clock.at += LATER
    places = {pk: row for row, pk in enumerate(Song.objects.order_by("pk").values_list("pk", flat=True))}
    shown = np.full((len(pages), max(len(page) for page in pages)), -1)
    for row, page in enumerate(pages):
        shown[row, : len(page)] = [places[card.song.pk] for card in page]
    day = behave(truth.planted.chances(np.arange(len(pages)), shown), rng)
    for row, place in np.argwhere(day.heard != NOTHING).tolist():
        key = uuid.UUID(bytes=rng.bytes(16))
        listener, card = listeners[truth.listener_ids[row]], pages[row][place]
        _listen(listener, card, int(day.heard[row, place]), int(day.stars[row, place]), key)


def _cards(listener: Listener) -> list[Card]:
    """What is on the listener's page, each song once."""
    first: dict[int, Card] = {}
    for shelf in home(listener=listener).shelves:
        for card in shelf.cards:
            first.setdefault(card.song.pk, card)
    return list(first.values())


def _listen(listener: Listener, card: Card, heard: int, stars: int, key: uuid.UUID) -> None:
    record_play(
        listener=listener,
        song=card.song,
        key=key,
        started_at=timezone.now(),
        seconds_heard=SECONDS[heard] * card.song.audible_seconds,
        source="home",
        impression=Impression(pk=card.impression_id, listener=listener, song=card.song),
    )
    if stars:
        rate_song(listener=listener, song=card.song, rating=stars)


def _weights(truth: Truth) -> Floats:
    """What was learned of each listener, float64 (m, engines)."""
    learned = learned_weights(listener_ids=truth.listener_ids)
    return np.array([[learned[pk].get(name, 0.0) for name in truth.engines] for pk in truth.listener_ids])


def _earned(truth: Truth, moment: datetime) -> Floats:
    """Mean reward of a song shown at that moment, float64 (m, 1 + engines): on the mixed shelf, then on each engine's
    own. NaN: nothing was shown on it."""
    shelves = {name: place for place, name in enumerate((Hybrid.name, *truth.engines))}
    rows = {pk: row for row, pk in enumerate(truth.listener_ids)}
    earned = np.full((len(rows), len(shelves)), np.nan)
    means = Impression.objects.filter(shown_at=moment).values_list("listener", "shelf").annotate(Avg("reward"))
    for pk, shelf, mean in means.order_by():
        earned[rows[pk], shelves[shelf]] = mean
    return earned


def _figures(truth: Truth, earned: Floats, weights: Floats) -> dict[str, Any]:
    """earned : float64 (days, m, 1 + engines). weights : float64 (days, m, engines)."""
    everybody = np.arange(len(truth.best))
    mixed, best = earned[:, :, 0], earned[:, everybody, 1 + truth.best]
    of_best = weights[:, everybody, truth.best]
    found = weights.argmax(axis=2) == truth.best
    lost = regret(np.nanmean(mixed, axis=1), np.nanmean(best, axis=1))
    groups = [(name, truth.best == place) for place, name in enumerate(truth.engines)]
    return {
        "days": [
            {"reward": reward, "best": of, "regret": so_far, "weight": weight, "found": share}
            for reward, of, so_far, weight, share in zip(
                _rounded(np.nanmean(mixed, axis=1)),
                _rounded(np.nanmean(best, axis=1)),
                _rounded(lost),
                _rounded(of_best.mean(axis=1)),
                _rounded(found.mean(axis=1)),
                strict=True,
            )
        ],
        "groups": {
            name: {
                "listeners": int(group.sum()),
                "weights": _rounded(of_best[:, group].mean(axis=1)),
                "shelves": dict(
                    zip((Hybrid.name, *truth.engines), _rounded(np.nanmean(earned[:, group], axis=(0, 1))), strict=True)
                ),
            }
            for name, group in groups
            if group.any()
        },
    }


def _rounded(numbers: Floats) -> Sequence[float]:
    return [round(float(number), 6) for number in numbers]
