"""Holding out hides what it hides, everywhere, and nothing else."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quasimusic.exceptions import MomentUnknown, ParameterOutOfRange, TableNeeded
from recommender.engines.splits import (
    Newcomers,
    folds,
    held_ratings,
    leave_last_out,
    leave_one_out,
    rating_folds,
    split,
    split_by_time,
)
from recommender.engines.tables import Tables

SPLITS = (split, split_by_time, leave_one_out, leave_last_out)
SOME_DAY = pd.Timestamp("2024-01-01T00:00Z")


def pairs(matrix):
    return set(zip(*(coords.tolist() for coords in matrix.tocoo().coords), strict=True))


def test_held_out_pairs_leave_history_and_ratings(planted):
    train, held_out = split(planted, rng=np.random.default_rng(0))
    assert pairs(train.known) | pairs(held_out) == pairs(planted.known)
    assert not pairs(train.repetitions) & pairs(held_out)
    assert not pairs(train.rating_matrix) & pairs(held_out)
    assert held_out.nnz == pytest.approx(0.2 * planted.known.nnz, rel=0.1)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_every_listener_keeps_something_on_both_sides(planted, fraction):
    train, held_out = split(planted, fraction=fraction, rng=np.random.default_rng(0))
    assert np.diff(train.known.indptr).min() >= 1
    assert np.diff(held_out.indptr).min() >= 1


def test_an_only_song_is_kept():
    history = pd.DataFrame({"user_id": [1, 2, 2], "song_id": [7, 7, 8], "repetition": [1, 1, 1]})
    train, held_out = split(Tables.from_frames(history=history), rng=np.random.default_rng(0))
    assert np.diff(train.known.indptr).tolist() == [1, 1]
    assert np.diff(held_out.indptr).tolist() == [0, 1]


def test_values_of_kept_entries_stay(planted):
    train, _ = split(planted, rng=np.random.default_rng(0))
    kept = train.repetitions.tocoo()
    np.testing.assert_array_equal(planted.repetitions[kept.coords[0], kept.coords[1]], kept.data)
    assert len(train.history.last_played_at) == len(train.history)


def test_split_follows_the_seed(planted):
    first, again, other = (split(planted, rng=np.random.default_rng(seed))[1] for seed in (1, 1, 2))
    assert pairs(first) == pairs(again) != pairs(other)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, float("nan")])
def test_fraction_must_be_a_share(planted, fraction):
    with pytest.raises(ParameterOutOfRange, match="fraction"):
        split(planted, fraction=fraction, rng=np.random.default_rng(0))


def test_folds_hold_out_each_pair_once(planted):
    held = [pairs(held_out) for _, held_out in folds(planted, n_folds=3, rng=np.random.default_rng(0))]
    assert set.union(*held) == pairs(planted.known)
    assert sum(map(len, held)) == planted.known.nnz


def test_rating_folds_hold_out_each_rating_once(planted):
    seen = set()
    for train, held in rating_folds(planted, n_folds=4, rng=np.random.default_rng(0)):
        assert len(train.ratings) + len(held) == len(planted.ratings)
        assert train.history is planted.history
        seen |= set(zip(held.listener_rows.tolist(), held.song_rows.tolist(), strict=True))
    assert seen == pairs(planted.rating_matrix)


@pytest.mark.parametrize("cut", [folds, rating_folds])
def test_one_fold_is_refused(planted, cut):
    with pytest.raises(ParameterOutOfRange, match="n_folds"):
        next(cut(planted, n_folds=1, rng=np.random.default_rng(0)))


@st.composite
def some_tables(draw):
    """A few listeners who played or rated a few songs, or both, each at some moment."""
    cells = st.tuples(st.integers(0, 4), st.integers(0, 6))
    played = sorted(draw(st.sets(cells, max_size=20)))
    rated = sorted(draw(st.sets(cells, min_size=1, max_size=20)))
    days = st.integers(0, 3)
    frames = {}
    for name, pairs, value, moment in (
        ("history", played, "repetition", "last_played_at"),
        ("ratings", rated, "rating", "rated_at"),
    ):
        frame = pd.DataFrame(pairs, columns=["user_id", "song_id"], dtype=int).assign(**{value: 3})
        frame[moment] = [SOME_DAY + pd.Timedelta(days=draw(days)) for _ in pairs]
        frames[name] = frame.astype({moment: "datetime64[ns, UTC]"})
    return Tables.from_frames(**frames, songs=pd.DataFrame({"song_id": range(7)}))


def slow_moments(tables):
    """When each pair was played or rated, the later of both."""
    moments = {}
    for events, times in ((tables.history, "last_played_at"), (tables.ratings, "rated_at")):
        for listener, song, moment in zip(events.listener_rows, events.song_rows, getattr(events, times), strict=True):
            pair = int(listener), int(song)
            moments[pair] = max(moment, moments.get(pair, moment))
    return moments


@pytest.mark.parametrize("cut", SPLITS)
@settings(max_examples=40, deadline=None)
@given(tables=some_tables(), seed=st.integers(0, 9))
def test_whatever_the_split_nothing_is_lost_nothing_doubled_and_everybody_keeps_something(cut, tables, seed):
    train, held_out = cut(tables, rng=np.random.default_rng(seed))
    hidden, kept = pairs(held_out), pairs(train.known)
    assert not hidden & kept
    assert hidden | kept == pairs(tables.known)
    n_known, n_held = (np.diff(matrix.indptr) for matrix in (tables.known, held_out))
    assert (n_held < n_known)[n_known > 0].all()
    assert (n_held >= 1)[n_known > 1].all()
    if cut in (leave_one_out, leave_last_out):
        assert (n_held <= 1).all()
    ratings = held_ratings(tables, held_out)
    assert len(ratings) + len(train.ratings) == len(tables.ratings)


@pytest.mark.parametrize("cut", [split_by_time, leave_last_out])
@settings(max_examples=40, deadline=None)
@given(tables=some_tables(), seed=st.integers(0, 9))
def test_by_time_nobody_is_asked_for_what_came_before_what_is_known(cut, tables, seed):
    train, held_out = cut(tables, rng=np.random.default_rng(seed))
    moments = slow_moments(tables)
    for listener in range(tables.n_listeners):
        known, hidden = ([moments[pair] for pair in pairs(m) if pair[0] == listener] for m in (train.known, held_out))
        assert not hidden or max(known) <= min(hidden)


def test_what_came_in_one_moment_is_hidden_by_chance(planted):
    history = pd.DataFrame({"user_id": 1, "song_id": range(10), "repetition": 1, "last_played_at": SOME_DAY})
    tables = Tables.from_frames(history=history)
    hidden = {leave_last_out(tables, rng=np.random.default_rng(seed))[1].indices[0] for seed in range(20)}
    assert len(hidden) > 4


@pytest.mark.parametrize("cut", [split_by_time, leave_last_out])
def test_without_moments_there_is_no_split_by_time(cut):
    history = pd.DataFrame({"user_id": 1, "song_id": [1, 2], "repetition": 1, "last_played_at": [SOME_DAY, None]})
    with pytest.raises(MomentUnknown, match="1 of 2 known songs have neither last_played_at"):
        cut(Tables.from_frames(history=history), rng=np.random.default_rng(0))


def test_newcomers_tell_one_song_after_the_other_and_are_asked_for_the_same(planted):
    newcomers = Newcomers.of(planted, n_told=5, rng=np.random.default_rng(0))
    new = set(newcomers.listeners.tolist())
    assert 1 < len(new) < planted.n_listeners / 2
    target = pairs(newcomers.held_out)
    before = set()
    for n in range(6):
        told, passed_over = pairs(newcomers.told(n).known), pairs(newcomers.passed_over(n))
        of_the_new = {pair for pair in told if pair[0] in new}
        assert len(of_the_new) == n * len(new)
        assert before <= of_the_new
        assert told | passed_over | target == pairs(planted.known)
        assert not told & passed_over
        assert not target & (told | passed_over)
        before = of_the_new
    assert not passed_over


def test_newcomers_are_drawn_from_those_who_can_be_asked_for_more():
    history = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "song_id": [7, 8, 7, 8, 7], "repetition": 1})
    tables = Tables.from_frames(history=history)
    assert len(set(Newcomers.of(tables, n_told=1, rng=np.random.default_rng(0)).listeners)) == 1
    with pytest.raises(TableNeeded, match="two listeners who know more than 2 songs; there are 0"):
        Newcomers.of(tables, n_told=2, rng=np.random.default_rng(0))
