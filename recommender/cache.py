"""The hybrid cache: one stored set of lists a listener, in generations.

A refresh writes a whole new generation beside the serving one and then flips the pointer, so a reader never meets
half of a refresh and a broken-off refresh is simply never pointed to. Two names take turns: a new generation is
written over the one before the serving one, so that an hourly refresh never holds more than two in memory.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.core.cache import cache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

KEPT_SECONDS = 7 * 24 * 3600
# The stored classes are pickled: a change of their fields takes a new number, and old lists are made anew.
PREFIX = "recommender:2"
POINTER = f"{PREFIX}:generation"
EVEN, ODD = "even", "odd"
EVERYONE = 0  # the lists of nobody in particular, shown where a listener's own are missing


@dataclass(frozen=True)
class StoredItem:
    """A song of a stored list: why it is there, and each engine's share in that, 0 to 1."""

    song_id: int
    reason: str
    shares: dict[str, float]


@dataclass(frozen=True)
class StoredLists:
    """What one listener is recommended: by shelf name, best first. weights: by engine, as the hybrid was mixed."""

    list_id: str
    made_at: datetime
    run_number: int
    shelves: dict[str, tuple[StoredItem, ...]]
    weights: dict[str, float] = field(default_factory=dict)


def new_generation() -> str:
    """The name whose turn it is: the one that is not serving."""
    return ODD if serving_generation() == EVEN else EVEN


def serving_generation() -> str | None:
    return cache.get(POINTER)


def flip_to(generation: str) -> None:
    cache.set(POINTER, generation, timeout=None)


def store_lists(generation: str, lists: Mapping[int, StoredLists]) -> None:
    """Write lists by listener id into a generation, in one round trip."""
    cache.set_many({_lists_key(generation, pk): stored for pk, stored in lists.items()}, KEPT_SECONDS)


def stored_lists(listener_ids: list[int]) -> dict[int, StoredLists]:
    """The serving lists of those who have any, in one round trip; of nobody while the cache is away."""
    try:
        generation = serving_generation()
        found = cache.get_many([_lists_key(generation, pk) for pk in listener_ids]) if generation else {}
    except RedisError as fault:
        logger.warning("The cache is away, pages go by the last lists kept: %s", fault)
        return {}
    keyed = {pk: found.get(_lists_key(generation, pk)) for pk in listener_ids if generation}
    return {pk: stored for pk, stored in keyed.items() if stored is not None}


def store_neighbours(generation: str, neighbours: Mapping[int, tuple[int, ...]]) -> None:
    """Write the nearest songs by song id into a generation."""
    cache.set_many({_neighbours_key(generation, pk): songs for pk, songs in neighbours.items()}, KEPT_SECONDS)


def stored_neighbours(song_id: int) -> tuple[int, ...]:
    """Ids of the songs nearest to this one, nearest first; () where none are stored, or the cache is away."""
    try:
        generation = serving_generation()
        return cache.get(_neighbours_key(generation, song_id), ()) if generation else ()
    except RedisError as fault:
        logger.warning("The cache is away, neighbours go by genre: %s", fault)
        return ()


def first_to_ask(listener_id: int, seconds: int) -> bool:
    """Whether nobody asked for this listener's refresh in the last seconds; asking once is enough, and while the cache
    is away there is nobody to ask."""
    try:
        return cache.add(f"{PREFIX}:asked:{listener_id}", True, seconds)
    except RedisError:
        return False


def _lists_key(generation: str, listener_id: int) -> str:
    return f"{PREFIX}:{generation}:lists:{listener_id}"


def _neighbours_key(generation: str, song_id: int) -> str:
    return f"{PREFIX}:{generation}:near:{song_id}"
