"""CoolStart, "Are you a newcomer?": songs that sound like what a listener has around, from the first minute on."""

from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from quasimusic.exceptions import TableNeeded
from recommender.engines.base import BATCH, Engine, Params, Reason, State, unwanted
from recommender.engines.content import WEIGHTS, learn_content, points
from recommender.engines.nearest import INDEXED_FROM, Nearest, graph_of
from recommender.engines.points import Flags, Middles, likeness
from recommender.engines.preference import damped_repetitions, own_song_reasons, preferences
from recommender.engines.ranking import drawn
from recommender.engines.tables import Floats, Rows, Tables, id_array
from recommender.engines.threads import mapped


class CoolStart(Engine):
    """The songs nearest by content to the artificial middle of some songs of the listener's own.

    Which songs: with a current song, those the listener knows among its nearest, and the current song itself; else
    all they know, recent and repeated and well-rated ones counting more; else what they picked at sign-up. The score
    is the likeness (see `content`) of song and middle, -1..1; where one of them has no content there is no opinion.
    """

    name: ClassVar[str] = "coolstart"
    title: ClassVar[str] = "Are you a newcomer?"
    needs: ClassVar[tuple[str, ...]] = ("songs",)
    defaults: ClassVar[Params] = {
        "n_nearest": 100,
        "half_life_days": 60.0,
        "audio_weight": 1.0,
        "genre_weight": 1.0,
        "tag_weight": 1.0,
        "country_weight": 0.25,
        "n_tag_axes": 64,
        "sampling": "top_n",
        "temperature": 0.05,
    }
    ranges = {
        "n_nearest": (1, 100_000),
        "half_life_days": (0.01, 36500.0),
        **dict.fromkeys(WEIGHTS, (0.0, 100.0)),
        "n_tag_axes": (1, 500),
        "sampling": ("top_n", "distribution"),
        "temperature": (0.001, 10.0),
    }

    @classmethod
    def learn(cls, tables: Tables, params: Params, rng: np.random.Generator) -> State:
        """The space of content (`content.learn_content`), the seed of the draws and, of a large catalogue, the index.

        Raises TableNeeded where no song has content.
        """
        if not tables.songs.has_content.any():
            raise TableNeeded("coolstart compares songs by features, genre or tags, and the songs table has none")
        state = {**learn_content(tables.songs, params), "seed": rng.integers(2**32, size=1)}
        if tables.n_songs < INDEXED_FROM:
            return state
        songs = points(tables.songs, state)
        described = np.flatnonzero(songs.known.any(axis=1))
        return {
            **state,
            "graph": graph_of(songs.rows(described)),
            "graph_song_ids": id_array(tables.songs.ids[described]),
        }

    def _prepare(self) -> None:
        self._songs = points(self.tables.songs, self.state)
        indexed = self.tables.songs.ids.get_indexer(pd.Index(self.state.get("graph_song_ids", []))).astype(np.int64)
        self._nearest = Nearest.of(self._songs, self.state.get("graph"), indexed)
        self._known = _known_weights(self.tables, self.params["half_life_days"])
        self._described: Flags = np.asarray(self._songs.known.any(axis=1))
        # A listener whose known songs all lack content has nothing to start from but the picks.
        self._speaks: Flags = self._known @ self._described > 0
        self._picked_songs, self._picked_genres = self.tables.picked, _picked_genres(self.tables)
        self._songs_of_genres = _songs_of_genres(self.tables)

    def score_rows(self, listener_rows: Rows, current_song: int | None = None) -> Floats:
        middles = self._middles(listener_rows, current_song)
        likenesses = likeness(middles, self._songs).astype(np.float64)
        if self.params["sampling"] == "top_n":
            return likenesses
        odds = np.exp((likenesses - 1) / self.params["temperature"])
        return drawn(odds, self.params["sampling"], int(self.state["seed"][0]), listener_rows)

    def _best(self, listener_rows: Rows, n: int, current_row: int | None, exclude_heard: bool) -> tuple[Rows, Floats]:
        if self.params["sampling"] != "top_n":
            return super()._best(listener_rows, n, current_row, exclude_heard)
        barred = unwanted(self.tables, listener_rows, current_row, exclude_heard)
        return self._nearest.best(self._middles(listener_rows, current_row), n, barred)

    def explain(self, listener_id: Any, song_id: Any) -> tuple[Reason, ...]:
        """What each of the listener's songs, or each pick, adds to the product of middle and song."""
        listener_row, song_row = self.tables.listener_rows([listener_id])[0], self.tables.song_rows([song_id])[0]
        own = self._own(np.array([listener_row]))
        songs = own.indices.astype(np.int64)
        pulls = self._songs.pulls(songs, song_row, totals=own.data @ self._songs.known[songs])
        if self._speaks[listener_row]:
            return own_song_reasons(self.tables, listener_row, songs, own.data * pulls, rest=0.0)
        return self._pick_reasons(listener_row, pd.Series(pulls, index=songs))

    def nearest(self, n: int) -> tuple[NDArray[Any], Floats]:
        """The n songs most like each song, itself left out: ids (n_songs, n) and likeness float64 (n_songs, n).

        Padded with -1 and NaN. The first step of the engine, whoever listens.
        """
        every = np.arange(self.tables.n_songs)
        lists = mapped(partial(self._nearest_to, n=n), [every[start : start + BATCH] for start in every[::BATCH]])
        rows = np.concatenate([rows for rows, _ in lists])
        return self.tables.song_ids(rows), np.concatenate([likenesses for _, likenesses in lists])

    def _nearest_to(self, song_rows: Rows, n: int) -> tuple[Rows, Floats]:
        itself = _ones(np.arange(len(song_rows)), song_rows, (len(song_rows), self.tables.n_songs))
        return self._nearest.best(self._songs.rows(song_rows).alone(), n, itself)

    def _middles(self, listener_rows: Rows, current_song: int | None) -> Middles:
        """The artificial middle of each listener's own songs, or of those near the current one."""
        if current_song is not None and self._described[current_song]:
            return self._songs.middles(self._near(listener_rows, current_song))
        return self._songs.middles(self._own(listener_rows))

    def _near(self, listener_rows: Rows, current_song: int) -> sparse.csr_array:
        """1 for the songs each listener knows among those nearest the current one, and for the current one."""
        current = self._songs.rows([current_song]).alone()
        none = sparse.csr_array((1, self.tables.n_songs))
        nearest, _ = self._nearest.best(current, min(self.params["n_nearest"], self.tables.n_songs), none)
        known = self.tables.known[listener_rows].tocoo()
        near = np.isin(known.col, nearest) & (known.col != current_song)
        rows = np.append(known.row[near], np.arange(len(listener_rows)))
        columns = np.append(known.col[near], np.full(len(listener_rows), current_song))
        return _ones(rows, columns, known.shape)

    def _own(self, listener_rows: Rows) -> sparse.csr_array:
        """How much each song counts for these listeners' middles, CSR (m, n_songs): what they know, else the picks."""
        known, speaks = self._known[listener_rows], self._speaks[listener_rows]
        if speaks.all():
            return known
        # A picked genre is a great many songs: they are written out for these listeners, never for all.
        genres = self._picked_genres[listener_rows] @ self._songs_of_genres
        return sparse.csr_array(
            known * speaks[:, None] + (self._picked_songs[listener_rows] + genres) * ~speaks[:, None]
        )

    def _pick_reasons(self, listener_row: int, pulls: pd.Series) -> tuple[Reason, ...]:
        """pulls : of each song picked or of a genre picked, by song row."""
        songs = self._picked_songs[[listener_row]].indices.tolist()
        genres = self._picked_genres[[listener_row]].indices.tolist()
        reasons = [
            Reason(kind="picked", share=float(pulls[row]), song_ids=(self.tables.songs.ids[row],)) for row in songs
        ] + [
            Reason(
                kind="genre",
                share=float(pulls[self._songs_of_genres[[code]].indices].mean()),
                value=str(self.tables.songs.genre_names[code]),
            )
            for code in genres
        ]
        speaking = [reason for reason in reasons if reason.share > 0]
        total = sum(reason.share for reason in speaking)
        shared = [replace(reason, share=reason.share / total) for reason in speaking]
        return tuple(sorted(shared, key=lambda reason: -reason.share))


def _known_weights(tables: Tables, half_life_days: float) -> sparse.csr_array:
    """How much each known song counts for a listener's middle, CSR (n_listeners, n_songs) >= 0.

    Preference times damped repetition times 2^(-age / half-life), age up to the latest moment in the tables.
    """
    liked = preferences(tables).multiply(damped_repetitions(tables))
    weights = sparse.csr_array(liked.multiply(_freshness(tables, half_life_days)))
    weights.eliminate_zeros()
    return weights


def _freshness(tables: Tables, half_life_days: float) -> sparse.csr_array:
    """2^(-age / half-life) of the last play or rating of each known song; an unknown moment is as old as the oldest."""
    entries = pd.DataFrame(
        {
            "listener": np.append(tables.history.listener_rows, tables.ratings.listener_rows),
            "song": np.append(tables.history.song_rows, tables.ratings.song_rows),
            "moment": np.append(tables.history.last_played_at, tables.ratings.rated_at),
        }
    )
    last = entries.groupby(["listener", "song"], as_index=False)["moment"].max()
    ages = (last["moment"].max() - last["moment"]) / pd.Timedelta(days=1)
    ages = ages.fillna(ages.max()).fillna(0.0)
    freshness = np.exp2(-ages.to_numpy(dtype=np.float64) / half_life_days)
    return sparse.csr_array((freshness, (last["listener"], last["song"])), shape=(tables.n_listeners, tables.n_songs))


def _picked_genres(tables: Tables) -> sparse.csr_array:
    """1 for each genre picked at sign-up, CSR (n_listeners, n_genres); genres no song has are left out."""
    names = tables.songs.genre_names
    picks = pd.Series(tables.users.genres).explode().dropna()
    codes = names.get_indexer(pd.Index(picks))
    return _ones(picks.index.to_numpy()[codes >= 0], codes[codes >= 0], (tables.n_listeners, len(names)))


def _ones(rows: NDArray[np.integer], columns: NDArray[np.integer], shape: tuple[int, int]) -> sparse.csr_array:
    """1 at each place named, however often it is named."""
    ones = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    ones.data[:] = 1.0  # scipy has added up what was named twice
    return ones


def _songs_of_genres(tables: Tables) -> sparse.csr_array:
    """A weight of 1 spread evenly over the songs of each genre, CSR (n_genres, n_songs)."""
    songs = np.flatnonzero(tables.songs.genres >= 0)
    genres = tables.songs.genres[songs]
    sizes = np.bincount(genres, minlength=len(tables.songs.genre_names))
    return sparse.csr_array((1.0 / sizes[genres], (genres, songs)), shape=(len(sizes), tables.n_songs))
