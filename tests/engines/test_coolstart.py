"""Are you a newcomer? Content alone: neighbours, middles, picks, and what missing features must not do."""

import warnings

import numpy as np
import pandas as pd
import pytest

from quasimusic.exceptions import RowWithoutFeatures, TableNeeded
from recommender.engines import coolstart
from recommender.engines.content import learn_content, points
from recommender.engines.coolstart import CoolStart
from recommender.engines.points import likeness
from recommender.engines.tables import Tables
from tests.engines.conftest import FEATURES, GENRES, NOW
from tests.engines.test_points import dense_vectors

NEWCOMER = 9999


def fit(tables, **params):
    return CoolStart.fit(tables, params, rng=np.random.default_rng(0))


def with_newcomer(world, plays=(), days_ago=(), stars=None, genres="", picks=(), songs=None):
    """The planted world and a newcomer with these plays (a song once each), ratings and picks."""
    users = pd.concat(
        [world.users, pd.DataFrame([{"user_id": NEWCOMER, "genres": genres, "songs": "|".join(map(str, picks))}])]
    )
    played = pd.DataFrame({"user_id": NEWCOMER, "song_id": plays, "repetition": 1})
    played["last_played_at"] = NOW - pd.to_timedelta(list(days_ago) or [0.0] * len(plays), unit="D")
    rated = pd.DataFrame([{"user_id": NEWCOMER, "song_id": song, "rating": n} for song, n in (stars or {}).items()])
    return Tables.from_frames(
        songs=world.songs if songs is None else songs,
        history=pd.concat([world.history, played]) if len(played) else world.history,
        ratings=pd.concat([world.ratings, rated]) if len(rated) else world.ratings,
        users=users,
    )


def songs_of(world, taste, n=3):
    return world.taste_of_song.index[world.taste_of_song == taste][:n].tolist()


def tastes_offered(world, engine, n=10, **kwargs):
    ids, _ = engine.recommend([NEWCOMER], n, **kwargs)
    return set(world.taste_of_song[ids[0]])


@pytest.mark.parametrize("taste", [0, 1, 2])
def test_a_picked_genre_is_enough(world, taste):
    engine = fit(with_newcomer(world, genres=GENRES[taste]))
    assert tastes_offered(world, engine) == {taste}
    (reason,) = engine.explain(NEWCOMER, songs_of(world, taste)[0])
    assert (reason.kind, reason.value, reason.share) == ("genre", GENRES[taste], 1.0)


@pytest.mark.parametrize("taste", [0, 1, 2])
def test_a_picked_song_is_enough(world, taste):
    picked, other = songs_of(world, taste)[:2]
    engine = fit(with_newcomer(world, picks=[picked]))
    assert tastes_offered(world, engine) == {taste}
    (reason,) = engine.explain(NEWCOMER, other)
    assert (reason.kind, reason.song_ids, reason.share) == ("picked", (picked,), 1.0)


def test_a_genre_nobody_plays_says_nothing(world):
    ids, _ = fit(with_newcomer(world, genres="polka")).recommend([NEWCOMER], 3)
    assert (ids == -1).all()


def test_a_pick_made_twice_is_one_pick(world):
    first, second = songs_of(world, 0)[0], songs_of(world, 1)[0]
    once = fit(with_newcomer(world, picks=[first, second], genres=GENRES[0]))
    twice = fit(with_newcomer(world, picks=[first, second, first], genres=f"{GENRES[0]}|{GENRES[0]}"))
    ids = world.songs["song_id"]
    assert np.array_equal(once.score(NEWCOMER, ids), twice.score(NEWCOMER, ids))


def test_plays_outweigh_picks(world):
    engine = fit(with_newcomer(world, plays=songs_of(world, 1), genres=GENRES[2]))
    assert tastes_offered(world, engine) == {1}
    assert {reason.kind for reason in engine.explain(NEWCOMER, songs_of(world, 1, 9)[-1])} == {"played"}


def test_recent_plays_count_more(world):
    plays = songs_of(world, 0) + songs_of(world, 1)
    lately = fit(with_newcomer(world, plays=plays, days_ago=[0] * 3 + [85] * 3), half_life_days=10.0)
    once = fit(with_newcomer(world, plays=plays, days_ago=[85] * 3 + [0] * 3), half_life_days=10.0)
    assert tastes_offered(world, lately) == {0}
    assert tastes_offered(world, once) == {1}


def test_what_was_rated_1_counts_for_nothing(world):
    hated, loved = songs_of(world, 0), songs_of(world, 1)
    engine = fit(with_newcomer(world, stars={**dict.fromkeys(hated, 1), **dict.fromkeys(loved, 5)}))
    assert tastes_offered(world, engine) == {1}
    assert all(set(reason.song_ids) <= set(loved) for reason in engine.explain(NEWCOMER, songs_of(world, 1, 9)[-1]))


def test_the_current_song_leads(world):
    current = songs_of(world, 2)[0]
    engine = fit(with_newcomer(world, plays=songs_of(world, 0)), n_nearest=20)
    assert tastes_offered(world, engine, current_song=current) == {2}


def test_the_current_song_serves_a_listener_without_anything(world):
    assert tastes_offered(world, fit(with_newcomer(world)), current_song=songs_of(world, 2)[0]) == {2}


def test_the_middle_lies_between_the_current_song_and_the_known_ones_near_it(world):
    """The steps of the slides, one after the other, against the engine."""
    known, current = songs_of(world, 2, 6)[:5], songs_of(world, 2, 6)[5]
    tables = with_newcomer(world, plays=known)
    engine = fit(tables, n_nearest=20)
    space = points(tables.songs, engine.state)
    rows = tables.song_rows([*known, current])
    likenesses = likeness(space.rows(rows[-1:]).alone(), space)[0]
    nearest = np.argsort(-likenesses, kind="stable")[:20]
    vectors = dense_vectors(space)
    middle = vectors[[row for row in rows if row in nearest]].mean(axis=0)
    cosines = vectors @ middle / np.linalg.norm(vectors, axis=1) / np.linalg.norm(middle)
    assert len(set(rows) & set(nearest)) > 1
    assert np.allclose(engine.score(NEWCOMER, tables.songs.ids, current_song=current), cosines, atol=1e-6)


def test_a_current_song_without_content_leaves_the_history_to_speak(world):
    songs = world.songs.copy()
    bare = songs_of(world, 2)[0]
    songs.loc[songs["song_id"] == bare, [*FEATURES]] = np.nan
    songs.loc[songs["song_id"] == bare, ["genre", "tags"]] = ""
    with pytest.warns(RowWithoutFeatures, match="1 of 120"):
        tables = with_newcomer(world, plays=songs_of(world, 0), songs=songs)
    engine = fit(tables)
    assert np.isnan(engine.score(NEWCOMER, [bare])).all()
    assert tastes_offered(world, engine, current_song=bare) == {0}


def test_a_history_without_content_leaves_the_picks_to_speak(world):
    songs = world.songs.copy()
    bare = songs["song_id"].isin(songs_of(world, 2))
    songs.loc[bare, [*FEATURES]] = np.nan
    songs.loc[bare, ["genre", "tags"]] = ""
    with pytest.warns(RowWithoutFeatures):
        tables = with_newcomer(world, plays=songs_of(world, 2), genres=GENRES[1], songs=songs)
    assert tastes_offered(world, fit(tables)) == {1}


@pytest.fixture
def place(world):
    """The space of the planted songs, as a function that places songs in it."""
    learned = learn_content(world.tables().songs, CoolStart.defaults)
    return lambda songs: points(Tables.from_frames(songs=songs).songs, learned)


def test_to_lack_features_brings_no_song_nearer(world, place):
    """A song and its twin without audio features: seen from anywhere near, the twin stands no nearer."""
    songs = world.songs
    full, poor = place(songs), place(songs.assign(**dict.fromkeys(FEATURES, np.nan)))
    to_full, to_poor = likeness(full.alone(), full), likeness(full.alone(), poor)
    same_genre = world.taste_of_song.to_numpy()[:, None] == world.taste_of_song.to_numpy()[None, :]
    assert np.allclose(np.diag(to_full), 1.0)
    assert (np.diag(to_poor) < 0.9).all()
    assert (to_full[same_genre] > to_poor[same_genre]).mean() > 0.95


def test_songs_that_lack_the_same_are_not_alike_for_it(world, place):
    """Seen from a song that lacks features, songs that lack them too stand no nearer than those that have them."""
    poor = place(world.songs.assign(**dict.fromkeys(FEATURES, np.nan)))
    full = place(world.songs)
    assert np.allclose(likeness(poor.alone(), poor), likeness(poor.alone(), full), atol=1e-6)


def test_nothing_in_common_is_no_opinion(world, place):
    only_audio = place(world.songs.assign(genre="", tags=""))
    only_genre = place(world.songs.assign(tags="", **dict.fromkeys(FEATURES, np.nan)))
    assert np.isnan(likeness(only_audio.alone(), only_genre)).all()


def test_popularity_is_no_content(world):
    fame = world.songs.assign(popularity=world.songs["popularity"].to_numpy()[::-1])
    listener = world.users["user_id"].iloc[0]
    one = fit(world.tables())
    other = fit(Tables.from_frames(songs=fame, history=world.history, ratings=world.ratings, users=world.users))
    assert np.array_equal(one.score(listener, world.songs["song_id"]), other.score(listener, world.songs["song_id"]))


def test_new_songs_are_heard_at_once(planted, world):
    engine = fit(planted)
    new = world.songs.iloc[[0]].assign(song_id=77_777)
    grown = Tables.from_frames(songs=pd.concat([world.songs, new]), history=world.history, ratings=world.ratings)
    listener, original = world.users["user_id"].iloc[0], world.songs["song_id"].iloc[0]
    scores = engine.on(grown).score(listener, [original, 77_777])
    assert scores[0] == pytest.approx(scores[1])


def test_new_genres_and_columns_are_unknown_until_learned(planted, world):
    engine = fit(planted)
    strange = world.songs.assign(genre="polka", loudness=-5.0).drop(columns="tempo")
    tables = Tables.from_frames(songs=strange, history=world.history)
    _, scores = engine.on(tables).recommend(world.users["user_id"], 3)
    assert np.isfinite(scores).all()


def test_summands_of_the_explanation_make_the_product(planted, world):
    """What the own songs add sums to the product of middle and song, from which the shares are taken."""
    engine = fit(planted)
    listener = planted.users.ids[4]
    ids, _ = engine.recommend([listener], 1)
    vectors, row = dense_vectors(points(planted.songs, engine.state)), planted.song_rows(ids[0])[0]
    own = engine._own(planted.listener_rows([listener]))
    weights = dict(zip(own.indices, own.data / own.data.sum(), strict=True))
    product = float(sum(weight * vectors[song] for song, weight in weights.items()) @ vectors[row])
    summands = {
        planted.songs.ids[song]: float(weight * (vectors[song] @ vectors[row])) for song, weight in weights.items()
    }
    assert sum(summands.values()) == pytest.approx(product)
    speaking = sum(value for value in summands.values() if value > 0)
    for reason in engine.explain(listener, ids[0, 0]):
        assert reason.share == pytest.approx(summands[reason.song_ids[0]] / speaking)


def test_draws_are_seeded_and_follow_the_likeness(world, planted):
    listeners = world.users["user_id"]
    drawn = fit(planted, sampling="distribution")
    ids, scores = drawn.recommend(listeners, 10)
    again, _ = CoolStart.fit(planted, {"sampling": "distribution"}, rng=np.random.default_rng(0)).recommend(
        listeners, 10
    )
    other, _ = CoolStart.fit(planted, {"sampling": "distribution"}, rng=np.random.default_rng(1)).recommend(
        listeners, 10
    )
    best, _ = fit(planted).recommend(listeners, 10)
    assert np.array_equal(ids, again)
    assert not np.array_equal(ids, other)
    assert not np.array_equal(ids, best)
    assert ((scores >= 0) & (scores <= 1)).all()
    own = world.taste_of_listener[listeners].to_numpy()[:, None]
    assert (world.taste_of_song.to_numpy()[planted.song_rows(ids.ravel())].reshape(ids.shape) == own).mean() > 0.7


def test_songs_without_any_content_teach_nothing():
    tables = Tables.from_frames(songs=pd.DataFrame({"song_id": [1, 2], "popularity": [3, 4]}))
    with pytest.raises(TableNeeded, match="coolstart compares songs by features, genre or tags"):
        fit(tables)


def fit_songs(frame, **events):
    return fit(Tables.from_frames(songs=pd.DataFrame(frame), **events))


ONE_LISTENER = pd.DataFrame({"user_id": [1], "song_id": [1], "repetition": [2]})


def test_one_song_is_a_catalogue_with_nothing_left_to_offer():
    engine = fit_songs({"song_id": [1], "genre": ["salsa"], "energy": [0.4]}, history=ONE_LISTENER)
    ids, scores = engine.recommend([1], 2)
    assert (ids == -1).all()
    assert np.isnan(scores).all()
    assert (engine.nearest(3)[0] == -1).all()
    assert engine.recommend([1], 1, exclude_heard=False)[1] == pytest.approx(1.0)


@pytest.mark.parametrize("indexed_from", [1, 50_000])
@pytest.mark.parametrize("energy", [[0.4, 0.4, 0.4], [np.nan, np.nan, 0.4]])
def test_columns_that_tell_no_song_from_another_say_nothing(energy, indexed_from, monkeypatch):
    monkeypatch.setattr(coolstart, "INDEXED_FROM", indexed_from)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RowWithoutFeatures)
        engine = fit_songs({"song_id": [1, 2, 3], "energy": energy}, history=ONE_LISTENER)
    assert (engine.recommend([1], 2)[0] == -1).all()
    assert engine.explain(1, 3) == ()


def test_an_unknown_column_leaves_the_others_to_speak():
    engine = fit_songs({"song_id": [1, 2, 3], "energy": [0.1, 0.9, 0.2], "tempo": [np.nan] * 3}, history=ONE_LISTENER)
    assert engine.recommend([1], 2)[0].tolist() == [[3, 2]]


def test_songs_that_are_gone_leave_their_places_to_others(planted, world, monkeypatch):
    monkeypatch.setattr(coolstart, "INDEXED_FROM", 1)
    engine = fit(planted)
    gone = set(world.songs["song_id"][::5])
    tables = Tables.from_frames(
        songs=world.songs[~world.songs["song_id"].isin(gone)],
        history=world.history[~world.history["song_id"].isin(gone)],
    )
    ids, scores = engine.on(tables).recommend(tables.users.ids, 10)
    assert np.isfinite(scores).all()
    assert not gone & set(ids.ravel())
    own = world.taste_of_listener[tables.users.ids].to_numpy()[:, None]
    assert (world.taste_of_song[ids.ravel()].to_numpy().reshape(ids.shape) == own).mean() > 0.7
