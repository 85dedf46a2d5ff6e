"""The core is the largest part in which everybody and everything has enough, and it is like tables of its own."""

import numpy as np
import pandas as pd
import pytest

from quasimusic.exceptions import ParameterOutOfRange, TableNeeded
from recommender.engines import ENGINES
from recommender.engines.core import core, restricted
from recommender.engines.tables import Tables


def slow_core(frame, n):
    """Strike one poor listener or song after the other until there is none."""
    while True:
        for column in ("user_id", "song_id"):
            counts = frame[column].value_counts()
            if len(counts) and counts.min() < n:
                frame = frame[frame[column] != counts.idxmin()]
                break
        else:
            return frame


@pytest.mark.parametrize("seed", range(5))
def test_the_core_is_what_striking_one_by_one_leaves(seed):
    rng = np.random.default_rng(seed)
    pairs = np.argwhere(rng.random((30, 40)) < np.outer(rng.uniform(0, 0.6, 30), rng.uniform(0.2, 1, 40)))
    history = pd.DataFrame(
        {"user_id": pairs[:, 0], "song_id": pairs[:, 1], "repetition": rng.integers(1, 9, len(pairs))}
    )
    songs = pd.DataFrame({"song_id": np.arange(40), "energy": np.where(rng.random(40) < 0.2, np.nan, 0.5)})
    songs["title"] = "-"
    tables = Tables.from_frames(
        songs=songs.dropna(), history=history[history["song_id"].isin(songs.dropna()["song_id"])]
    )
    expected = slow_core(history[history["song_id"].isin(songs.dropna()["song_id"])], 3)
    with pytest.warns(UserWarning, match="no feature"):
        everything = Tables.from_frames(songs=songs, history=history)
    for found in (core(tables, 3), core(everything, 3)):
        assert set(found.songs.ids) == set(expected["song_id"])
        assert set(found.users.ids) == set(expected["user_id"])
        assert triples(found) == set(expected.itertuples(index=False, name=None))


def triples(tables):
    history = tables.history
    listeners, songs = tables.users.ids[history.listener_rows], tables.songs.ids[history.song_rows]
    return set(zip(listeners.tolist(), songs.tolist(), history.repetition.tolist(), strict=True))


def test_what_is_left_is_as_if_there_had_never_been_more(world):
    songs = world.songs[world.songs["genre"] != "metal"]
    users = world.users.iloc[10:].assign(songs="")
    kept = {
        name: frame[frame["song_id"].isin(songs["song_id"]) & frame["user_id"].isin(users["user_id"])]
        for name, frame in (("history", world.history), ("ratings", world.ratings))
    }
    alone = Tables.from_frames(songs=songs, users=users, **kept)
    whole = world.tables()
    part = restricted(whole, whole.users.ids.isin(users["user_id"]), whole.songs.ids.isin(songs["song_id"]))
    assert part.songs.genre_names.tolist() == ["ambient", "salsa"]
    for name, engine in ENGINES.items():
        ours, theirs = (
            engine.fit(tables, rng=np.random.default_rng(0)).recommend(alone.users.ids, 5)[0]
            for tables in (part, alone)
        )
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_picks_follow_their_songs():
    users = pd.DataFrame({"user_id": [1, 2], "songs": ["7|9", "8"]})
    history = pd.DataFrame({"user_id": [1, 2], "song_id": [8, 9], "repetition": 1})
    tables = Tables.from_frames(users=users, history=history, songs=pd.DataFrame({"song_id": [7, 8, 9]}))
    part = restricted(tables, np.array([True, True]), np.array([False, True, True]))
    assert part.users.songs.tolist() == [(1,), (0,)]


def test_an_empty_core_and_one_of_nothing_are_told(planted):
    with pytest.raises(TableNeeded, match="1000-core is empty"):
        core(planted, 1000)
    with pytest.raises(ParameterOutOfRange, match="core is of 0"):
        core(planted, 0)
