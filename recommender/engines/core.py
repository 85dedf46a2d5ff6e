"""The dense part of the tables, by which methods are often compared: everybody and everything with enough to go by."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quasimusic.exceptions import ParameterOutOfRange, TableNeeded
from recommender.engines.tables import Rows, SongTable, Tables, Texts, UserTable, tuples

Marks = NDArray[np.bool_]


def core(tables: Tables, n: int) -> Tables:
    """The n-core over songs with content: each listener left knows n of the songs left or more, each song left is known
    to n of the listeners left or more, and no larger part of the tables is like that.

    Source: Seidman, "Network structure and minimum degree" (1983).
    Raises ParameterOutOfRange (n < 1), TableNeeded where nothing is left.
    """
    if n < 1:
        raise ParameterOutOfRange(f"the core is of {n}; it must be a whole number from 1")
    listener_rows, song_rows = tables.known.tocoo().coords
    there = tables.songs.has_content[song_rows]
    while True:
        n_known = np.bincount(listener_rows[there], minlength=tables.n_listeners)
        n_knowing = np.bincount(song_rows[there], minlength=tables.n_songs)
        rich = there & (n_known[listener_rows] >= n) & (n_knowing[song_rows] >= n)
        if rich.sum() == there.sum():
            break
        there = rich
    if not there.any():
        raise TableNeeded(f"the {n}-core is empty: no {n} listeners know {n} songs with content each")
    return restricted(tables, n_known > 0, n_knowing > 0)


def restricted(tables: Tables, listeners: Marks, songs: Marks) -> Tables:
    """The tables of these listeners and songs alone, as if there had never been others.

    listeners : bool (n_listeners,). songs : bool (n_songs,).
    """
    listener_rows, song_rows = _new_rows(listeners), _new_rows(songs)
    history, ratings = tables.history, tables.ratings
    played = listeners[history.listener_rows] & songs[history.song_rows]
    rated = listeners[ratings.listener_rows] & songs[ratings.song_rows]
    return Tables(
        songs=_songs(tables.songs, songs),
        users=_users(tables.users, listeners, song_rows),
        history=replace(
            history,
            listener_rows=listener_rows[history.listener_rows[played]],
            song_rows=song_rows[history.song_rows[played]],
            repetition=history.repetition[played],
            last_played_at=history.last_played_at[played],
        ),
        ratings=replace(
            ratings,
            listener_rows=listener_rows[ratings.listener_rows[rated]],
            song_rows=song_rows[ratings.song_rows[rated]],
            rating=ratings.rating[rated],
            rated_at=ratings.rated_at[rated],
        ),
    )


def _new_rows(kept: Marks) -> Rows:
    """The row each has among those kept, int64, -1 where it is not."""
    return np.where(kept, np.cumsum(kept) - 1, -1)


def _songs(songs: SongTable, kept: Marks) -> SongTable:
    artists, artist_names = _codes(songs.artists[kept], songs.artist_names)
    genres, genre_names = _codes(songs.genres[kept], songs.genre_names)
    countries, country_names = _codes(songs.countries[kept], songs.country_names)
    tags = songs.tags[kept]
    used = tags.sum(axis=0) > 0
    return SongTable(
        ids=songs.ids[kept],
        titles=songs.titles[kept],
        artists=artists,
        artist_names=artist_names,
        genres=genres,
        genre_names=genre_names,
        countries=countries,
        country_names=country_names,
        tags=tags[:, used],
        tag_names=songs.tag_names[used],
        numeric=songs.numeric[kept],
        numeric_names=songs.numeric_names,
    )


def _codes(codes: Rows, names: pd.Index) -> tuple[Rows, pd.Index]:
    """Codes and names without the names that no code stands for."""
    used = np.bincount(codes[codes >= 0], minlength=len(names)) > 0
    return np.append(_new_rows(used), -1)[codes], names[used]


def _users(users: UserTable, kept: Marks, song_rows: Rows) -> UserTable:
    return UserTable(
        ids=users.ids[kept],
        countries=users.countries[kept],
        genres=users.genres[kept],
        songs=_relaid(users.songs[kept], song_rows),
        blocked_songs=_relaid(users.blocked_songs[kept], song_rows),
        blocked_artists=users.blocked_artists[kept],
        blocked_genres=users.blocked_genres[kept],
    )


def _relaid(lists: Texts, song_rows: Rows) -> Texts:
    """Lists of song rows by the new rows, without the songs that are gone."""
    return tuples((int(song_rows[row]) for row in listed if song_rows[row] >= 0) for listed in lists)
