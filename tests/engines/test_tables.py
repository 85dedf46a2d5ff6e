"""What the door of the engine room lets in, and what it says to the rest."""

import numpy as np
import pandas as pd
import pytest

from quasimusic.exceptions import (
    ColumnIgnored,
    ColumnMissing,
    RowRejected,
    RowWithoutFeatures,
    TableNeeded,
    UnknownListener,
    UnknownSong,
)
from recommender.engines.tables import Tables, id_array


@pytest.fixture
def songs():
    return pd.DataFrame({"song_id": [30, 10, 20], "genre": ["jazz", "", "folk"], "energy": [0.1, 0.2, np.nan]})


@pytest.fixture
def history():
    return pd.DataFrame({"user_id": [7, 7, 5], "song_id": [20, 10, 20], "repetition": [3, 1, 2]})


@pytest.fixture
def ratings():
    return pd.DataFrame({"user_id": [5, 9], "song_id": [30, 20], "rating": [4, 1]})


def test_rows_follow_the_files(songs, history, ratings):
    tables = Tables.from_frames(songs=songs, history=history, ratings=ratings)
    assert tables.songs.ids.tolist() == [30, 10, 20]
    assert tables.users.ids.tolist() == [7, 5, 9]
    assert tables.song_rows([20, 30]).tolist() == [2, 0]
    assert tables.listener_rows([9]).tolist() == [2]
    assert tables.repetitions.toarray().tolist() == [[0, 1, 3], [0, 0, 2], [0, 0, 0]]
    assert tables.rating_matrix.toarray().tolist() == [[0, 0, 0], [4, 0, 0], [0, 0, 1]]
    assert tables.known.toarray().tolist() == [[0, 1, 1], [1, 0, 1], [0, 0, 1]]
    assert tables.songs.genre_names.tolist() == ["folk", "jazz"]
    assert tables.songs.genres.tolist() == [1, -1, 0]
    assert np.isnat(tables.history.last_played_at).all()


def test_text_ids(songs, history):
    tables = Tables.from_frames(
        songs=songs.assign(song_id=["c", "a", "b"]),
        history=history.assign(song_id=["b", "a", "b"], user_id=["x", "x", "y"]),
    )
    assert tables.song_rows(np.array(["b", "c"], dtype=object)).tolist() == [2, 0]
    assert id_array(tables.users.ids).dtype.kind == "U"
    with pytest.raises(UnknownSong, match="10"):
        tables.song_rows([10])


def test_listeners_of_the_users_table_come_first(songs, history):
    users = pd.DataFrame(
        {"user_id": [5, 1], "country": ["IT", None], "genres": ["jazz|folk", ""], "songs": ["20|30", None]}
    )
    tables = Tables.from_frames(songs=songs, history=history, users=users)
    assert tables.users.ids.tolist() == [5, 1, 7]
    assert tables.users.countries.tolist() == ["IT", "", ""]
    assert tables.users.genres.tolist() == [("jazz", "folk"), (), ()]
    assert tables.users.songs.tolist() == [(2, 0), (), ()]


def test_picks_may_be_of_one_length(songs):
    users = pd.DataFrame({"user_id": [1, 2], "genres": ["jazz|folk", "folk|jazz"], "songs": ["20", "10"]})
    tables = Tables.from_frames(songs=songs, users=users)
    assert tables.users.genres.tolist() == [("jazz", "folk"), ("folk", "jazz")]
    assert tables.users.songs.tolist() == [(2,), (1,)]


def test_songs_and_listeners_from_events_alone(history, ratings):
    tables = Tables.from_frames(history=history, ratings=ratings)
    assert tables.songs.ids.tolist() == [20, 10, 30]
    assert tables.songs.numeric.shape == (3, 0)
    assert not tables.songs.has_content.any()


@pytest.mark.parametrize("empty", [None, "frames"])
def test_nothing_at_all(empty):
    frames = {
        "songs": pd.DataFrame({"song_id": []}),
        "history": pd.DataFrame({"user_id": [], "song_id": [], "repetition": [], "last_played_at": []}),
        "ratings": pd.DataFrame({"user_id": [], "song_id": [], "rating": []}),
        "users": pd.DataFrame({"user_id": [], "country": []}),
    }
    tables = Tables.from_frames() if empty is None else Tables.from_frames(**frames)
    assert (tables.n_songs, tables.n_listeners, len(tables.history), len(tables.ratings)) == (0, 0, 0, 0)
    assert tables.known.shape == (0, 0)
    with pytest.raises(TableNeeded, match="user_based learns from history"):
        tables.require("user_based", "history")
    with pytest.raises(UnknownListener, match="1"):
        tables.listener_rows([1])


def test_an_empty_history_beside_text_ids(songs):
    empty = pd.DataFrame({"user_id": [], "song_id": [], "repetition": []})
    users = pd.DataFrame({"user_id": ["ann"]})
    tables = Tables.from_frames(songs=songs, history=empty, users=users)
    assert tables.listener_rows(["ann"]).tolist() == [0]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("songs", "song_id"),
        ("history", "user_id"),
        ("history", "song_id"),
        ("history", "repetition"),
        ("ratings", "rating"),
        ("users", "user_id"),
    ],
)
def test_a_missing_column_is_named(songs, history, ratings, table, column):
    frames = {"songs": songs, "history": history, "ratings": ratings, "users": pd.DataFrame({"user_id": [5]})}
    frames[table] = frames[table].drop(columns=column).assign(shoe_size=1)
    with pytest.raises(ColumnMissing, match=f"{table}: no column {column}; it has .*shoe_size"):
        Tables.from_frames(**frames)


@pytest.mark.parametrize("rating", [0, 6, 7, -1, 5.5, np.nan, np.inf, "abc"])
def test_a_rating_that_is_none_is_refused(songs, ratings, rating):
    wrong = ratings.assign(rating=[3, rating])
    with pytest.raises(RowRejected, match=r"ratings: row 1 has rating .*, not a number from 1 to 5"):
        Tables.from_frames(songs=songs, ratings=wrong)


@pytest.mark.parametrize("repetition", [0, -2, np.nan, np.inf, "often"])
def test_a_repetition_that_is_none_is_refused(songs, history, repetition):
    with pytest.raises(
        RowRejected, match=r"history: row 2 has repetition .*, not a number from 1 to any finite number"
    ):
        Tables.from_frames(songs=songs, history=history.assign(repetition=[1, 2, repetition]))


def test_a_duplicate_song_is_refused(songs):
    with pytest.raises(RowRejected, match="songs: song_id 10 stands twice"):
        Tables.from_frames(songs=songs.assign(song_id=[10, 20, 10]))


def test_a_duplicate_listener_is_refused(songs):
    with pytest.raises(RowRejected, match="users: user_id 'ann' stands twice"):
        Tables.from_frames(songs=songs, users=pd.DataFrame({"user_id": ["ann", "bob", "ann"]}))


def test_a_duplicate_event_is_refused(songs, history):
    with pytest.raises(RowRejected, match="history: row 3 has song_id 20, which this listener has in an earlier row"):
        Tables.from_frames(songs=songs, history=pd.concat([history, history.iloc[[0]]]))


def test_a_song_not_in_the_songs_table_is_refused(songs, history):
    with pytest.raises(RowRejected, match="history: row 1 has song_id 99, which the songs table lacks"):
        Tables.from_frames(songs=songs, history=history.assign(song_id=[20, 99, 20]))


def test_a_picked_song_not_in_the_songs_table_is_refused(songs):
    users = pd.DataFrame({"user_id": ["ann", "bob"], "songs": ["10|20", "30|99"]})
    with pytest.raises(RowRejected, match="users: 'bob' picked song '99', which the songs table lacks"):
        Tables.from_frames(songs=songs, users=users)


@pytest.mark.parametrize("table", ["songs", "history", "users"])
def test_a_row_without_its_id_is_refused(songs, history, table):
    column = "song_id" if table == "songs" else "user_id"
    frames = {"songs": songs, "history": history, "users": pd.DataFrame({"user_id": [1, 2, 3]})}
    frames[table] = frames[table].assign(**{column: [1, None, 2]})
    with pytest.raises(RowRejected, match=f"{table}: row 1 has no {column}"):
        Tables.from_frames(**frames)


def test_fractions_are_no_ids(songs):
    with pytest.raises(RowRejected, match="ids are whole numbers or text"):
        Tables.from_frames(songs=songs.assign(song_id=[1.5, 2.5, 3.5]))


def test_ids_of_two_kinds_are_refused(songs, history):
    with pytest.raises(RowRejected, match="user_id is a whole number in one table and text in another"):
        Tables.from_frames(songs=songs, history=history, users=pd.DataFrame({"user_id": ["7"]}))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_feature_is_refused(songs, value):
    with pytest.raises(RowRejected, match="songs: row 1 has an infinite energy"):
        Tables.from_frames(songs=songs.assign(energy=[0.1, value, 0.3]))


def test_a_column_that_is_no_number_is_left_out_and_named(songs):
    with pytest.warns(ColumnIgnored, match="left out: lyrics, mood"):
        tables = Tables.from_frames(songs=songs.assign(lyrics="la la", mood="blue"))
    assert tables.songs.numeric_names == ("energy",)


def test_a_column_with_nothing_in_it_is_unknown_not_ignored(songs):
    tables = Tables.from_frames(songs=songs.assign(valence=pd.Series([None] * 3, dtype=object)))
    assert np.isnan(tables.songs.column("valence")).all()


def test_songs_without_a_feature_are_counted(songs):
    bare = songs.assign(genre=["jazz", "", ""], energy=[0.1, np.nan, np.nan], popularity=[1, 2, 3])
    with pytest.warns(RowWithoutFeatures, match="songs: 2 of 3 have no feature at all"):
        tables = Tables.from_frames(songs=bare)
    assert tables.songs.has_content.tolist() == [True, False, False]


def test_a_table_that_promises_no_features_is_not_warned_of(songs):
    tables = Tables.from_frames(songs=songs[["song_id"]].assign(title="x", popularity=3))
    assert not tables.songs.has_content.any()


def test_an_unknown_column_names_those_there_are(songs):
    with pytest.raises(ColumnMissing, match="no numeric column 'loudness'; they have energy"):
        Tables.from_frames(songs=songs).songs.column("loudness")


def test_moments_of_every_kind_become_utc(songs, history):
    told = ["2024-05-01T10:00:00+02:00", None, "2024-05-01T08:00:00.250Z"]
    moments = Tables.from_frames(songs=songs, history=history.assign(last_played_at=told)).history.last_played_at
    assert moments[0] == np.datetime64("2024-05-01T08:00:00")
    assert np.isnat(moments[1])
    assert moments[2] - moments[0] == np.timedelta64(250, "ms")
    aware = pd.to_datetime(pd.Series(told), utc=True, format="ISO8601")
    again = Tables.from_frames(songs=songs, history=history.assign(last_played_at=aware)).history.last_played_at
    assert np.array_equal(moments, again, equal_nan=True)


def test_a_moment_that_is_none_is_refused(songs, history):
    with pytest.raises(RowRejected, match="history: row 2 has last_played_at 'yesterday', not a time"):
        Tables.from_frames(songs=songs, history=history.assign(last_played_at=["2024-05-01", None, "yesterday"]))


def test_tags_are_split_and_counted_once(songs):
    tables = Tables.from_frames(songs=songs.assign(tags=["slow|late|slow", None, "late"]))
    assert tables.songs.tag_names.tolist() == ["late", "slow"]
    assert tables.songs.tags.toarray().tolist() == [[1, 1], [0, 0], [1, 0]]


def test_blocked_songs_artists_and_genres_are_found_whatever_else_is_named():
    songs = pd.DataFrame(
        {"song_id": [1, 2, 3, 4], "artist": ["A", "A", "B", ""], "genre": ["x", "y", "", "y"], "energy": 0.5}
    )
    users = pd.DataFrame(
        {
            "user_id": [7, 8, 9],
            "blocked_songs": ["3|3", None, ""],
            "blocked_artists": ["A|nobody", None, ""],
            "blocked_genres": [None, "y|nothing", ""],
        }
    )
    tables = Tables.from_frames(songs=songs, users=users)
    blocked = tables.blocked(np.array([1, 0, 2]))
    assert blocked.toarray().tolist() == [[0, 1, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0]]
    with pytest.raises(RowRejected, match="7 blocked song '5'"):
        Tables.from_frames(songs=songs, users=users.assign(blocked_songs=["5", "", ""]))
