"""A data set from its folder into the database: songs, users, history and ratings, each file whole or not at all."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Max, QuerySet
from django.utils import timezone
from django_countries import countries

from accounts.models import Listener
from accounts.services import ImportedListener, listener_ids, save_listeners, taken_usernames
from catalog.columns import Column, moment, number, text, words
from catalog.features import Feature
from catalog.importing import Outcome, import_songs, is_spotify_file, longest
from catalog.models import Genre, Song
from catalog.reading import Faults, stage
from catalog.services import ensure_genres, song_ids
from catalog.staging import SILENT, Bar, Row
from listening.models import History, Pick, Play, Rating
from quasimusic.exceptions import FileRejected

SONGS, USERS, HISTORY, RATINGS = FILES = ("songs.csv", "users.csv", "history.csv", "ratings.csv")
MOST_REPETITIONS = 1_000_000  # nobody plays one song oftener; more is a slip or another unit

Key = tuple[int, int]  # database ids of a listener and a song
NumberedRow = tuple[int, Row]  # with its line in the file

valid_username = UnicodeUsernameValidator()


def _username(value: str) -> str:
    try:
        valid_username(value)
    except ValidationError:
        raise ValueError("a username has letters, digits and @ . + - _ only") from None
    return text(longest(Listener, "username"))(value)


def _country(value: str) -> str:
    code = countries.alpha2(value)
    if not code:
        raise ValueError("it must be a country code of ISO 3166 such as IT, or blank where unknown")
    return code


USER_ID = Column("user_id", text(longest(Listener, "source_id")), required=True, filled=True)
SONG_ID = Column("song_id", text(longest(Song, "source_id")), required=True, filled=True)
USER_COLUMNS = (
    USER_ID,
    Column("username", _username),
    Column("country", _country),
    Column("genres", words(longest(Genre, "name"))),
    Column("songs", words(longest(Song, "source_id"))),
)
REPETITION = Feature("repetition", 1, MOST_REPETITIONS, "How often it was played", whole=True)
RATING = Feature("rating", 1, 5, "How much it is liked", whole=True)
HISTORY_COLUMNS = (
    USER_ID,
    SONG_ID,
    Column("repetition", number(REPETITION, blank=""), required=True, filled=True),
    Column("last_played_at", moment),
)
RATING_COLUMNS = (
    USER_ID,
    SONG_ID,
    Column("rating", number(RATING, blank=""), required=True, filled=True),
    Column("rated_at", moment),
)


def import_dataset(*, folder: Path, bar: Bar = SILENT) -> list[Outcome]:
    """Every file of the folder that is there, in the order in which they lean on each other.

    Raises FileRejected where there is none, TableFault and its kind for a file that is not right; files before
    that one are in. Warns ColumnIgnored, RowWithoutFeatures.
    """
    song_files = _song_files(folder)
    others = {name: folder / name for name in FILES if name != SONGS and (folder / name).exists()}
    if not song_files and not others:
        raise FileRejected(
            f"{folder} holds none of {', '.join(FILES)}, nor a .csv file with the header of SpotifyFeatures.csv"
        )
    outcomes = [import_songs(path=path, bar=bar) for path in song_files]
    people = Outcome("listeners")
    if USERS in others:
        import_users(path=others[USERS], people=people, bar=bar)
    if HISTORY in others:
        outcomes.append(import_history(path=others[HISTORY], people=people, bar=bar))
    if RATINGS in others:
        outcomes.append(import_ratings(path=others[RATINGS], people=people, bar=bar))
    return [*outcomes, people] if others else outcomes


def _song_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileRejected(f"{folder} is no folder; a data set is a folder with {', '.join(FILES)}, or some of them")
    named = folder / SONGS
    others = sorted(path for path in folder.glob("*.csv") if path.name not in FILES and path.is_file())
    return [*([named] if named.exists() else []), *(path for path in others if is_spotify_file(path))]


def import_users(*, path: Path, people: Outcome, bar: Bar = SILENT) -> None:
    """Listeners of one file and what they picked; `people` counts them."""
    faults = Faults(path.name)
    with stage(path, USER_COLUMNS, key=["user_id"], bar=bar) as staged, transaction.atomic():
        for chunk in staged.chunks():
            imported = [_imported(row) for _line, row in chunk]
            _check_usernames(chunk, imported, faults)
            songs = song_ids(source_ids=[source_id for _line, row in chunk for source_id in row.get("songs", ())])
            _check_picks(chunk, songs, faults)
            if not faults:
                n_new, n_changed = save_listeners(imported=imported)
                people.new += n_new
                people.changed += n_changed
                people.unchanged += len(chunk) - n_new - n_changed
                _save_picks([row for _line, row in chunk], songs)
        faults.raise_any()


def _imported(row: Row) -> ImportedListener:
    return ImportedListener(row["user_id"], row.get("username", ""), row.get("country", ""))


def _check_usernames(chunk: Sequence[NumberedRow], imported: Sequence[ImportedListener], faults: Faults) -> None:
    """Whoever is new or renamed needs a username that is valid and free."""
    known = listener_ids(source_ids=[one.source_id for one in imported])
    named = {
        one.source_id: one.username or one.source_id for one in imported if one.username or one.source_id not in known
    }
    taken = taken_usernames(usernames=named)
    uses = Counter(named.values())
    for line, row in chunk:
        username = named.pop(row["user_id"], None)
        if username is None:
            continue
        column = "username" if "username" in row else "user_id"
        if username in taken:
            faults.add(line, column, username, "it is the username of another listener; give a free one")
        elif uses[username] > 1:
            faults.add(line, column, username, "two listeners of this file have it as their username")
        else:
            _check_valid(line, column, username, faults)


def _check_valid(line: int, column: str, username: str, faults: Faults) -> None:
    try:
        _username(username)
    except ValueError as why:
        faults.add(line, column, username, f"{why}; give a username in {USERS}")


def _check_picks(chunk: Sequence[NumberedRow], songs: dict[str, int], faults: Faults) -> None:
    for line, row in chunk:
        for source_id in row.get("songs", ()):
            if source_id not in songs:
                faults.add(line, "songs", source_id, "the catalogue has no song of this id")


def _save_picks(rows: Sequence[Row], songs: dict[str, int]) -> None:
    """Keep what was picked; a pick that is there already stays as it is."""
    listeners = listener_ids(source_ids=[row["user_id"] for row in rows])
    genres = ensure_genres(names={name for row in rows for name in row.get("genres", ())})
    now = timezone.now()
    picks = []
    for row in rows:
        listener_id = listeners[row["user_id"]]
        picks += [Pick(listener_id=listener_id, genre=genres[name], picked_at=now) for name in row.get("genres", ())]
        picks += [Pick(listener_id=listener_id, song_id=songs[name], picked_at=now) for name in row.get("songs", ())]
    Pick.objects.bulk_create(picks, ignore_conflicts=True)


def import_history(*, path: Path, people: Outcome, bar: Bar = SILENT) -> Outcome:
    """Plays counted elsewhere; plays counted here come on top of them. `people` counts listeners made on the way."""
    return _import_events(path, HISTORY_COLUMNS, _save_history, people, bar)


def import_ratings(*, path: Path, people: Outcome, bar: Bar = SILENT) -> Outcome:
    """Ratings given elsewhere; a later one given here stays. `people` counts listeners made on the way."""
    return _import_events(path, RATING_COLUMNS, _save_ratings, people, bar)


def _import_events(
    path: Path,
    columns: Iterable[Column],
    save: Callable[[dict[Key, Row], Outcome], None],
    people: Outcome,
    bar: Bar,
) -> Outcome:
    outcome, faults = Outcome(path.stem), Faults(path.name)
    with stage(path, columns, key=["user_id", "song_id"], bar=bar) as staged, transaction.atomic():
        # By listener, so that what is stored of one of them is looked up once.
        for chunk in staged.chunks(order="key"):
            songs = song_ids(source_ids=[row["song_id"] for _line, row in chunk])
            for line, row in chunk:
                if row["song_id"] not in songs:
                    faults.add(line, "song_id", row["song_id"], f"no song of this id is here; add it to {SONGS}")
            imported = [ImportedListener(source_id) for source_id in {row["user_id"]: None for _line, row in chunk}]
            _check_usernames(chunk, imported, faults)
            if not faults:
                people.new += save_listeners(imported=imported)[0]
                listeners = listener_ids(source_ids=[one.source_id for one in imported])
                save({(listeners[row["user_id"]], songs[row["song_id"]]): row for _line, row in chunk}, outcome)
        faults.raise_any()
    return outcome


def _save_history(rows: dict[Key, Row], outcome: Outcome) -> None:
    known = {(row.listener_id, row.song_id): row for row in _within(History.objects, rows)}
    played = _counted_plays(rows)
    wanted = []
    for (listener_id, song_id), row in rows.items():
        before = known.get((listener_id, song_id))
        n_plays, last_here = played.get((listener_id, song_id), (0, None))
        last_there = _instant(row.get("last_played_at")) or (before and before.last_played_at)
        wanted.append(
            History(
                listener_id=listener_id,
                song_id=song_id,
                repetition=row["repetition"] + n_plays,
                last_played_at=max(filter(None, (last_there, last_here)), default=None),
            )
        )
    _upsert(wanted, known, ("repetition", "last_played_at"), outcome)


def _counted_plays(keys: Iterable[Key]) -> dict[Key, tuple[int, datetime]]:
    plays = _within(Play.objects.filter(counted=True).values("listener_id", "song_id"), keys)
    counted = plays.annotate(n_plays=Count("pk"), last_at=Max("started_at")).order_by()
    return {(play["listener_id"], play["song_id"]): (play["n_plays"], play["last_at"]) for play in counted}


def _save_ratings(rows: dict[Key, Row], outcome: Outcome) -> None:
    known = {(row.listener_id, row.song_id): row for row in _within(Rating.objects, rows)}
    wanted = []
    for (listener_id, song_id), row in rows.items():
        before, rated_at = known.get((listener_id, song_id)), _instant(row.get("rated_at"))
        if before and before.rated_at and (rated_at is None or before.rated_at > rated_at):
            wanted.append(before)
            continue
        wanted.append(Rating(listener_id=listener_id, song_id=song_id, rating=row["rating"], rated_at=rated_at))
    _upsert(wanted, known, ("rating", "rated_at"), outcome)


def _within(rows: QuerySet, keys: Iterable[Key]) -> QuerySet:
    """Rows of these listeners and these songs: all the pairs asked for, and perhaps some more."""
    listeners, songs = zip(*keys, strict=True)
    return rows.filter(listener__in=set(listeners), song__in=set(songs))


def _instant(moment_text: str | None) -> datetime | None:
    return datetime.fromisoformat(moment_text) if moment_text else None


def _upsert(
    wanted: Sequence[History | Rating],
    known: dict[Key, History] | dict[Key, Rating],
    fields: tuple[str, str],
    outcome: Outcome,
) -> None:
    """Write what is new or differs from what is known, in one statement a batch."""
    written = []
    for row in wanted:
        before = known.get((row.listener_id, row.song_id))
        if before is None:
            outcome.new += 1
        elif any(getattr(before, field) != getattr(row, field) for field in fields):
            outcome.changed += 1
        else:
            outcome.unchanged += 1
            continue
        written.append(row)
    if written:
        rows = type(written[0]).objects
        rows.bulk_create(written, update_conflicts=True, unique_fields=["listener", "song"], update_fields=fields)
