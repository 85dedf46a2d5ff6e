"""What the listeners of a world do: plays and skips in sittings over the days, and ratings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.models import PIECE_SECONDS
from listening.models import COUNTED_SHARE
from listening.world.catalogue import Catalogue, Floats, Rng, Rows
from listening.world.people import People

DAY = 86400
GAP = 2  # seconds between two songs of a sitting
SITTING = 8  # songs in one, about
BATCH = 256  # listeners whose affinities are held at once


@dataclass(frozen=True, eq=False)
class Plays:
    """Listening events, (p,), in order of time for each listener.

    seconds_ago : float64, before the end of the world's days.
    seconds_heard : float64, up to PIECE_SECONDS, for that is how long a song without a file plays.
    """

    listeners: Rows
    songs: Rows
    seconds_ago: Floats
    seconds_heard: Floats

    def __len__(self) -> int:
        return len(self.songs)

    @property
    def counted(self) -> NDArray[np.bool_]:
        return self.seconds_heard >= COUNTED_SHARE * PIECE_SECONDS


@dataclass(frozen=True, eq=False)
class History:
    """Plays counted, (h,), sorted by listener and song: repetition int64 >= 1, seconds_ago of the last one."""

    listeners: Rows
    songs: Rows
    repetition: Rows
    seconds_ago: Floats

    def __len__(self) -> int:
        return len(self.songs)


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings 1..5, (r,), each given at the last play of its song."""

    listeners: Rows
    songs: Rows
    ratings: Rows
    seconds_ago: Floats

    def __len__(self) -> int:
        return len(self.songs)


def plan_plays(catalogue: Catalogue, people: People, days: int, rng: Rng) -> Plays:
    listeners, songs, ago, heard = [], [], [], []
    for start in range(0, len(people), BATCH):
        rows = np.arange(start, min(start + BATCH, len(people)))
        for row, affinity in zip(rows, people.affinity(catalogue, rows), strict=True):
            chosen, first_time = _choices(affinity + people.mainstream[row] * catalogue.fame, people, row, rng)
            seconds = _seconds_heard(_standardised(affinity)[chosen], first_time, rng)
            listeners.append(np.full(len(chosen), row))
            songs.append(chosen)
            heard.append(seconds)
            ago.append(_times(seconds, days, rng))
    return Plays(*(np.concatenate(parts) for parts in (listeners, songs, ago, heard)))


def _choices(odds: Floats, people: People, row: int, rng: Rng) -> tuple[Rows, NDArray[np.bool_]]:
    """The songs played, one after another, and whether each was new to the listener."""
    n_plays = int(people.activity[row])
    first_time = rng.random(n_plays) < people.novelty[row]
    first_time[:1] = True
    # There is no more to discover than there are songs.
    first_time &= np.cumsum(first_time) <= len(odds)
    n_discovered = int(first_time.sum())
    # The highest odds + Gumbel noise: a draw without replacement in proportion to exp(odds).
    drawn = np.argsort(-(odds + rng.gumbel(size=len(odds))), kind="stable")[:n_discovered]
    discovered = drawn[np.argsort(np.arange(n_discovered) + rng.normal(0, n_discovered / 4, n_discovered))]
    known = np.cumsum(first_time)
    # Among the known the earlier are dearer: they are played again more often.
    place = np.where(first_time, known - 1, (known * rng.random(n_plays) ** 1.7).astype(np.int64))
    return discovered[place], first_time


def _standardised(values: Floats) -> Floats:
    standardised: Floats = (values - values.mean()) / max(float(values.std()), 1e-9)
    return standardised


def _seconds_heard(liking: Floats, first_time: NDArray[np.bool_], rng: Rng) -> Floats:
    """Half the piece or more, unless it is skipped: the less liked and the newer, the likelier."""
    skipped = rng.random(len(liking)) < 1 / (1 + np.exp(1.6 + 0.9 * (liking - 1) - 0.7 * first_time))
    half = COUNTED_SHARE * PIECE_SECONDS
    whole = np.where(rng.random(len(liking)) < 0.8, PIECE_SECONDS, rng.uniform(half, PIECE_SECONDS, len(liking)))
    seconds: Floats = np.round(np.where(skipped, rng.uniform(1, half - 1, len(liking)), whole), 1)
    return seconds


def _times(seconds_heard: Floats, days: int, rng: Rng) -> Floats:
    """Seconds before the end at which each play began, in sittings at the listener's hour, no two plays at once."""
    n_plays = len(seconds_heard)
    n_sittings = n_plays // SITTING + 1
    joined = days * DAY * max(0.0, rng.uniform(-1.5, 0.8))  # most were there from the first day
    hour = rng.uniform(7, 23)
    day = rng.uniform(joined / DAY, days, n_sittings).astype(np.int64)
    begins = np.clip(day * DAY + rng.normal(hour, 2, n_sittings) * 3600, joined, days * DAY)
    begins = np.sort(begins)[np.sort(rng.integers(0, n_sittings, n_plays))]
    busy = np.concatenate([[0.0], np.cumsum(seconds_heard + GAP)])[:n_plays]
    at = np.maximum.accumulate(begins - busy) + busy
    over = max(0.0, float(at[-1] + PIECE_SECONDS - days * DAY)) if n_plays else 0.0
    ago: Floats = np.round(days * DAY - at + over, 0)
    return ago


def count_plays(plays: Plays, n_songs: int) -> History:
    counted = np.flatnonzero(plays.counted)
    keys = plays.listeners[counted] * n_songs + plays.songs[counted]
    found, place, repetition = np.unique(keys, return_inverse=True, return_counts=True)
    last = np.full(len(found), np.inf)
    np.minimum.at(last, place, plays.seconds_ago[counted])
    return History(found // n_songs, found % n_songs, repetition, last)


def plan_ratings(catalogue: Catalogue, people: People, history: History, rng: Rng) -> Ratings:
    """Some of the songs each listener heard, rated by how much they are truly liked, with noise."""
    given = rng.random(len(history)) < people.rates[history.listeners]
    liking = np.empty(len(history))
    starts = np.searchsorted(history.listeners, np.arange(len(people) + 1))
    for begin in range(0, len(people), BATCH):
        rows = np.arange(begin, min(begin + BATCH, len(people)))
        affinity = people.affinity(catalogue, rows)
        for row in rows:
            own = slice(starts[row], starts[row + 1])
            if own.start < own.stop:
                liking[own] = _standardised(affinity[row - begin, history.songs[own]])
    leniency = rng.normal(3.4, 0.4, len(people))
    opinion = leniency[history.listeners] + 0.9 * liking + rng.normal(0, 0.5, len(history))
    ratings = np.clip(np.rint(opinion), 1, 5).astype(np.int64)
    return Ratings(history.listeners[given], history.songs[given], ratings[given], history.seconds_ago[given])
