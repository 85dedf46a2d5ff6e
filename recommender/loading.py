"""From rows to tables and from artefacts to engines: the only door between the database and the engine room."""

import logging
import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from django.conf import settings
from django.db.models import QuerySet

from accounts.models import Listener
from catalog.features import FACTS, FEATURES
from catalog.models import Song
from listening.models import History, Pick, Rating, Verdict
from quasimusic.exceptions import ArtefactBroken, ModelsAbsent, TableWarning
from recommender.engines.artefacts import load, readable
from recommender.engines.base import Engine
from recommender.engines.hybrid import Hybrid
from recommender.engines.tables import LIST_SEPARATOR, SongTable, Tables
from recommender.models import EngineFit, TrainingRun, Weights

logger = logging.getLogger(__name__)

NUMBERS = (*FACTS, *FEATURES)
STARS_OF_VERDICTS = {Verdict.Kind.LOVE: 5, Verdict.Kind.NO: 1}  # what a song's verdict stands for among the ratings


def load_tables() -> Tables:
    """The four tables as they stand now, one query each (and one each for picks and verdicts)."""
    songs = _songs()
    verdicts = _verdicts(songs)
    with warnings.catch_warnings():
        # Songs without features were told at import; here they are everyday life.
        warnings.simplefilter("ignore", TableWarning)
        return Tables.from_frames(
            songs=songs,
            users=_users(songs, verdicts),
            history=_events(songs, History.objects.all(), repetition="repetition", last_played_at="last_played_at"),
            ratings=_ratings(songs, verdicts),
        )


def load_songs() -> SongTable:
    """The songs alone, in one query."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        return Tables.from_frames(songs=_songs()).songs


def load_band(tables: Tables) -> tuple[TrainingRun, Hybrid]:
    """The active run and its engines standing on `tables`, with the weights in force.

    An engine whose artefact is broken is left out, told in the log and in the band's `left_out`. Raises ModelsAbsent
    where none is left.
    """
    run = TrainingRun.objects.filter(is_active=True).first()
    if run is None:
        raise ModelsAbsent("No trained models yet. Run `manage.py train_models`, or wait for the nightly training.")
    engines, left_out = {}, {}
    for fit in run.fits.filter(state__in=EngineFit.SERVING):
        try:
            engines[fit.engine] = load_engine(run, fit.engine, tables)
        except ArtefactBroken as fault:
            logger.error("%s of run %s is left out: %s", fit.engine, run.pk, fault)
            left_out[fit.engine] = str(fault)
    if not engines:
        raise ModelsAbsent(f"Run {run.pk} has no engine that can be read. Train again: `manage.py train_models`.")
    return run, Hybrid(engines, weights_in_force(engines), left_out=left_out)


def models_stand() -> bool:
    """Whether there is an active run, and all its models are of the format that is read today."""
    run = TrainingRun.objects.filter(is_active=True).first()
    if run is None:
        return False
    return all(readable(artefact_folder(run, fit.engine)) for fit in run.fits.filter(state__in=EngineFit.SERVING))


def load_engine(run: TrainingRun, name: str, tables: Tables) -> Engine:
    return load(artefact_folder(run, name), tables)


def artefact_folder(run: TrainingRun, name: str = "") -> Path:
    """Where a run keeps an engine's arrays: by its start too, for another database numbers its runs from 1 as well."""
    return settings.MODELS_DIR / f"run-{run.pk}-{run.started_at:%Y%m%dT%H%M%S%f}" / name


def weights_in_force(engines: Iterable[str]) -> dict[str, float]:
    """The newest stored weights over these engines; equal ones where none are stored."""
    newest = Weights.objects.first()
    values = {name: newest.values.get(name, 0.0) if newest else 1.0 for name in engines}
    return values if sum(values.values()) > 0 else dict.fromkeys(values, 1.0)


def _frame(rows: QuerySet, **columns: str) -> pd.DataFrame:
    return pd.DataFrame.from_records(rows.values_list(*columns.values()), columns=list(columns))


def _events(songs: pd.DataFrame, rows: QuerySet, **columns: str) -> pd.DataFrame:
    """What listeners did with these songs: one that came in after the songs were read waits for the next time."""
    events = _frame(rows, user_id="listener_id", song_id="song_id", **columns)
    return events[events["song_id"].isin(songs["song_id"])]


def _songs() -> pd.DataFrame:
    frame = _frame(
        Song.objects.order_by("pk"),
        song_id="pk", title="title", artist="artist_id", genre="genre__name", tags="tags", country="artist__country",
        other="other_features", **{name: name for name in NUMBERS},
    )  # fmt: skip
    frame["artist"] = frame["artist"].map(lambda pk: "" if pd.isna(pk) else str(int(pk)))
    frame["tags"] = frame["tags"].map(LIST_SEPARATOR.join)
    others = pd.DataFrame(frame.pop("other").tolist(), index=frame.index)
    # Further features have whatever names a file or an editor gave them, those of our columns too.
    others = others[[name for name in others if name not in frame]]
    numbers = pd.concat([frame[list(NUMBERS)].astype("float64"), others], axis=1)
    return pd.concat([frame.drop(columns=list(NUMBERS)), numbers.dropna(axis="columns", how="all")], axis=1)


def _ratings(songs: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """Ratings, and in place of the stars of a song what was said of it outright."""
    rated = _events(songs, Rating.objects.all(), rating="rating", rated_at="rated_at")
    said = verdicts.dropna(subset="song_id").astype({"song_id": "int64"})
    said = said.assign(rating=said["kind"].map(STARS_OF_VERDICTS))[list(rated)]
    # Joined only where there are both: a frame without rows has no types, and pandas warns of taking them over.
    every = pd.concat([rated, said]) if len(rated) and len(said) else said if len(said) else rated
    return every.drop_duplicates(["user_id", "song_id"], keep="last", ignore_index=True)


def _verdicts(songs: pd.DataFrame) -> pd.DataFrame:
    """The verdicts in force; of songs, those on these songs."""
    frame = _frame(
        Verdict.objects.in_force().order_by("pk"),
        user_id="listener_id", song_id="song_id", artist_id="artist_id", genre="genre__name", kind="kind",
        rated_at="said_at",
    )  # fmt: skip
    return frame[frame["song_id"].isna() | frame["song_id"].isin(songs["song_id"])]


def _users(songs: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    frame = _frame(Listener.objects.order_by("pk"), user_id="pk", username="username", country="country")
    picked = [*Pick.objects.order_by("pk").values_list("listener_id", "genre__name", "song_id")]
    # A genre that is loved is as good as picked.
    loved = verdicts[(verdicts["kind"] == Verdict.Kind.LOVE) & verdicts["genre"].notna()]
    picked += [(row.user_id, row.genre, None) for row in loved.itertuples()]
    picks = pd.DataFrame.from_records(picked, columns=["user_id", "genres", "songs"])
    picks["songs"] = picks["songs"].where(picks["songs"].isin(songs["song_id"]))
    blocked = verdicts[verdicts["kind"] == Verdict.Kind.NO].rename(
        columns={"song_id": "blocked_songs", "artist_id": "blocked_artists", "genre": "blocked_genres"}
    )
    lists = [_listed(picks, "genres", "songs"), _listed(blocked, "blocked_songs", "blocked_artists", "blocked_genres")]
    return frame.set_index("user_id").join(lists).reset_index()


def _listed(rows: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The values of these columns by listener, joined as the users table lists them."""
    return rows.groupby("user_id").agg(dict.fromkeys(columns, _joined))


def _joined(values: pd.Series) -> str:
    """Names or ids as a list; a genre whose name holds the separator would be taken for others, and is passed over."""
    listed = (str(value) if isinstance(value, str) else str(int(value)) for value in values.dropna())
    return LIST_SEPARATOR.join(value for value in listed if LIST_SEPARATOR not in value)
