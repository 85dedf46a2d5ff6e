"""The lists listeners see: made in the background, shown from the cache."""

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import numpy as np
from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from accounts.models import Listener
from catalog.models import Song
from listening.models import Blocked, History, Pick, Rating, Verdict
from quasimusic.exceptions import UnknownEngine
from recommender import cache
from recommender.cache import EVERYONE, StoredItem, StoredLists
from recommender.engines import ENGINES
from recommender.engines.coolstart import CoolStart
from recommender.engines.hybrid import Hybrid
from recommender.engines.tables import Floats, Tables
from recommender.engines.threads import bounded
from recommender.loading import load_band, load_tables
from recommender.models import TrainingRun
from recommender.services.impressions import note_shown
from recommender.words import sentence

HYBRID = "hybrid"
HYBRID_TITLE = "For you"
SHELF_LENGTH = 12
STORED_LENGTH = 3 * SHELF_LENGTH  # what is heard or blocked meanwhile gives its place to those further down
CHUNK = 100  # listeners whose lists are made and stored at once
NEIGHBOURS = 12
EVENTS = (
    (History, "counted_at"),
    (Rating, "rated_at"),
    (Pick, "picked_at"),
    (Verdict, "said_at"),
    (Verdict, "expires_at"),  # ended by itself or taken back
)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Card:
    """A song on a shelf, why it is there, and the impression to credit when it is played."""

    song: Song
    reason: str
    shares: dict[str, float]
    impression_id: int | None = None


@dataclass(frozen=True)
class Shelf:
    name: str
    title: str
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Home:
    """pending: no list of the listener's own yet, popular songs stand in. stale: they have listened since."""

    shelves: tuple[Shelf, ...]
    pending: bool
    stale: bool


def refresh_everybody(*, progress: Progress = lambda done, total: None) -> int:
    """Write a whole new generation of lists and flip to it; returns how many listeners have one."""
    bench = _Bench.set_up()
    generation = cache.new_generation()
    listener_ids = bench.tables.users.ids.tolist()
    for start in range(0, len(listener_ids), CHUNK):
        chunk = listener_ids[start : start + CHUNK]
        cache.store_lists(generation, bench.lists(chunk))
        progress(start + len(chunk), len(listener_ids))
    cache.store_lists(generation, {EVERYONE: bench.lists_for_everyone()})
    cache.store_neighbours(generation, bench.neighbours())
    cache.flip_to(generation)
    return len(listener_ids)


def refresh_listeners(*, listener_ids: Sequence[int]) -> int:
    """Make these listeners' lists anew within the serving generation; those unknown are passed over."""
    generation = cache.serving_generation()
    if generation is None:
        return refresh_everybody()
    bench = _Bench.set_up()
    known = [pk for pk in listener_ids if pk in bench.tables.users.ids]
    for start in range(0, len(known), CHUNK):
        cache.store_lists(generation, bench.lists(known[start : start + CHUNK]))
    return len(known)


def listeners_behind() -> list[int]:
    """Listeners whose lists of the serving generation are older than what they last played, rated, picked or judged."""
    last = _last_events(timezone.now() - timedelta(hours=1))
    stored = cache.stored_lists(sorted(last))
    return [pk for pk, lists in stored.items() if last[pk] > lists.made_at]


def home(*, listener: Listener) -> Home:
    """What the home page shows, from the cache; never trains, never scores."""
    stored = cache.stored_lists([listener.pk, EVERYONE])
    own = stored.get(listener.pk)
    lists = own or stored.get(EVERYONE)
    blocked = listener.verdicts.blocked()
    if lists is None:
        return Home(shelves=(_most_popular(blocked),), pending=True, stale=False)
    return Home(
        shelves=_shelves(listener, lists, blocked),
        pending=own is None,
        stale=own is not None and bool(_last_events(own.made_at, listener=listener)),
    )


def near_song(*, song: Song, listener: Listener) -> Shelf:
    """Songs that sound like this one, without those the listener blocked; by its genre where it is too new to have
    neighbours."""
    blocked = listener.verdicts.blocked()
    stored = cache.stored_neighbours(song.pk)
    songs = Song.objects.for_cards().in_bulk(stored)
    near = [songs[pk] for pk in stored if pk in songs and songs[pk] not in blocked][:NEIGHBOURS]
    if not near and song.genre_id:
        same_genre = Song.objects.for_cards().filter(genre=song.genre_id).exclude(pk=song.pk)
        near = list(blocked.left_out_of(same_genre).most_popular()[:NEIGHBOURS])
    return Shelf("near", "Near this song", tuple(Card(each, "", {}) for each in near))


def recommend(*, listener: Listener, n: int, engine: str = HYBRID) -> list[tuple[Song, float, str]]:
    """The n best songs of one listener, made now: (song, score, reason), best first."""
    tables = load_tables()
    _, band = load_band(tables)
    if engine != HYBRID:
        if engine not in band.engines:
            raise UnknownEngine(f"{engine} is not in the active run; it has {', '.join(band.engines)}.")
        band = Hybrid({engine: band.engines[engine]}, max_per_artist=None)
    ids, scores, shares = band.blend([listener.pk], n)
    songs = Song.objects.for_cards().in_bulk([int(pk) for pk in ids[0] if pk != -1])
    titles = _titles(tables)
    return [
        (songs[int(pk)], float(score), _reason(band, listener.pk, pk, parts, titles))
        for pk, score, parts in zip(ids[0], scores[0], shares[0], strict=True)
        if pk != -1
    ]


@dataclass(frozen=True)
class _Bench:
    """Where lists are made: the tables and the band on them, as of `made_at`."""

    made_at: datetime
    tables: Tables
    run: TrainingRun
    band: Hybrid
    titles: dict[int, str]

    @classmethod
    def set_up(cls) -> Self:
        made_at = timezone.now()  # before the rows are read: what comes later counts as not yet known
        tables = load_tables()
        run, band = load_band(tables)
        return cls(made_at, tables, run, band, _titles(tables))

    def lists(self, listener_ids: Sequence[int]) -> dict[int, StoredLists]:
        with bounded(settings.ENGINE_THREADS):
            shelves = {HYBRID: self._hybrid_items(listener_ids)}
            for name, engine in self.band.engines.items():
                ids, _ = Hybrid({name: engine}).recommend(listener_ids, STORED_LENGTH)  # alone, but with artists capped
                shelves[name] = [_plain_items(name, row) for row in ids]
        return {
            pk: self._stored({name: rows[place] for name, rows in shelves.items()})
            for place, pk in enumerate(listener_ids)
        }

    def lists_for_everyone(self) -> StoredLists:
        """The top of the world, whoever asks."""
        anybody = self.tables.users.ids[:1].tolist()
        engine = self.band.engines.get("relevance")
        if engine is None or not anybody:
            return self._stored({})
        ids, _ = engine.recommend(anybody, settings.LIST_LENGTH, exclude_heard=False)
        return self._stored({"relevance": _plain_items("relevance", ids[0])})

    def neighbours(self) -> dict[int, tuple[int, ...]]:
        """The nearest songs of each song that has features."""
        engine = self.band.engines.get("coolstart")
        if not isinstance(engine, CoolStart):
            return {}
        with bounded(settings.ENGINE_THREADS):
            ids, _ = engine.nearest(3 * NEIGHBOURS)  # more than are shown: some may be blocked
        return {
            int(pk): tuple(int(near) for near in row if near != -1)
            for pk, row in zip(self.tables.songs.ids, ids, strict=True)
        }

    def _hybrid_items(self, listener_ids: Sequence[int]) -> list[tuple[StoredItem, ...]]:
        ids, _, shares = self.band.blend(listener_ids, settings.LIST_LENGTH)
        return [
            tuple(
                StoredItem(
                    song_id=int(pk),
                    reason=_reason(self.band, listener_id, pk, parts, self.titles),
                    shares=_told_shares(self.band, parts),
                )
                for pk, parts in zip(row, row_shares, strict=True)
                if pk != -1
            )
            for listener_id, row, row_shares in zip(listener_ids, ids, shares, strict=True)
        ]

    def _stored(self, shelves: dict[str, tuple[StoredItem, ...]]) -> StoredLists:
        return StoredLists(uuid.uuid4().hex, self.made_at, self.run.pk, shelves)


def _reason(band: Hybrid, listener_id: int, song_id: int, parts: Floats, titles: dict[int, str]) -> str:
    """In words, why the engine with the greatest share chose the song; the next one's word where it has none."""
    engines = list(band.engines.values())
    speaking = [engines[place] for place in np.argsort(-parts, kind="stable") if parts[place] > 0]
    words = (sentence(engine.explain(listener_id, song_id), titles) for engine in speaking)
    return next((said for said in words if said), "")


def _told_shares(band: Hybrid, parts: Floats) -> dict[str, float]:
    return {name: round(float(part), 4) for name, part in zip(band.engines, parts, strict=True) if part > 0}


def _plain_items(engine: str, ids: Sequence[int]) -> tuple[StoredItem, ...]:
    return tuple(StoredItem(song_id=int(pk), reason="", shares={engine: 1.0}) for pk in ids if pk != -1)


def _titles(tables: Tables) -> dict[int, str]:
    """Titles by song id, of the songs that have one."""
    return {pk: title for pk, title in zip(tables.songs.ids.tolist(), tables.songs.titles, strict=True) if title}


def _last_events(since: datetime, **whose: Listener) -> dict[int, datetime]:
    """When each listener last played, rated, picked or judged, by listener id: of those who have since."""
    now = timezone.now()
    last: dict[int, datetime] = {}
    for model, moment in EVENTS:
        events = model.objects.filter(**{f"{moment}__gt": since, f"{moment}__lte": now}, **whose).order_by()
        for pk, at in events.values_list("listener").annotate(Max(moment)):
            last[pk] = max(at, last.get(pk, at))
    return last


def _shelves(listener: Listener, lists: StoredLists, blocked: Blocked) -> tuple[Shelf, ...]:
    """Stored lists as shelves, without what was heard or blocked since; what is left is noted as shown."""
    song_ids = {item.song_id for items in lists.shelves.values() for item in items}
    there = list(Song.objects.filter(pk__in=song_ids).values_list("pk", "artist_id", "genre_id"))
    free = {facts[0] for facts in there if not blocked.bars(*facts)}
    wanted = free - _familiar(listener, song_ids)
    shown = {
        name: [item for item in items if item.song_id in wanted][:SHELF_LENGTH] for name, items in lists.shelves.items()
    }
    if len(free) < len(there):
        _fill_up(listener, blocked, shown)
    songs = Song.objects.for_cards().in_bulk({item.song_id for items in shown.values() for item in items})
    noted = note_shown(listener=listener, lists=lists, shown=shown)
    return tuple(
        Shelf(
            name,
            shelf_title(name),
            tuple(
                Card(songs[item.song_id], item.reason, item.shares, noted.get((name, item.song_id))) for item in items
            ),
        )
        for name, items in shown.items()
    )


def _fill_up(listener: Listener, blocked: Blocked, shown: dict[str, list[StoredItem]]) -> None:
    """Fill the first shelf up with what is popular, where what was blocked left too little."""
    first = next(iter(shown.values()), None)
    if first is None or len(first) >= SHELF_LENGTH:
        return
    fresh = blocked.left_out_of(Song.objects.exclude(pk__in=[item.song_id for item in first]))
    for rows in (listener.history, listener.ratings, listener.picks, listener.verdicts.in_force()):
        fresh = fresh.exclude(pk__in=rows.exclude(song=None).values("song"))
    popular = fresh.most_popular().values_list("pk", flat=True)
    first.extend(_plain_items("relevance", popular[: SHELF_LENGTH - len(first)]))


def _familiar(listener: Listener, song_ids: Collection[int]) -> set[int]:
    """Of these songs those that the listener has played, rated, picked or judged."""
    played = listener.history.filter(song__in=song_ids).values_list("song_id", flat=True)
    rated = listener.ratings.filter(song__in=song_ids).values_list("song_id", flat=True)
    picked = listener.picks.filter(song__in=song_ids).values_list("song_id", flat=True)
    judged = listener.verdicts.in_force().filter(song__in=song_ids).values_list("song_id", flat=True)
    return set(played.union(rated, picked, judged))


def shelf_title(name: str) -> str:
    return HYBRID_TITLE if name == HYBRID else ENGINES[name].title


def _most_popular(blocked: Blocked) -> Shelf:
    """What is shown before anything was trained."""
    songs = blocked.left_out_of(Song.objects.for_cards()).most_popular()[:SHELF_LENGTH]
    return Shelf("relevance", shelf_title("relevance"), tuple(Card(song, "", {}) for song in songs))
