"""On top of the world: the order, its columns, and what each column decided."""

import numpy as np
import pandas as pd
import pytest

from quasimusic.exceptions import ColumnMissing, ParameterOutOfRange, TableNeeded
from recommender.engines.relevance import Relevance
from recommender.engines.tables import Tables

SONGS = pd.DataFrame(
    {
        "song_id": [1, 2, 3, 4, 5],
        "genre": "pop",
        "popularity": [50, 90, np.nan, 50, 10],
        "energy": [0.2, 0.1, 0.9, 0.8, np.nan],
    }
)
HISTORY = pd.DataFrame(
    {
        "user_id": [1, 1, 2, 2, 3],
        "song_id": [1, 2, 2, 3, 4],
        "repetition": [9, 1, 1, 4, 3],
        "last_played_at": pd.to_datetime(
            ["2024-01-01", "2024-06-01", "2024-06-20", "2024-06-29", "2024-06-30"], utc=True
        ),
    }
)
USERS = pd.DataFrame({"user_id": [1, 2, 3, 4, 5], "country": ["IT", "SE", "SE", "BR", ""]})


def fit(songs=SONGS, history=HISTORY, **params):
    tables = Tables.from_frames(songs=songs, history=history, users=USERS)
    return Relevance.fit(tables, params, rng=np.random.default_rng(0))


def order(engine, listener=5):
    ids, scores = engine.recommend([listener], engine.tables.n_songs, exclude_heard=False)
    return ids[0][np.isfinite(scores[0])].tolist()


def test_who_listens_comes_first_and_popularity_settles_ties():
    assert order(fit()) == [2, 1, 4, 3, 5]


def test_popularity_is_all_there_is_without_plays():
    assert order(fit(history=None)) == [2, 1, 4, 5]


def test_scores_run_from_1_to_0_alike_for_ties():
    assert np.allclose(
        fit(columns=("popularity",)).score(5, [2, 1, 4, 5, 3]), [1.0, 1 / 3, 1 / 3, 0.0, np.nan], equal_nan=True
    )


def test_later_columns_settle_ties_and_missing_values_stand_last():
    assert order(fit(columns=("popularity", "energy"))) == [2, 4, 1, 5, 3]


@pytest.mark.parametrize("popularity", [None, [np.nan] * 5])
def test_plays_settle_ties_where_no_popularity_is_told(popularity):
    songs = SONGS[["song_id"]] if popularity is None else SONGS[["song_id"]].assign(popularity=popularity)
    assert order(fit(songs=songs)) == [2, 1, 3, 4, 5]


def test_listeners_count_heads_not_plays():
    assert order(fit(columns=("listeners", "plays"))) == [2, 1, 3, 4, 5]


@pytest.mark.parametrize(("days", "expected"), [(5.0, [3, 4]), (15.0, [3, 4, 2]), (36500.0, [1, 3, 4, 2])])
def test_recent_plays_count_back_from_the_latest(days, expected):
    engine = fit(columns=("plays_recent",), recent_days=days)
    assert order(engine)[: len(expected)] == expected
    assert engine.score(5, [5])[0] == 0


def test_each_country_has_its_order():
    engine = fit(columns=("plays_in_country",))
    assert order(engine, listener=1)[:2] == [1, 2]
    assert order(engine, listener=2)[:3] == [3, 4, 2]
    ids, _ = engine.recommend([2, 1, 4], 1, exclude_heard=False)
    assert ids[:, 0].tolist() == [3, 1, 1]


@pytest.mark.parametrize("listener", [4, 5])
def test_a_silent_or_unknown_country_gets_the_world(listener):
    assert order(fit(columns=("plays_in_country",)), listener) == order(fit(columns=("plays",)), listener)


@pytest.mark.parametrize(
    ("half_life_days", "expected"),
    [(5.0, [4, 3, 2, 1, 5]), (30.0, [3, 4, 2, 1, 5]), (36500.0, [1, 3, 4, 2, 5])],
)
def test_old_plays_fade(half_life_days, expected):
    # By half: of song 3's four plays, a day old, 4 x 2^(-1/5) = 3.5 are left, of song 1's nine after half a year none.
    history = HISTORY.assign(repetition=[9, 1, 1, 3.4, 3])
    assert order(fit(history=history, columns=("plays_decayed",), half_life_days=half_life_days)) == expected


def test_plays_fade_in_each_country():
    engine = fit(columns=("plays_decayed_in_country",), half_life_days=30.0)
    assert order(engine, listener=1)[:2] == [2, 1]  # one play in June against nine in January
    assert order(engine, listener=4) == order(fit(columns=("plays_decayed",), half_life_days=30.0), listener=4)


def test_a_play_of_an_unknown_moment_is_as_old_as_the_oldest():
    history = HISTORY.assign(last_played_at=[pd.NaT, *HISTORY["last_played_at"][1:]])
    # Song 1's nine plays are now as old as the older of song 2's: 29 days, of which 9 x 2^(-29/20) = 3.3 are left;
    # of song 3's four 3.9, of song 4's three of the last day all.
    assert order(fit(history=history, columns=("plays_decayed",), half_life_days=20.0)) == [3, 1, 4, 2, 5]


def test_the_order_follows_fresh_plays():
    engine = fit(columns=("plays",))
    fresh = HISTORY.assign(repetition=[1, 1, 1, 4, 99])
    assert order(engine.on(Tables.from_frames(songs=SONGS, history=fresh, users=USERS)))[0] == 4


def test_songs_that_all_tie_all_score_nothing():
    assert fit(songs=SONGS.assign(popularity=7), history=None).score(5, [1, 2]).tolist() == [0.0, 0.0]


def test_without_popularity_and_plays_there_is_no_order():
    with pytest.raises(TableNeeded, match="relevance by listeners learns from history"):
        fit(songs=SONGS[["song_id"]], history=None)


def test_recent_plays_need_moments():
    with pytest.raises(TableNeeded, match="last_played_at"):
        fit(history=HISTORY.drop(columns="last_played_at"), columns=("plays_recent",))


def test_an_unknown_column_is_named():
    with pytest.raises(ColumnMissing, match="'fame'; they have popularity, energy"):
        fit(columns=("fame",))


def test_one_name_is_no_list_of_columns():
    with pytest.raises(ParameterOutOfRange, match="columns is 'plays'; it must be a list"):
        fit(columns="plays")


def test_weights_average_the_scores_of_the_columns():
    engine = fit(columns={"popularity": 1.0, "energy": 3.0})
    # By popularity 2 > 1 = 4 > 5, 3 unknown; by energy 3 > 4 > 1 > 2, 5 unknown: the last and the unknown have 0.
    popularity = {1: 1 / 3, 2: 1.0, 3: 0.0, 4: 1 / 3, 5: 0.0}
    energy = {1: 1 / 3, 2: 0.0, 3: 1.0, 4: 2 / 3, 5: 0.0}
    expected = [(popularity[song] + 3 * energy[song]) / 4 for song in SONGS["song_id"]]
    scores = engine.score(5, SONGS["song_id"])
    assert np.allclose(scores, expected)


def test_with_weights_a_column_has_its_part_of_the_score():
    engine = fit(columns={"popularity": 1.0, "energy": 1.0})
    first, second = engine.explain(5, 4)
    assert (first.detail, first.value) == ("energy", 2.0)
    assert (second.detail, second.value) == ("popularity", 2.0)
    assert first.share + second.share == pytest.approx(1.0)
    (only,) = fit(columns={"popularity": 1.0, "energy": 0.0}).explain(5, 4)
    assert only.detail == "popularity"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"energy": -1.0}, "the weight of energy is -1.0"),
        ({"energy": "much"}, "the weight of energy is 'much'"),
        ({"energy": float("nan")}, "the weight of energy is nan"),
        ({"energy": 0.0}, "all weights are 0"),
    ],
)
def test_weights_are_numbers_that_say_something(columns, message):
    with pytest.raises(ParameterOutOfRange, match=message):
        fit(columns=columns)


def test_columns_share_what_they_decide():
    engine = fit(columns=("popularity", "energy"))
    first, second = engine.explain(5, 4)
    # Song 4 stands above 5 and 3 by popularity and above 1 by energy.
    assert (first.detail, first.value, first.share) == ("popularity", 2.0, pytest.approx(2 / 3))
    assert (second.detail, second.value, second.share) == ("energy", 2.0, pytest.approx(1 / 3))


def test_the_last_of_all_is_last_by_its_first_column():
    (reason,) = fit(history=None).explain(5, 5)
    assert (reason.share, reason.value) == (1.0, 4.0)


def test_no_value_no_reason():
    assert fit(history=None).explain(5, 3) == ()
