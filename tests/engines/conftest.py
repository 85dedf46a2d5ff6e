"""A small planted world: three tastes, each with its own genre, artists and sound.

Listener ids and song ids are integers that are not rows: both tables are shuffled.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from recommender.engines.tables import Tables

GENRES = ("ambient", "metal", "salsa")
N_LISTENERS = 60
N_SONGS = 120
FIRST_LISTENER_ID = 501
FIRST_SONG_ID = 9001
LOYALTY = 0.9  # how much of what listeners play is of their own taste
NOW = pd.Timestamp("2024-06-30T12:00:00Z")
FEATURES = ("energy", "valence", "acousticness", "danceability", "tempo")
SOUND = {  # mean of each feature by genre
    "ambient": (0.15, 0.3, 0.9, 0.2, 80.0),
    "metal": (0.95, 0.4, 0.05, 0.35, 150.0),
    "salsa": (0.7, 0.9, 0.4, 0.9, 100.0),
}
SPREAD = (0.08, 0.1, 0.08, 0.1, 8.0)


@dataclass(frozen=True)
class World:
    """The frames of the planted world, and its truth: the taste (0, 1, 2) of each listener and song by id."""

    songs: pd.DataFrame
    history: pd.DataFrame
    ratings: pd.DataFrame
    users: pd.DataFrame
    taste_of_listener: pd.Series
    taste_of_song: pd.Series

    def tables(self) -> Tables:
        return Tables.from_frames(songs=self.songs, history=self.history, ratings=self.ratings, users=self.users)


def plant(seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    song_ids = rng.permutation(np.arange(FIRST_SONG_ID, FIRST_SONG_ID + N_SONGS))
    listener_ids = rng.permutation(np.arange(FIRST_LISTENER_ID, FIRST_LISTENER_ID + N_LISTENERS))
    song_tastes = np.arange(N_SONGS) % len(GENRES)
    listener_tastes = np.arange(N_LISTENERS) % len(GENRES)
    fame = rng.pareto(2.0, N_SONGS) + 0.3
    events = _events(rng, listener_tastes, song_tastes, fame)
    history = pd.DataFrame(
        {
            "user_id": listener_ids[events["listener"]],
            "song_id": song_ids[events["song"]],
            "repetition": rng.geometric(np.where(events["loved"], 0.25, 0.8)),
            "last_played_at": NOW - pd.to_timedelta(rng.integers(0, 90 * 24, len(events)), unit="h"),
        }
    )
    rated = events["loved"] | (rng.random(len(events)) < 0.5)
    stars = np.clip(np.where(events["loved"], 4.5, 2.0) + rng.normal(0, 0.6, len(events)), 1, 5).round()
    ratings = history.loc[rated, ["user_id", "song_id"]].assign(rating=stars[rated], rated_at=NOW)
    return World(
        songs=_songs(rng, song_ids, song_tastes, fame),
        history=history,
        ratings=ratings.sample(frac=0.6, random_state=seed),
        users=pd.DataFrame(
            {
                "user_id": listener_ids,
                "username": [f"listener{i}" for i in listener_ids],
                "country": rng.choice(["IT", "SE", "BR"], N_LISTENERS),
                "genres": [GENRES[taste] for taste in listener_tastes],
            }
        ),
        taste_of_listener=pd.Series(listener_tastes, index=listener_ids),
        taste_of_song=pd.Series(song_tastes, index=song_ids),
    )


def _events(
    rng: np.random.Generator, listener_tastes: np.ndarray, song_tastes: np.ndarray, fame: np.ndarray
) -> pd.DataFrame:
    rows = []
    for listener, taste in enumerate(listener_tastes):
        weight = fame * np.where(song_tastes == taste, LOYALTY, (1 - LOYALTY) / 2)
        heard = rng.choice(len(song_tastes), size=rng.integers(14, 22), replace=False, p=weight / weight.sum())
        rows.append(pd.DataFrame({"listener": listener, "song": heard, "loved": song_tastes[heard] == taste}))
    return pd.concat(rows, ignore_index=True)


def _songs(rng: np.random.Generator, song_ids: np.ndarray, tastes: np.ndarray, fame: np.ndarray) -> pd.DataFrame:
    genres = [GENRES[taste] for taste in tastes]
    sound = np.array([SOUND[genre] for genre in genres]) + rng.normal(0, 1, (len(tastes), len(FEATURES))) * SPREAD
    return pd.DataFrame(
        {
            "song_id": song_ids,
            "title": [f"Song {song_id}" for song_id in song_ids],
            "artist": [f"{genre} band {i % 8}" for i, genre in enumerate(genres)],
            "genre": genres,
            "tags": [
                f"{genre}|{mood}"
                for genre, mood in zip(genres, rng.choice(["late", "early"], len(genres)), strict=True)
            ],
            "popularity": np.round(100 * fame / fame.max()),
        }
    ).join(pd.DataFrame(sound, columns=list(FEATURES)))


@pytest.fixture(scope="session")
def world() -> World:
    """The planted frames and their truth. Copy a frame before changing it."""
    return plant()


@pytest.fixture(scope="session")
def planted(world: World) -> Tables:
    """The planted world as Tables."""
    return world.tables()
