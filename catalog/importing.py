"""Songs from a file into the catalogue: new ones made, known ones brought up to date, nothing else touched."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from catalog.columns import Column, number, text, words
from catalog.features import FACTS, FEATURES
from catalog.models import Album, Artist, Genre, Song, fold
from catalog.reading import header_of, stage
from catalog.services import AlbumKey, ensure_albums, ensure_artists, ensure_genres
from catalog.staging import SILENT, Bar, Row
from quasimusic.exceptions import RowWithoutFeatures

NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
MODES = ("minor", "major")
NUMBERS = {**FACTS, **FEATURES}
LONGEST_TAG = 100
NO_CONTENT = {"song_id", "title", "artist", "album", "popularity"}  # says nothing of how a song sounds

WRITTEN = ("title", "artist", "album", "genre", "tags", *NUMBERS, "other_features", "search_text")


@dataclass
class Outcome:
    """What an import did to the rows of one kind."""

    name: str
    new: int = 0
    changed: int = 0
    unchanged: int = 0

    def __str__(self) -> str:
        return f"{self.name}: {self.new} new, {self.changed} changed, {self.unchanged} unchanged"


def longest(model: type, name: str) -> int:
    """How many signs a model's text column takes."""
    return model._meta.get_field(name).max_length


SONG_COLUMNS = (
    Column("song_id", text(longest(Song, "source_id")), required=True, filled=True),
    Column("title", text(longest(Song, "title")), required=True),
    Column("artist", text(longest(Artist, "name")), required=True),
    Column("album", text(longest(Album, "title"))),
    Column("genre", text(longest(Genre, "name"))),
    Column("tags", words(LONGEST_TAG)),
    *(Column(name, number(feature)) for name, feature in NUMBERS.items()),
)


def _pitch_class(value: str) -> int:
    if value not in NOTES:
        raise ValueError(f"it must be a note: {', '.join(NOTES)}, or blank where unknown")
    return NOTES.index(value)


def _mode(value: str) -> int:
    if value.lower() not in MODES:
        raise ValueError("it must be Major or Minor, or blank where unknown")
    return MODES.index(value.lower())


def _beats(value: str) -> int:
    return number(FEATURES["time_signature"])(value.split("/")[0])


_SPOTIFY_OWN = (
    Column("track_id", text(longest(Song, "source_id")), required=True, filled=True, field="song_id"),
    Column("track_name", text(longest(Song, "title")), required=True, field="title"),
    Column("artist_name", text(longest(Artist, "name")), required=True, field="artist"),
    Column("key", _pitch_class),
    Column("mode", _mode),
    Column("time_signature", _beats),
)
SPOTIFY_COLUMNS = (
    *_SPOTIFY_OWN,
    *(
        column
        for column in SONG_COLUMNS
        if column.name not in {name for own in _SPOTIFY_OWN for name in (own.name, own.field)}
    ),
)
SPOTIFY_MARKS = {column.name for column in SPOTIFY_COLUMNS if column.required}


def is_spotify_file(path: Path) -> bool:
    """Whether the header is that of SpotifyFeatures.csv, where a track stands once for each of its genres."""
    return set(header_of(path)) >= SPOTIFY_MARKS


def _with_further_genre(row: Row, further: Row) -> Row:
    """The first genre stays the song's; others become tags."""
    genre = further.get("genre")
    tags = row.get("tags", [])
    if genre and genre != row.get("genre") and genre not in tags:
        row["tags"] = [*tags, genre]
    return row


def import_songs(*, path: Path, bar: Bar = SILENT) -> Outcome:
    """Songs of one file, all or none. A blank cell says nothing: what the catalogue knows stays.

    Raises TableFault and its kind. Warns ColumnIgnored, RowWithoutFeatures.
    """
    from_spotify = is_spotify_file(path)
    columns, merge = (SPOTIFY_COLUMNS, _with_further_genre) if from_spotify else (SONG_COLUMNS, None)
    outcome = Outcome("songs")
    n_bare = 0
    keeping = stage(path, columns, key=["song_id"], keep_numbers=True, merge=merge, bar=bar)
    with keeping as staged, transaction.atomic():
        for chunk in staged.chunks():
            songs = _write_songs([row for _line, row in chunk], outcome)
            n_bare += sum(not _has_content(song) for song in songs)
    if n_bare and set(staged.header) - NO_CONTENT:  # a file that promises no feature has none to miss
        warnings.warn(
            RowWithoutFeatures(f"{path.name}: {n_bare} of {staged.n_rows} songs have no feature at all"), stacklevel=2
        )
    return outcome


def _has_content(song: Song) -> bool:
    """Whether anything is known of how it sounds."""
    numbers = (getattr(song, name) for name in NUMBERS if name not in NO_CONTENT)
    return bool(song.genre_id or song.tags or song.other_features or any(value is not None for value in numbers))


def _write_songs(rows: list[Row], outcome: Outcome) -> list[Song]:
    """Write what is new or changed; all songs of the rows as they stand then."""
    stored = Song.objects.filter(source_id__in=[row["song_id"] for row in rows]).for_cards()
    known = {song.source_id: song for song in stored}
    songs = _songs(rows, [known.get(row["song_id"]) for row in rows])
    written = [song for song in songs if _differs(song, known.get(song.source_id))]
    n_new = sum(song.source_id not in known for song in songs)
    outcome.new += n_new
    outcome.changed += len(written) - n_new
    outcome.unchanged += len(songs) - len(written)
    Song.objects.bulk_create(written, update_conflicts=True, unique_fields=["source_id"], update_fields=WRITTEN)
    return songs


def _songs(rows: list[Row], known: list[Song | None]) -> list[Song]:
    """The songs of these rows, with artists, genres and albums made where absent."""
    artists = _artists(rows, known)
    genres = ensure_genres(names={row["genre"] for row in rows if "genre" in row})
    albums = ensure_albums(
        keys=[(row["album"], artist) for row, artist in zip(rows, artists, strict=True) if "album" in row]
    )
    return [
        _song(row, before, artist, albums, genres) for row, before, artist in zip(rows, known, artists, strict=True)
    ]


def _artists(rows: list[Row], known: list[Song | None]) -> list[Artist | None]:
    """Each row's artist. An editor may have told two of one name apart: their choice stays."""
    told = [None if _keeps_artist(row, before) else row.get("artist") for row, before in zip(rows, known, strict=True)]
    found = ensure_artists(names={name for name in told if name})
    return [found[name] if name else before and before.artist for name, before in zip(told, known, strict=True)]


def _keeps_artist(row: Row, before: Song | None) -> bool:
    return bool(before and before.artist and row.get("artist") == before.artist.name)


def _differs(song: Song, before: Song | None) -> bool:
    return before is None or any(_value(song, name) != _value(before, name) for name in WRITTEN)


def _song(
    row: Row, before: Song | None, artist: Artist | None, albums: dict[AlbumKey, Album], genres: dict[str, Genre]
) -> Song:
    """The row laid over what the catalogue knows of the song."""
    known = {name: getattr(before, name) for name in WRITTEN} if before else {}
    told = {name: row[name] for name in ("title", "tags", *NUMBERS) if name in row}
    song = Song(source_id=row["song_id"], **{**known, **told})
    song.artist = artist
    song.other_features = {**song.other_features, **row["extras"]}
    if "album" in row:
        song.album = albums[row["album"], artist and artist.pk]
    if "genre" in row:
        song.genre = genres[row["genre"]]
    song.search_text = fold(song.searched())
    return song


def _value(song: Song, name: str) -> object:
    return getattr(song, Song._meta.get_field(name).attname)
