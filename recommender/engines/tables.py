"""The four tables as arrays: songs, users, history and ratings, validated once at the door.

Ids are whatever the caller uses (database integers, file strings). Inside the engine room a song is
its row in `SongTable`, a listener its row in `UserTable`; `Tables.song_rows` and
`Tables.listener_rows` are the only places where an id becomes a row.
"""

import warnings
from collections.abc import Iterable, Sequence
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
USER_TEXTS = ("username", "country", "genres", "songs")


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
            raise ColumnMissing(f"songs have no numeric column {name!r}; they have {', '.join(self.numeric_names) or 'none'}")
        return self.numeric[:, self.numeric_names.index(name)]


@dataclass(frozen=True, eq=False)
class UserTable:
    """Listeners: `ids` Index (m,), `countries` object (m,) with "" where unknown, and what they
    picked at sign-up: `genres` and `songs`, object (m,) of tuples of genre names and song ids."""

    ids: pd.Index
    countries: Texts
    genres: Texts
    songs: Texts

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

        Absent songs or users are taken from the ids that history and ratings name.
        Raises ColumnMissing, RowRejected (a duplicate, a rating outside 1..5, a repetition under 1,
        an infinite feature, an id the songs table lacks). Warns ColumnIgnored, RowWithoutFeatures.
        """
        events = [frame for frame in (history, ratings) if frame is not None]
        for name, frame, needed in (
            ("history", history, ("user_id", "song_id", "repetition")),
            ("ratings", ratings, ("user_id", "song_id", "rating")),
            ("songs", songs, ("song_id",)),
            ("users", users, ("user_id",)),
        ):
            _require_columns(name, frame, needed)
        song_table = _song_table(songs if songs is not None else _ids_frame("song_id", events))
        # Listeners known by their events alone come after those the users table names.
        user_table = _user_table(_ids_frame("user_id", ([] if users is None else [users]) + events), users)
        return cls(
            songs=song_table,
            users=user_table,
            history=HistoryTable(*_events("history", history, "repetition", "last_played_at", song_table.ids, user_table.ids)),
            ratings=RatingTable(*_events("ratings", ratings, "rating", "rated_at", song_table.ids, user_table.ids)),
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
        return ((self.repetitions + self.rating_matrix) > 0).astype(np.float64).tocsr()

    def align(self, song_ids: pd.Index, values: Floats, fill: float = np.nan) -> Floats:
        """Rows of `values` (k, ...) learned for `song_ids` (k,) laid on this table's songs (n, ...).

        Songs that were not there when the values were learned get `fill`.
        """
        assert len(song_ids) == len(values), (len(song_ids), len(values))
        source = song_ids.get_indexer(self.songs.ids)
        aligned = np.full((self.n_songs, *values.shape[1:]), fill, dtype=values.dtype)
        aligned[source >= 0] = values[source[source >= 0]]
        return aligned

    def _matrix(self, rows: Rows, columns: Rows, values: Floats) -> sparse.csr_array:
        return sparse.csr_array((values, (rows, columns)), shape=(self.n_listeners, self.n_songs))


def _require_columns(table: str, frame: pd.DataFrame | None, needed: Sequence[str]) -> None:
    if frame is None:
        return
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise ColumnMissing(f"{table}: no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}")


def _ids_frame(column: str, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    ids = [frame[column] for frame in frames]
    return pd.DataFrame({column: pd.concat(ids).drop_duplicates() if ids else pd.Series(dtype=np.int64)})


def _unique_ids(table: str, frame: pd.DataFrame, column: str) -> pd.Index:
    ids = pd.Index(frame[column])
    if ids.hasnans:
        raise RowRejected(f"{table}: row {int(np.argmax(ids.isna()))} has no {column}")
    if not ids.is_unique:
        raise RowRejected(f"{table}: {column} {ids[ids.duplicated()][0]!r} stands twice")
    return ids


def _texts(frame: pd.DataFrame, column: str) -> Texts:
    if column not in frame.columns:
        return np.full(len(frame), "", dtype=object)
    return np.array(["" if pd.isna(value) else str(value) for value in frame[column]], dtype=object)


def _codes(values: Texts) -> tuple[Rows, pd.Index]:
    known = np.where(values == "", None, values)
    codes, names = pd.factorize(known, sort=True)
    return codes.astype(np.int64), pd.Index(names)


def _lists(frame: pd.DataFrame, column: str) -> Texts:
    lists = np.empty(len(frame), dtype=object)
    for row, text in enumerate(_texts(frame, column)):
        lists[row] = tuple(part for part in text.split(LIST_SEPARATOR) if part)
    return lists


def _tag_matrix(lists: Texts) -> tuple[sparse.csr_array, pd.Index]:
    names = pd.Index(sorted({tag for tags in lists for tag in tags}))
    rows = np.repeat(np.arange(len(lists)), [len(set(tags)) for tags in lists])
    columns = names.get_indexer([tag for tags in lists for tag in sorted(set(tags))])
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(lists), len(names))), names


def _numeric(frame: pd.DataFrame) -> tuple[Floats, tuple[str, ...]]:
    candidates = [name for name in frame.columns if name not in (*SONG_TEXTS, "song_id")]
    names = [str(name) for name in candidates if pd.api.types.is_numeric_dtype(frame[name])]
    ignored = sorted(set(map(str, candidates)) - set(names))
    if ignored:
        warnings.warn(ColumnIgnored(f"songs: not numeric, left out: {', '.join(ignored)}"), stacklevel=4)
    values = frame[names].to_numpy(dtype=np.float64, na_value=np.nan).reshape(len(frame), len(names))
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise RowRejected(f"songs: row {row} has an infinite {names[column]}")
    return values, tuple(names)


def _song_table(frame: pd.DataFrame) -> SongTable:
    ids = _unique_ids("songs", frame, "song_id")
    numeric, numeric_names = _numeric(frame)
    n_bare = int(np.isnan(numeric).all(axis=1).sum()) if numeric_names else 0
    if n_bare:
        warnings.warn(RowWithoutFeatures(f"songs: {n_bare} of {len(ids)} have no numeric feature at all"), stacklevel=3)
    tags, tag_names = _tag_matrix(_lists(frame, "tags"))
    artists, artist_names = _codes(_texts(frame, "artist"))
    genres, genre_names = _codes(_texts(frame, "genre"))
    countries, country_names = _codes(_texts(frame, "country"))
    return SongTable(
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


def _user_table(listeners: pd.DataFrame, users: pd.DataFrame | None) -> UserTable:
    if users is not None:
        _unique_ids("users", users, "user_id")
        frame = listeners.merge(users, on="user_id", how="left")
    else:
        frame = listeners
    return UserTable(
        ids=_unique_ids("users", frame, "user_id"),
        countries=_texts(frame, "country"),
        genres=_lists(frame, "genres"),
        songs=_lists(frame, "songs"),
    )


def _events(
    table: str, frame: pd.DataFrame | None, value: str, moment: str, songs: pd.Index, listeners: pd.Index
) -> tuple[Rows, Rows, Floats, NDArray[np.datetime64]]:
    if frame is None:
        empty = np.empty(0, dtype=np.int64)
        return empty, empty, np.empty(0), np.empty(0, dtype="datetime64[ns]")
    listener_rows = listeners.get_indexer(pd.Index(frame["user_id"])).astype(np.int64)
    song_rows = songs.get_indexer(pd.Index(frame["song_id"])).astype(np.int64)
    values = pd.to_numeric(frame[value], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    least, most = (1.0, 5.0) if value == "rating" else (1.0, np.inf)
    wrong = ~((values >= least) & (values <= most) & np.isfinite(values))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise RowRejected(f"{table}: row {row} has {value} {frame[value].iloc[row]!r}, not a number from {least:g} to {most:g}")
    if (song_rows < 0).any():
        row = int(np.argmax(song_rows < 0))
        raise RowRejected(f"{table}: row {row} names song {frame['song_id'].iloc[row]!r}, which the songs table lacks")
    twice = pd.DataFrame({"listener": listener_rows, "song": song_rows}).duplicated().to_numpy()
    if twice.any():
        row = int(np.argmax(twice))
        raise RowRejected(
            f"{table}: listener {frame['user_id'].iloc[row]!r} and song {frame['song_id'].iloc[row]!r} stand twice"
        )
    moments = pd.to_datetime(frame[moment], utc=True) if moment in frame.columns else pd.Series(pd.NaT, index=frame.index)
    stamps = pd.DatetimeIndex(moments).tz_localize(None).to_numpy(dtype="datetime64[ns]")
    return listener_rows, song_rows, values, stamps


def _lookup(index: pd.Index, ids: Iterable[Any], fault: type[Exception], word: str) -> Rows:
    wanted = pd.Index(list(ids))
    rows = index.get_indexer(wanted).astype(np.int64)
    if (rows < 0).any():
        raise fault(f"no {word} {wanted[int(np.argmax(rows < 0))]!r} in the tables")
    return rows
