"""What holds for every engine of the band."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quasimusic.exceptions import ParameterOutOfRange, TableNeeded, UnknownListener, UnknownSong
from recommender.engines import ENGINES, base
from recommender.engines.artefacts import load, save
from recommender.engines.tables import Tables
from tests.engines.conftest import NOW

NEWCOMER = 9999


@pytest.fixture(scope="module", params=sorted(ENGINES))
def fitted(request, planted):
    return ENGINES[request.param].fit(planted, rng=np.random.default_rng(7))


@pytest.fixture(scope="module")
def with_newcomer(world):
    """The planted tables and a listener who has just heard three songs of the first taste."""
    heard = world.taste_of_song.index[world.taste_of_song == 0][:3]
    plays = pd.DataFrame({"user_id": NEWCOMER, "song_id": heard, "repetition": 2, "last_played_at": NOW})
    history = pd.concat([world.history, plays], ignore_index=True)
    return Tables.from_frames(songs=world.songs, history=history, ratings=world.ratings, users=world.users)


def test_the_band_is_five():
    assert list(ENGINES) == ["relevance", "coolstart", "weighted_mf", "user_based", "item_based"]
    assert all(name == engine.name for name, engine in ENGINES.items())
    assert len({engine.title for engine in ENGINES.values()}) == len(ENGINES)


def test_recommend_gives_rows_in_the_order_asked(fitted, planted):
    listeners = planted.users.ids[[5, 0, 17]]
    ids, scores = fitted.recommend(listeners, 7)
    assert ids.shape == scores.shape == (3, 7)
    assert ids.dtype == np.int64
    assert scores.dtype == np.float64
    for place, listener in enumerate(listeners):
        alone, alone_scores = fitted.recommend([listener], 7)
        assert np.array_equal(alone[0], ids[place])
        assert np.allclose(alone_scores[0], scores[place], rtol=1e-9, atol=1e-12)


def test_many_listeners_are_served_in_batches(fitted, planted, monkeypatch):
    ids, scores = fitted.recommend(planted.users.ids, 6, current_song=planted.songs.ids[5])
    monkeypatch.setattr(base, "BATCH", 7)
    monkeypatch.setattr(base, "BLOCK_FLOATS", 3 * planted.n_songs)
    batched_ids, batched_scores = fitted.recommend(planted.users.ids, 6, current_song=planted.songs.ids[5])
    assert np.array_equal(ids, batched_ids)
    assert np.allclose(scores, batched_scores, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("exclude_heard", [True, False])
def test_what_an_engine_lists_is_what_scoring_every_song_would(fitted, planted, exclude_heard):
    every = np.arange(planted.n_listeners)
    rows, scores = fitted._best(every, 9, 5, exclude_heard)
    by_all_rows, by_all_scores = base.Engine._best(fitted, every, 9, 5, exclude_heard)
    np.testing.assert_allclose(scores, by_all_scores, rtol=1e-5, atol=1e-6)
    assert (rows == by_all_rows).mean() > 0.99  # rounding may exchange two that all but tie


def test_nobody_asked_nobody_answered(fitted):
    ids, scores = fitted.recommend([], 4)
    assert ids.shape == scores.shape == (0, 4)


def test_best_first_without_repeats(fitted, planted):
    ids, scores = fitted.recommend(planted.users.ids, 10)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 10 for row in ids)


def test_score_agrees_with_recommend(fitted, planted):
    listener, current = planted.users.ids[3], planted.songs.ids[11]
    for current_song in (None, current):
        ids, scores = fitted.recommend([listener], 5, current_song=current_song)
        assert np.allclose(fitted.score(listener, ids[0][::-1], current_song=current_song), scores[0][::-1])


def test_heard_songs_are_left_out_unless_wanted(fitted, planted):
    listeners = planted.users.ids
    heard = planted.known.toarray() > 0
    ids, _ = fitted.recommend(listeners, planted.n_songs)
    for row, known in zip(ids, heard, strict=True):
        assert not set(row) & set(planted.songs.ids[known])
    everything, _ = fitted.recommend(listeners, planted.n_songs, exclude_heard=False)
    assert any(set(row) & set(planted.songs.ids[known]) for row, known in zip(everything, heard, strict=True))


def test_the_current_song_is_never_recommended(fitted, planted):
    current = planted.songs.ids[2]
    ids, _ = fitted.recommend(planted.users.ids, planted.n_songs, exclude_heard=False, current_song=current)
    assert current not in ids


def test_what_is_missing_is_padded(fitted, planted):
    ids, scores = fitted.recommend(planted.users.ids[:4], planted.n_songs + 3)
    assert np.array_equal(ids == -1, np.isnan(scores))
    assert (ids[:, -3:] == -1).all()


def test_same_rng_same_engine(fitted, planted):
    again = type(fitted).fit(planted, rng=np.random.default_rng(7))
    assert fitted.state.keys() == again.state.keys()
    assert all(np.array_equal(fitted.state[name], again.state[name]) for name in fitted.state)


@pytest.mark.parametrize("n", [0, -1])
def test_no_list_of_no_songs(fitted, planted, n):
    with pytest.raises(ParameterOutOfRange, match="at least one"):
        fitted.recommend(planted.users.ids[:1], n)


def test_unknown_ids_are_named(fitted, planted):
    listener, song = planted.users.ids[0], planted.songs.ids[0]
    with pytest.raises(UnknownListener, match="-5"):
        fitted.recommend([listener, -5], 3)
    with pytest.raises(UnknownSong, match="-6"):
        fitted.score(listener, [song, -6])
    with pytest.raises(UnknownSong, match="-7"):
        fitted.recommend([listener], 3, current_song=-7)
    with pytest.raises(UnknownListener):
        fitted.explain(-5, song)
    with pytest.raises(UnknownSong):
        fitted.explain(listener, -6)


def test_unknown_parameters_are_named(fitted, planted):
    with pytest.raises(ParameterOutOfRange, match="loudest_first"):
        type(fitted).fit(planted, {"loudest_first": True}, rng=np.random.default_rng(0))


def test_every_number_has_a_range_and_keeps_it(fitted, planted):
    for name, allowed in fitted.ranges.items():
        wrong = "no such word" if isinstance(allowed[0], str) else allowed[1] * 2 + 1
        with pytest.raises(ParameterOutOfRange, match=name):
            type(fitted).fit(planted, {name: wrong}, rng=np.random.default_rng(0))
    numbers = {name for name, value in fitted.defaults.items() if isinstance(value, int | float)}
    assert numbers - {name for name, value in fitted.defaults.items() if isinstance(value, bool)} <= set(fitted.ranges)


def test_no_engine_learns_from_nothing(fitted):
    with pytest.raises(TableNeeded, match=fitted.name):
        type(fitted).fit(Tables.from_frames(), rng=np.random.default_rng(0))


def test_reasons_are_shares_of_one_whole(fitted, planted):
    ids, _ = fitted.recommend(planted.users.ids[:12], 3)
    for listener, songs in zip(planted.users.ids[:12], ids, strict=True):
        for song in songs:
            reasons = fitted.explain(listener, song)
            assert reasons, (listener, song)
            shares = [reason.share for reason in reasons]
            assert all(0 <= share <= 1 for share in shares)
            assert sum(shares) <= 1 + 1e-9
            assert shares == sorted(shares, reverse=True)
            for reason in reasons:
                own = planted.songs.ids[planted.known[[planted.listener_rows([listener])[0]]].indices]
                assert set(reason.song_ids) <= set(own)


def test_a_listener_of_five_minutes_is_served_without_retraining(fitted, with_newcomer):
    standing = fitted.on(with_newcomer)
    ids, scores = standing.recommend([NEWCOMER], 10)
    assert np.isfinite(scores).all()
    assert all(np.array_equal(standing.state[name], fitted.state[name]) for name in fitted.state)
    assert not set(ids[0]) & set(with_newcomer.songs.ids[with_newcomer.known[[-1]].indices])


def test_newcomers_get_their_own_taste(fitted, with_newcomer, world):
    if fitted.name == "relevance":
        return  # the same for everybody, by design
    ids, _ = fitted.on(with_newcomer).recommend([NEWCOMER], 10)
    assert (world.taste_of_song[ids[0]] == 0).mean() >= 0.8


def test_one_listener_alone_is_served_as_among_all(fitted, world, planted):
    """The neighbours, factors and weights are in the state: the tables may hold nobody but the listener."""
    if fitted.name in ("relevance", "coolstart"):
        return  # these learn nothing from other listeners' plays but the order, which is that of the tables
    listener = world.history["user_id"].iloc[0]
    alone = Tables.from_frames(
        songs=world.songs,
        history=world.history[world.history["user_id"] == listener],
        ratings=world.ratings[world.ratings["user_id"] == listener],
    )
    assert np.array_equal(fitted.on(alone).recommend([listener], 10)[0], fitted.recommend([listener], 10)[0])


def test_a_song_unknown_at_fit_does_no_harm(fitted, world):
    new = world.songs.iloc[[0]].assign(song_id=77_777)
    songs = pd.concat([new, world.songs], ignore_index=True)
    tables = Tables.from_frames(songs=songs, history=world.history, ratings=world.ratings, users=world.users)
    listener = tables.users.ids[0]
    before = fitted.score(listener, world.songs["song_id"])
    after = fitted.on(tables).score(listener, world.songs["song_id"])
    tolerance = 0.02 if fitted.name == "relevance" else 1e-9  # one more song to stand above
    assert np.allclose(before, after, atol=tolerance, equal_nan=True)
    opinion = fitted.on(tables).score(listener, [77_777])[0]
    assert np.isfinite(opinion) == (fitted.name in ("relevance", "coolstart"))


def test_an_artefact_is_the_engine_bit_for_bit(fitted, planted, tmp_path):
    save(tmp_path / "model", fitted)
    loaded = load(tmp_path / "model", planted)
    assert type(loaded) is type(fitted)
    assert loaded.params == fitted.params
    assert loaded.state.keys() == dict(fitted.state).keys()
    for name, array in fitted.state.items():
        assert loaded.state[name].dtype == array.dtype
        assert loaded.state[name].tobytes() == array.tobytes()
    for one, other in zip(fitted.recommend(planted.users.ids, 5), loaded.recommend(planted.users.ids, 5), strict=True):
        assert np.array_equal(one, other)


def test_inputs_are_left_as_they_were(fitted, world):
    tables = world.tables()
    before = {name: frame.copy(deep=True) for name, frame in vars(world).items() if isinstance(frame, pd.DataFrame)}
    known, repetition = tables.known.copy(), tables.history.repetition.copy()
    listeners = tables.users.ids[:3].to_numpy().copy()
    engine = type(fitted).fit(tables, rng=np.random.default_rng(0))
    engine.recommend(listeners, 5, current_song=tables.songs.ids[0])
    engine.explain(listeners[0], tables.songs.ids[0])
    for name, frame in before.items():
        pd.testing.assert_frame_equal(getattr(world, name), frame)
    assert (tables.known != known).nnz == 0
    assert np.array_equal(tables.history.repetition, repetition)
    assert np.array_equal(listeners, tables.users.ids[:3])


def test_text_ids_serve_as_well(fitted, world):
    songs = world.songs.assign(song_id="song-" + world.songs["song_id"].astype(str))
    history = world.history.assign(song_id="song-" + world.history["song_id"].astype(str))
    tables = Tables.from_frames(songs=songs, history=history, users=world.users)
    ids, scores = type(fitted).fit(tables, rng=np.random.default_rng(0)).recommend(tables.users.ids[:2], tables.n_songs)
    assert ids.dtype == object
    assert np.array_equal(ids == -1, np.isnan(scores))
    assert set(ids[scores == scores]) <= set(songs["song_id"])


def test_a_listener_who_did_nothing_has_a_list_or_none(fitted, planted, world):
    users = pd.concat([world.users, pd.DataFrame({"user_id": [NEWCOMER]})], ignore_index=True)
    tables = Tables.from_frames(songs=world.songs, history=world.history, ratings=world.ratings, users=users)
    ids, scores = fitted.on(tables).recommend([NEWCOMER], 3)
    if fitted.name == "relevance":
        assert np.isfinite(scores).all()
    else:
        assert np.isnan(scores).all()
        assert (ids == -1).all()
        assert fitted.on(tables).explain(NEWCOMER, tables.songs.ids[0]) == ()
    ids, scores = fitted.on(tables).recommend([NEWCOMER], 3, current_song=tables.songs.ids[0])
    assert np.array_equal(ids == -1, np.isnan(scores))


def test_internal_subtables_warn_of_nothing(fitted, planted):
    """Warnings are errors here: a split made with `replace` must not tell again what the door told."""
    half = planted.history
    fewer = replace(
        half,
        listener_rows=half.listener_rows[::2],
        song_rows=half.song_rows[::2],
        repetition=half.repetition[::2],
        last_played_at=half.last_played_at[::2],
    )
    type(fitted).fit(replace(planted, history=fewer), rng=np.random.default_rng(0))


def test_what_a_listener_blocked_is_not_recommended_even_where_heard_songs_are(fitted, world, planted):
    song, artist, genre = world.songs.iloc[0], world.songs.iloc[1]["artist"], "salsa"
    users = world.users.assign(
        blocked_songs=np.where(world.users.index == 0, str(song["song_id"]), ""),
        blocked_artists=np.where(world.users.index == 0, artist, ""),
        blocked_genres=np.where(world.users.index == 1, genre, ""),
    )
    tables = Tables.from_frames(songs=world.songs, history=world.history, ratings=world.ratings, users=users)
    listeners = world.users["user_id"][:3]
    ids, _ = fitted.on(tables).recommend(listeners, tables.n_songs, exclude_heard=False)
    left = world.songs.set_index("song_id")
    first, second, third = (left.loc[row[row != -1]] for row in ids)
    assert song["song_id"] not in first.index
    assert artist not in set(first["artist"])
    assert genre not in set(second["genre"])
    assert len(first)
    assert len(second)
    alone = fitted.recommend(listeners[2:], tables.n_songs, exclude_heard=False)[0][0]
    assert third.index.tolist() == alone[alone != -1].tolist()
