"""The four tables as arrays: songs, users, history and ratings, validated once at the door.

Ids are whatever the caller uses (database integers, file strings). Inside the engine room a song is
its row in `SongTable`, a listener its row in `UserTable`; `Tables.song_rows` and
`Tables.listener_rows` are the only places where an id becomes a row, `Tables.song_ids` turns rows back.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from quasimusic.exceptions import (
    ColumnIgnored,
    ColumnMissing,
    RowRejected,
    RowWithoutFeatures,
    TableNeeded,
    UnknownListener,
    UnknownSong,
)

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Texts = NDArray[np.object_]

LIST_SEPARATOR = "|"
SONG_TEXTS = ("title", "artist", "album", "genre", "tags", "country")
NAMES = ("song_id", "title", "artist", "album")
NOT_CONTENT = ("popularity",)  # says who listens, not how it sounds


@dataclass(frozen=True, eq=False)
class SongTable:
    """Songs and what is known of them.

    ids : Index (n,), unique.
    titles : object (n,), "" where unknown.
    artists, genres, countries : int64 (n,), codes into the `*_names` Index, -1 where unknown.
    tags : CSR float64 (n, t) of 0/1, columns named by `tag_names`.
    numeric : float64 (n, f), NaN where unknown, columns named by `numeric_names`
        (year, popularity, duration_ms and every audio feature the table came with).
    """

    ids: pd.Index
    titles: Texts
    artists: Rows
    artist_names: pd.Index
    genres: Rows
    genre_names: pd.Index
    countries: Rows
    country_names: pd.Index
    tags: sparse.csr_array
    tag_names: pd.Index
    numeric: Floats
    numeric_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def column(self, name: str) -> Floats:
        """One numeric column, float64 (n,). Raises ColumnMissing naming those there are."""
        if name not in self.numeric_names:
            there_are = ", ".join(self.numeric_names) or "none"
            raise ColumnMissing(f"songs have no numeric column {name!r}; they have {there_are}")
        values: Floats = self.numeric[:, self.numeric_names.index(name)]
        return values

    @cached_property
    def has_content(self) -> NDArray[np.bool_]:
        """Whether anything is known of how a song sounds (a feature, its genre, a tag), bool (n,)."""
        features = [i for i, name in enumerate(self.numeric_names) if name not in NOT_CONTENT]
        described = (self.genres >= 0) | (self.tags.sum(axis=1) > 0)
        known: NDArray[np.bool_] = described | np.isfinite(self.numeric[:, features]).any(axis=1)
        return known


@dataclass(frozen=True, eq=False)
class UserTable:
    """Listeners: `ids` Index (m,), `countries` object (m,) with "" where unknown, and what they
    picked at sign-up: `genres` and `songs`, object (m,) of tuples of genre names and of rows in the
    song table. What they want no more of likewise: `blocked_songs`, object (m,) of tuples of rows,
    `blocked_artists` and `blocked_genres` of tuples of names."""

    ids: pd.Index
    countries: Texts
    genres: Texts
    songs: Texts
    blocked_songs: Texts
    blocked_artists: Texts
    blocked_genres: Texts

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class HistoryTable:
    """Plays counted, one entry a (listener, song): rows int64 (p,), repetition float64 (p,) >= 1,
    last_played_at datetime64[ns] (p,), NaT where unknown."""

    listener_rows: Rows
    song_rows: Rows
    repetition: Floats
    last_played_at: NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.song_rows)


@dataclass(frozen=True, eq=False)
class RatingTable:
    """Ratings, one entry a (listener, song): rows int64 (p,), rating float64 (p,) in 1..5,
    rated_at datetime64[ns] (p,), NaT where unknown."""

    listener_rows: Rows
    song_rows: Rows
    rating: Floats
    rated_at: NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.song_rows)


@dataclass(frozen=True, eq=False)
class Tables:
    """The four tables on one set of rows. Empty tables stand for absent ones."""

    songs: SongTable
    users: UserTable
    history: HistoryTable
    ratings: RatingTable

    @classmethod
    def from_frames(
        cls,
        songs: pd.DataFrame | None = None,
        history: pd.DataFrame | None = None,
        ratings: pd.DataFrame | None = None,
        users: pd.DataFrame | None = None,
    ) -> Self:
        """Tables from data frames with the columns of the dataset files (docs/engines.md).

        Ids are whole numbers or text, lists (tags; genres and songs picked) are joined by "|".
        Absent songs or users are taken from the ids that history and ratings name.
        Raises ColumnMissing, RowRejected (a duplicate, a rating outside 1..5, a repetition under 1,
        an infinite feature, a time that is none, an id absent or not in the songs table).
        Warns ColumnIgnored, RowWithoutFeatures.
        """
        for name, frame, needed in (
            ("history", history, ("user_id", "song_id", "repetition")),
            ("ratings", ratings, ("user_id", "song_id", "rating")),
            ("songs", songs, ("song_id",)),
            ("users", users, ("user_id",)),
        ):
            _require_columns(name, frame, needed)
        events = {"history": history, "ratings": ratings}
        song_table = _song_table(pd.DataFrame({"song_id": _every_id("song_id", events)}) if songs is None else songs)
        # Listeners known by their events alone come after those the users table names.
        listener_ids = _every_id("user_id", {"users": users, **events})
        user_table = _user_table(listener_ids, users, song_table.ids)
        ids = song_table.ids, user_table.ids
        return cls(
            songs=song_table,
            users=user_table,
            history=HistoryTable(*_events("history", history, "repetition", "last_played_at", *ids)),
            ratings=RatingTable(*_events("ratings", ratings, "rating", "rated_at", *ids)),
        )

    @property
    def n_listeners(self) -> int:
        return len(self.users)

    @property
    def n_songs(self) -> int:
        return len(self.songs)

    def song_rows(self, song_ids: Iterable[Any]) -> Rows:
        """Rows of these songs, int64. Raises UnknownSong naming the first that is not there."""
        return _lookup(self.songs.ids, song_ids, UnknownSong, "song")

    def listener_rows(self, listener_ids: Iterable[Any]) -> Rows:
        """Rows of these listeners, int64. Raises UnknownListener naming the first that is not there."""
        return _lookup(self.users.ids, listener_ids, UnknownListener, "listener")

    def song_ids(self, song_rows: Rows) -> NDArray[Any]:
        """Ids of these songs, of the shape and in the order of the rows; -1, which is no song's row, stays -1."""
        return self._ids_and_none[song_rows]

    @cached_property
    def _ids_and_none(self) -> NDArray[Any]:
        """The ids of all songs and, last, where the row -1 finds it, -1."""
        ids = self.songs.ids.to_numpy()
        return np.append(ids, np.array([-1], dtype=ids.dtype if ids.dtype.kind == "i" else object))

    def require(self, engine: str, *names: str) -> None:
        """Raise TableNeeded unless each of the named tables ('history', 'ratings', ...) has rows."""
        for name in names:
            if not len(getattr(self, name)):
                raise TableNeeded(f"{engine} learns from {name}, and the {name} table is absent or empty")

    @cached_property
    def repetitions(self) -> sparse.csr_array:
        """Repetition of each (listener, song), CSR float64 (n_listeners, n_songs)."""
        return self._matrix(self.history.listener_rows, self.history.song_rows, self.history.repetition)

    @cached_property
    def rating_matrix(self) -> sparse.csr_array:
        """Rating of each (listener, song), CSR float64 (n_listeners, n_songs)."""
        return self._matrix(self.ratings.listener_rows, self.ratings.song_rows, self.ratings.rating)

    @cached_property
    def known(self) -> sparse.csr_array:
        """1 where a listener has played or rated the song, CSR float64 (n_listeners, n_songs)."""
        return sparse.csr_array((self.repetitions + self.rating_matrix) > 0, dtype=np.float64)

    @cached_property
    def picked(self) -> sparse.csr_array:
        """1 where a listener picked the song at sign-up, CSR float64 (n_listeners, n_songs)."""
        picks = pd.Series(self.users.songs).explode().dropna()
        picked = self._matrix(picks.index.to_numpy(), picks.to_numpy(dtype=np.int64), np.ones(len(picks)))
        picked.data[:] = 1.0  # a song picked twice is picked
        return picked

    @cached_property
    def familiar(self) -> sparse.csr_array:
        """1 where there is no need to recommend the song: known or picked, CSR float64 (n_listeners, n_songs)."""
        return sparse.csr_array((self.known + self.picked) > 0, dtype=np.float64)

    def blocked(self, listener_rows: Rows) -> sparse.csr_array:
        """1 where these listeners want no more of the song, its artist or its genre, CSR float64 (m, n_songs)."""
        things = self._blocked_things[listener_rows]
        if not things.nnz:
            return sparse.csr_array((len(listener_rows), self.n_songs))
        return sparse.csr_array((things @ self._songs_of_things) > 0, dtype=np.float64)

    @cached_property
    def _blocked_things(self) -> sparse.csr_array:
        """1 where a listener blocked a thing, CSR float64 (n_listeners, things): songs, then artists, then genres."""
        songs = pd.Series(self.users.blocked_songs).explode().dropna()
        artists = pd.Series(self.users.blocked_artists).explode().dropna()
        genres = pd.Series(self.users.blocked_genres).explode().dropna()
        artist_codes = self.songs.artist_names.get_indexer(pd.Index(artists))
        genre_codes = self.songs.genre_names.get_indexer(pd.Index(genres))
        first_genre = self.n_songs + len(self.songs.artist_names)
        rows = np.concatenate([songs.index, artists.index[artist_codes >= 0], genres.index[genre_codes >= 0]])
        columns = np.concatenate(
            [songs, artist_codes[artist_codes >= 0] + self.n_songs, genre_codes[genre_codes >= 0] + first_genre]
        )
        shape = (self.n_listeners, first_genre + len(self.songs.genre_names))
        ones = np.ones(len(rows))
        return sparse.csr_array((ones, (rows.astype(np.int64), columns.astype(np.int64))), shape=shape)

    @cached_property
    def _songs_of_things(self) -> sparse.csr_array:
        """1 where a song is the thing, by the artist or of the genre, CSR float64 (things, n_songs)."""
        song_rows = np.arange(self.n_songs)
        with_artist, with_genre = np.flatnonzero(self.songs.artists >= 0), np.flatnonzero(self.songs.genres >= 0)
        first_genre = self.n_songs + len(self.songs.artist_names)
        artists, genres = self.songs.artists[with_artist] + self.n_songs, self.songs.genres[with_genre] + first_genre
        things, songs = (
            np.concatenate([song_rows, artists, genres]),
            np.concatenate([song_rows, with_artist, with_genre]),
        )
        shape = (first_genre + len(self.songs.genre_names), self.n_songs)
        return sparse.csr_array((np.ones(len(songs)), (things, songs)), shape=shape)

    def _matrix(self, rows: Rows, columns: Rows, values: Floats) -> sparse.csr_array:
        return sparse.csr_array((values, (rows, columns)), shape=(self.n_listeners, self.n_songs))


def id_array(ids: pd.Index) -> NDArray[Any]:
    """Ids as an array that can be stored without pickle: int64, or text of fixed width."""
    return ids.to_numpy(dtype=np.int64 if ids.dtype.kind == "i" else np.str_)


def _require_columns(table: str, frame: pd.DataFrame | None, needed: Sequence[str]) -> None:
    if frame is None:
        return
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise ColumnMissing(f"{table}: no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}")


def _ids(table: str, frame: pd.DataFrame, column: str) -> pd.Index:
    """The ids of a column: int64 where all are whole numbers, else text."""
    values = frame[column]
    absent = values.isna().to_numpy()
    if absent.any():
        raise RowRejected(f"{table}: row {int(np.argmax(absent))} has no {column}")
    if len(values) and (pd.api.types.is_bool_dtype(values) or pd.api.types.is_float_dtype(values)):
        raise RowRejected(f"{table}: row 0 has {column} {values.tolist()[0]!r}; ids are whole numbers or text")
    whole = values.empty or pd.api.types.is_integer_dtype(values)
    ids: pd.Index = pd.Index(values.astype(np.int64 if whole else str), name=column)
    return ids


def _unique_ids(table: str, frame: pd.DataFrame, column: str) -> pd.Index:
    ids = _ids(table, frame, column)
    if not ids.is_unique:
        raise RowRejected(f"{table}: {column} {ids[ids.duplicated()].tolist()[0]!r} stands twice")
    return ids


def _every_id(column: str, frames: Mapping[str, pd.DataFrame | None]) -> pd.Index:
    """The distinct ids that the frames name, in order of appearance."""
    parts = [_ids(table, frame, column) for table, frame in frames.items() if frame is not None and len(frame)]
    if len({part.dtype for part in parts}) > 1:
        raise RowRejected(f"{', '.join(frames)}: {column} is a whole number in one table and text in another")
    every: pd.Index = parts[0].append(parts[1:]) if parts else pd.Index([], dtype=np.int64)
    return every.drop_duplicates()


def _texts(frame: pd.DataFrame, column: str) -> Texts:
    if column not in frame.columns:
        return np.full(len(frame), "", dtype=object)
    return np.array(["" if pd.isna(value) else str(value) for value in frame[column]], dtype=object)


def _codes(values: Texts) -> tuple[Rows, pd.Index]:
    known = np.array([value or None for value in values], dtype=object)
    codes, names = pd.factorize(known, sort=True)
    return codes.astype(np.int64), pd.Index(names)


def _lists(frame: pd.DataFrame, column: str) -> Texts:
    return tuples([part for part in text.split(LIST_SEPARATOR) if part] for text in _texts(frame, column))


def tuples(lists: Iterable[Iterable[Any]]) -> Texts:
    """Lists as an array of tuples, object (n,)."""
    # By way of a Series: numpy would make a matrix of tuples that happen to be of one length.
    return pd.Series([tuple(values) for values in lists], dtype=object).to_numpy()


def _tag_matrix(lists: Texts) -> tuple[sparse.csr_array, pd.Index]:
    names = pd.Index(sorted({tag for tags in lists for tag in tags}))
    rows = np.repeat(np.arange(len(lists)), [len(set(tags)) for tags in lists])
    columns = names.get_indexer([tag for tags in lists for tag in sorted(set(tags))])
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(lists), len(names))), names


def _numeric(frame: pd.DataFrame) -> tuple[Floats, tuple[str, ...]]:
    candidates = [name for name in frame.columns if name not in (*SONG_TEXTS, "song_id")]
    # A column with nothing in it has no type to judge by: it stays, unknown throughout.
    names = [name for name in candidates if pd.api.types.is_numeric_dtype(frame[name]) or frame[name].isna().all()]
    ignored = [str(name) for name in candidates if name not in names]
    if ignored:
        warnings.warn(ColumnIgnored(f"songs: not numeric, left out: {', '.join(ignored)}"), stacklevel=4)
    values = frame[names].to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise RowRejected(f"songs: row {row} has an infinite {names[column]}")
    return values, tuple(map(str, names))


def _song_table(frame: pd.DataFrame) -> SongTable:
    ids = _unique_ids("songs", frame, "song_id")
    numeric, numeric_names = _numeric(frame)
    tags, tag_names = _tag_matrix(_lists(frame, "tags"))
    artists, artist_names = _codes(_texts(frame, "artist"))
    genres, genre_names = _codes(_texts(frame, "genre"))
    countries, country_names = _codes(_texts(frame, "country"))
    table = SongTable(
        ids=ids,
        titles=_texts(frame, "title"),
        artists=artists,
        artist_names=artist_names,
        genres=genres,
        genre_names=genre_names,
        countries=countries,
        country_names=country_names,
        tags=tags,
        tag_names=tag_names,
        numeric=numeric,
        numeric_names=numeric_names,
    )
    n_bare = int((~table.has_content).sum())
    # A table that promises no feature has none to miss.
    if n_bare and len(frame.columns.difference([*NAMES, *NOT_CONTENT])):
        warnings.warn(RowWithoutFeatures(f"songs: {n_bare} of {len(ids)} have no feature at all"), stacklevel=3)
    return table


def _user_table(ids: pd.Index, users: pd.DataFrame | None, song_ids: pd.Index) -> UserTable:
    named = pd.DataFrame({"user_id": []}) if users is None else users
    frame = named.set_axis(_unique_ids("users", named, "user_id")).reindex(ids)
    return UserTable(
        ids=ids,
        countries=_texts(frame, "country"),
        genres=_lists(frame, "genres"),
        songs=_listed_songs(frame, "songs", "picked", song_ids),
        blocked_songs=_listed_songs(frame, "blocked_songs", "blocked", song_ids),
        blocked_artists=_lists(frame, "blocked_artists"),
        blocked_genres=_lists(frame, "blocked_genres"),
    )


def _listed_songs(users: pd.DataFrame, column: str, done: str, song_ids: pd.Index) -> Texts:
    """Rows of the songs that a column lists for each listener. `done` says what the listener did with them."""
    picks = _lists(users, column)
    flat = pd.Series(picks).explode().dropna()
    rows = pd.Index(song_ids.astype(str)).get_indexer(pd.Index(flat))
    if (rows < 0).any():
        first = int(np.argmax(rows < 0))
        listener = users.index.tolist()[flat.index[first]]
        raise RowRejected(f"users: {listener!r} {done} song {flat.iloc[first]!r}, which the songs table lacks")
    ends = np.cumsum([len(songs) for songs in picks])
    return tuples(rows[end - len(songs) : end].tolist() for songs, end in zip(picks, ends, strict=True))


def _events(
    table: str, frame: pd.DataFrame | None, value: str, moment: str, songs: pd.Index, listeners: pd.Index
) -> tuple[Rows, Rows, Floats, NDArray[np.datetime64]]:
    """Listener rows, song rows, values and moments of the history or the ratings, validated."""
    if frame is None:
        empty = np.empty(0, dtype=np.int64)
        return empty, empty, np.empty(0), np.empty(0, dtype="datetime64[ns]")
    listener_rows = listeners.get_indexer(_ids(table, frame, "user_id")).astype(np.int64)
    song_rows = songs.get_indexer(_ids(table, frame, "song_id")).astype(np.int64)
    _refuse(table, frame, song_rows < 0, "song_id", "which the songs table lacks")
    twice = pd.DataFrame({"listener": listener_rows, "song": song_rows}).duplicated().to_numpy()
    _refuse(table, frame, twice, "song_id", "which this listener has in an earlier row already")
    least, most = (1.0, 5.0) if value == "rating" else (1.0, np.finfo(np.float64).max)
    values = pd.to_numeric(frame[value], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    upper = "5" if value == "rating" else "any finite number"
    _refuse(table, frame, ~((values >= least) & (values <= most)), value, f"not a number from 1 to {upper}")
    return listener_rows, song_rows, values, _moments(table, frame, moment)


def _moments(table: str, frame: pd.DataFrame, column: str) -> NDArray[np.datetime64]:
    if column not in frame.columns:
        return np.full(len(frame), np.datetime64("NaT", "ns"))
    moments = pd.to_datetime(frame[column], utc=True, errors="coerce", format="ISO8601")
    _refuse(table, frame, (moments.isna() & frame[column].notna()).to_numpy(), column, "not a time (ISO 8601)")
    return pd.DatetimeIndex(moments).tz_localize(None).to_numpy(dtype="datetime64[ns]")


def _refuse(table: str, frame: pd.DataFrame, wrong: NDArray[np.bool_], column: str, why: str) -> None:
    """Raise RowRejected naming the first row that is wrong, if one is."""
    if wrong.any():
        row = int(np.argmax(wrong))
        raise RowRejected(f"{table}: row {row} has {column} {frame[column].tolist()[row]!r}, {why}")


def _lookup(index: pd.Index, ids: Iterable[Any], fault: type[Exception], word: str) -> Rows:
    wanted = pd.Index(list(ids), tupleize_cols=False)
    rows = index.get_indexer(wanted).astype(np.int64)
    if (rows < 0).any():
        raise fault(f"no {word} {wanted.tolist()[int(np.argmax(rows < 0))]!r} in the tables")
    return rows
