"""A planned world into the database, whole or not at all."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from django.db import transaction
from django.db.models import Model

from accounts.services import ImportedListener, listener_ids, save_listeners, taken_usernames
from catalog.models import Album, Artist, Genre, Song, fold
from catalog.services import ensure_albums, ensure_artists, ensure_genres, song_ids
from listening.models import History, Pick, Play, Rating
from listening.world.catalogue import Catalogue
from listening.world.people import People
from listening.world.plan import World
from quasimusic.exceptions import DatabaseFault

BATCH = 2000  # rows made at once
SOURCES = (Play.Source.SEARCH, Play.Source.ARTIST, Play.Source.GENRE, Play.Source.ALBUM, Play.Source.SONG)

T = TypeVar("T")
Ids = list[int]  # database ids by row


def write_world(*, world: World, until: datetime) -> bool:
    """Write a world whose days end at `until`; False where this very world is there already.

    Raises DatabaseFault where the catalogue holds other songs, or a username is taken.
    """
    if Song.objects.filter(source_id=_source_id(world, 0)).exists():
        return False
    if Song.objects.exists():
        raise DatabaseFault("The catalogue already holds other songs. A world is made in an empty catalogue only.")
    with transaction.atomic():
        songs, genres = _write_catalogue(world)
        listeners = _write_people(world)
        _write_picks(world, listeners, genres, until)
        _write_plays(world, listeners, songs, until)
        _write_history(world, listeners, songs, until)
        _write_ratings(world, listeners, songs, until)
    return True


def _source_id(world: World, row: int) -> str:
    return f"{world.name}/{row}"


def _write_catalogue(world: World) -> tuple[Ids, Ids]:
    catalogue = world.catalogue
    found = ensure_genres(names=catalogue.genre_names)
    genres = [found[name] for name in catalogue.genre_names]
    artists = _artists(catalogue)
    albums = _albums(catalogue, artists)
    _write(Song, (_song(world, row, artists, albums, genres) for row in range(len(catalogue))))
    return _ids(world, len(catalogue), song_ids), [genre.pk for genre in genres]


def _artists(catalogue: Catalogue) -> list[Artist]:
    artists = []
    for batch in _batches(zip(catalogue.artist_names, catalogue.artist_countries.tolist(), strict=True)):
        found = ensure_artists(names=[name for name, _country in batch])
        for name, country in batch:
            found[name].country = country
            artists.append(found[name])
        Artist.objects.bulk_update(found.values(), ["country"], batch_size=200)
    return artists


def _albums(catalogue: Catalogue, artists: list[Artist]) -> list[Album]:
    albums = []
    makers = (artists[row] for row in catalogue.album_artists)
    for batch in _batches(zip(catalogue.album_titles, makers, catalogue.album_years.tolist(), strict=True)):
        found = ensure_albums(keys=[(title, maker) for title, maker, _year in batch])
        for title, maker, year in batch:
            found[title, maker.pk].year = year
            albums.append(found[title, maker.pk])
        Album.objects.bulk_update(found.values(), ["year"], batch_size=200)
    return albums


def _song(world: World, row: int, artists: list[Artist], albums: list[Album], genres: list[Genre]) -> Song:
    catalogue = world.catalogue
    album = catalogue.song_albums[row]
    song = Song(
        source_id=_source_id(world, row),
        title=catalogue.song_titles[row],
        artist=artists[catalogue.song_artists[row]],
        album=albums[album] if album >= 0 else None,
        genre=genres[catalogue.song_genres[row]],
        tags=catalogue.song_tags[row],
        year=int(catalogue.years[row]),
        duration_ms=int(catalogue.durations_ms[row]),
        popularity=float(catalogue.popularity[row]),
        **{name: _plain(values[row]) for name, values in catalogue.features.items()},
    )
    song.search_text = fold(song.searched())
    return song


def _plain(value: float) -> float | int:
    """A feature as its column takes it: whole numbers for key, mode and beats."""
    return int(value) if float(value).is_integer() else float(value)


def _write_people(world: World) -> Ids:
    people = world.people
    imported = (
        ImportedListener(_source_id(world, row), username, country, people.names[row])
        for row, (username, country) in enumerate(zip(_usernames(people), people.countries.tolist(), strict=True))
    )
    for batch in _batches(imported):
        taken = taken_usernames(usernames={one.source_id: one.username for one in batch})
        if taken:
            raise DatabaseFault(f"Usernames of this world are taken: {', '.join(sorted(taken))}. Choose another seed.")
        save_listeners(imported=batch)
    return _ids(world, len(people), listener_ids)


def _usernames(people: People) -> list[str]:
    """ "Zoë Marlander 2" -> "zoe.marlander.2": people's names differ, and so do these."""
    return [fold(name).replace(" ", ".") for name in people.names]


def _write_picks(world: World, listeners: Ids, genres: Ids, until: datetime) -> None:
    at = until - timedelta(days=world.days)
    loved = zip(*world.genre_tastes.nonzero(), strict=True)
    _write(Pick, (Pick(listener_id=listeners[who], genre_id=genres[genre], picked_at=at) for who, genre in loved))


def _write_plays(world: World, listeners: Ids, songs: Ids, until: datetime) -> None:
    plays, counted = world.plays, world.plays.counted
    _write(
        Play,
        (
            Play(
                listener_id=listeners[plays.listeners[row]],
                song_id=songs[plays.songs[row]],
                key=uuid.uuid5(uuid.NAMESPACE_URL, _source_id(world, row)),
                started_at=until - timedelta(seconds=float(plays.seconds_ago[row])),
                seconds_heard=float(plays.seconds_heard[row]),
                counted=bool(counted[row]),
                source=SOURCES[row % len(SOURCES)],
            )
            for row in range(len(plays))
        ),
    )


def _write_history(world: World, listeners: Ids, songs: Ids, until: datetime) -> None:
    history = world.history
    _write(
        History,
        (
            History(
                listener_id=listeners[history.listeners[row]],
                song_id=songs[history.songs[row]],
                repetition=int(history.repetition[row]),
                last_played_at=until - timedelta(seconds=float(history.seconds_ago[row])),
            )
            for row in range(len(history))
        ),
    )


def _write_ratings(world: World, listeners: Ids, songs: Ids, until: datetime) -> None:
    ratings = world.ratings
    _write(
        Rating,
        (
            Rating(
                listener_id=listeners[ratings.listeners[row]],
                song_id=songs[ratings.songs[row]],
                rating=int(ratings.ratings[row]),
                rated_at=until - timedelta(seconds=float(ratings.seconds_ago[row])),
            )
            for row in range(len(ratings))
        ),
    )


def _write(model: type[Model], rows: Iterable[Model]) -> None:
    """Write rows in batches, so that a large world is never held as objects all at once."""
    for batch in _batches(rows):
        model.objects.bulk_create(batch)


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    coming = iter(values)
    while batch := list(islice(coming, BATCH)):
        yield batch


def _ids(world: World, n: int, lookup: Callable[..., dict[str, int]]) -> Ids:
    """Database ids of rows 0 to n - 1, looked up by source id."""
    source_ids = [_source_id(world, row) for row in range(n)]
    found: dict[str, int] = {}
    for batch in _batches(source_ids):
        found |= lookup(source_ids=batch)
    return [found[source_id] for source_id in source_ids]
