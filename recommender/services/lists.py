"""The lists listeners see: made in the background, shown from the cache."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Max
from django.utils import timezone

from accounts.models import Listener
from catalog.models import Song
from listening.models import Blocked, History, Pick, Rating, Verdict
from quasimusic.exceptions import UnknownEngine
from recommender import cache
from recommender.cache import EVERYONE, StoredItem, StoredLists
from recommender.engines import ENGINES
from recommender.engines.hybrid import Hybrid, Rules
from recommender.loading import load_band, load_tables
from recommender.models import Board
from recommender.services.bench import HYBRID, NEIGHBOURS, SHELF_LENGTH, Bench, plain_items, reason, titles_of
from recommender.services.impressions import note_shown
from recommender.services.last_lists import keep_last, last_lists

HYBRID_TITLE = "For you"
CHUNK = 100  # listeners whose lists are made and stored at once
EVENTS = (
    (History, "counted_at"),
    (Rating, "rated_at"),
    (Pick, "picked_at"),
    (Verdict, "said_at"),
    (Verdict, "expires_at"),  # ended by itself or taken back
    (Board, "changed_at"),
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
    """pending: no list of the listener's own yet, popular songs stand in. stale: they have listened since.
    kept: the cache has no list of theirs; this is the last one the database kept."""

    shelves: tuple[Shelf, ...]
    pending: bool
    stale: bool
    kept: bool = False

    @property
    def wants_refresh(self) -> bool:
        return self.pending or self.stale or self.kept


def refresh_everybody(*, progress: Progress = lambda done, total: None) -> int:
    """Write a whole new generation of lists and flip to it; returns how many listeners have one."""
    bench = Bench.set_up()
    generation = cache.new_generation()
    listener_ids = bench.tables.users.ids.tolist()
    for start in range(0, len(listener_ids), CHUNK):
        chunk = listener_ids[start : start + CHUNK]
        _store(generation, bench.lists(chunk))
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
    bench = Bench.set_up()
    known = [pk for pk in listener_ids if pk in bench.tables.users.ids]
    for start in range(0, len(known), CHUNK):
        _store(generation, bench.lists(known[start : start + CHUNK]))
    return len(known)


def _store(generation: str, lists: dict[int, StoredLists]) -> None:
    cache.store_lists(generation, lists)
    keep_last(lists=lists)


def listeners_behind() -> list[int]:
    """Listeners whose lists of the serving generation are older than what they last played, rated, picked or judged."""
    last = _last_events(timezone.now() - timedelta(hours=1))
    stored = cache.stored_lists(sorted(last))
    return [pk for pk, lists in stored.items() if last[pk] > lists.made_at]


def home(*, listener: Listener) -> Home:
    """What the home page shows, from the cache; never trains, never scores."""
    stored = cache.stored_lists([listener.pk, EVERYONE])
    kept = None if listener.pk in stored else last_lists(listener=listener)
    own = stored.get(listener.pk) or kept
    lists = own or stored.get(EVERYONE)
    blocked = listener.verdicts.blocked()
    if lists is None:
        return Home(shelves=(_most_popular(listener, blocked),), pending=True, stale=False)
    return Home(
        shelves=_shelves(listener, lists, blocked),
        pending=own is None,
        stale=own is not None and bool(_last_events(own.made_at, listener=listener)),
        kept=kept is not None,
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
    return _noted_shelf(listener, Shelf("near", "Near this song", tuple(Card(each, "", {}) for each in near)), song.pk)


def recommend(*, listener: Listener, n: int, engine: str = HYBRID) -> list[tuple[Song, float, str]]:
    """The n best songs of one listener, made now: (song, score, reason), best first."""
    tables = load_tables()
    _, band = load_band(tables)
    if engine != HYBRID:
        if engine not in band.engines:
            raise UnknownEngine(f"{engine} is not in the active run; it has {', '.join(band.engines)}.")
        band = Hybrid({engine: band.engines[engine]}, rules=Rules(max_per_artist=None))
    ids, scores, shares = band.blend([listener.pk], n)
    songs = Song.objects.for_cards().in_bulk([int(pk) for pk in ids[0] if pk != -1])
    titles = titles_of(tables)
    return [
        (songs[int(pk)], float(score), reason(band, listener.pk, pk, parts, titles))
        for pk, score, parts in zip(ids[0], scores[0], shares[0], strict=True)
        if pk != -1
    ]


def _last_events(since: datetime, **whose: Listener) -> dict[int, datetime]:
    """When each listener last played, rated, picked or judged, by listener id: of those who have since."""
    now = timezone.now()
    first, *others = (
        model.objects.filter(**{f"{moment}__gt": since, f"{moment}__lte": now}, **whose)
        .order_by()
        .values_list("listener")
        .annotate(Max(moment))
        for model, moment in EVENTS
    )
    last: dict[int, datetime] = {}
    for pk, at in first.union(*others, all=True):
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
                Card(songs[item.song_id], item.reason, item.shares, noted.get((name, item.song_id)))
                for item in items
                if item.song_id in songs  # it may have left the catalogue a moment ago
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
    first.extend(plain_items("relevance", popular[: SHELF_LENGTH - len(first)]))


def _familiar(listener: Listener, song_ids: Collection[int]) -> set[int]:
    """Of these songs those that the listener has played, rated, picked or judged."""
    played = listener.history.filter(song__in=song_ids).values_list("song_id", flat=True)
    rated = listener.ratings.filter(song__in=song_ids).values_list("song_id", flat=True)
    picked = listener.picks.filter(song__in=song_ids).values_list("song_id", flat=True)
    judged = listener.verdicts.in_force().filter(song__in=song_ids).values_list("song_id", flat=True)
    return set(played.union(rated, picked, judged))


def shelf_title(name: str) -> str:
    return HYBRID_TITLE if name == HYBRID else ENGINES[name].title


def _most_popular(listener: Listener, blocked: Blocked) -> Shelf:
    """What is shown before anything was trained."""
    songs = blocked.left_out_of(Song.objects.for_cards()).most_popular()[:SHELF_LENGTH]
    cards = tuple(Card(song, "", {}) for song in songs)
    return _noted_shelf(listener, Shelf("relevance", shelf_title("relevance"), cards))


def _noted_shelf(listener: Listener, shelf: Shelf, song_id: int = 0) -> Shelf:
    """A shelf of no stored list, noted as shown once a day; its engine answered another question than what this
    listener would like, so nobody's shares are in it and nobody is credited."""
    items = tuple(StoredItem(card.song.pk, card.reason, card.shares) for card in shelf.cards)
    list_id = f"{shelf.name}-{song_id}-{timezone.localdate()}"
    made_now = StoredLists(list_id, timezone.now(), 0, {shelf.name: items})
    noted = note_shown(listener=listener, lists=made_now, shown={shelf.name: items})
    cards = (replace(card, impression_id=noted[shelf.name, card.song.pk]) for card in shelf.cards)
    return replace(shelf, cards=tuple(cards))
