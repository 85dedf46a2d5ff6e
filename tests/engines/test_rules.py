"""What every list of the hybrid obeys, whatever the band, the weights, the window and the verdicts."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.hybrid import Hybrid, Rules, fit_engines
from recommender.engines.tables import Tables
from tests.engines.conftest import NOW

N_NEW = 9
MOMENT = np.datetime64(NOW.tz_localize(None), "ns")
DAYS = np.timedelta64(1, "D")


@pytest.fixture(scope="module")
def tables(world):
    """The planted world with a few songs that nobody has played, a newcomer and somebody who picked songs."""
    fresh = world.songs.head(N_NEW).assign(song_id=range(1, N_NEW + 1), popularity=np.nan)
    users = pd.concat([world.users, pd.DataFrame({"user_id": [1, 2], "songs": ["", f"{world.songs['song_id'][0]}"]})])
    songs = pd.concat([world.songs, fresh], ignore_index=True)
    return Tables.from_frames(songs=songs, history=world.history, ratings=world.ratings, users=users)


@pytest.fixture(scope="module")
def engines(tables):
    params = {"weighted_mf": {"n_factors": 8, "n_iterations": 3}}
    return fit_engines(tables, rng=np.random.default_rng(0), params=params)[0]


def heard_since(tables, listener, moment):
    """Songs of one listener that were played or rated since, or nobody knows when, or picked; one by one."""
    found = set(tables.users.songs[listener])
    for events, at in ((tables.history, tables.history.last_played_at), (tables.ratings, tables.ratings.rated_at)):
        for row, song, moment_of in zip(events.listener_rows, events.song_rows, at, strict=True):
            if row == listener and (np.isnat(moment_of) or moment_of >= moment):
                found.add(int(song))
    return found


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_list_obeys(tables, engines, data):
    rules = Rules(
        max_per_artist=data.draw(st.sampled_from([1, 2, 3])),
        window_days=data.draw(st.sampled_from([None, 0, 3, 30, 1000])),
        new_share=data.draw(st.sampled_from([None, 0.0, 0.1, 0.35, 1.0])),
    )
    listeners = data.draw(st.lists(st.integers(0, tables.n_listeners - 1), min_size=1, max_size=4, unique=True))
    n, m = data.draw(st.integers(1, 40)), len(listeners)
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    blocked = sparse.csr_array((rng.random((m, tables.n_songs)) < 0.3).astype(float))
    options = {
        "exclude": blocked,
        "weights": np.maximum(rng.random((m, len(engines))) - 0.3, 0.0) + 1e-3 * np.eye(len(engines))[[0] * m],
        "leaning": rng.uniform(-1, 1, m),
        "now": MOMENT,
    }
    hybrid = Hybrid(engines, rules=rules)
    ids, scores, shares = hybrid.blend(tables.users.ids[listeners], n, **options)
    again, _, _ = hybrid.blend(tables.users.ids[listeners], n, **options)
    assert np.array_equal(ids, again)  # stable within a visit
    np.testing.assert_allclose(shares.sum(axis=2), ids != -1)
    assert np.array_equal(np.isnan(scores), ids == -1)
    unplayed = np.flatnonzero(np.bincount(tables.known.indices, minlength=tables.n_songs) == 0)
    for place, listener in enumerate(listeners):
        listed = tables.song_rows(ids[place][ids[place] != -1])
        assert len(listed)  # seven songs in ten are not blocked
        assert len(set(listed.tolist())) == len(listed)
        assert (ids[place][: len(listed)] != -1).all()
        assert not set(listed.tolist()) & set(blocked[[place]].indices.tolist())
        _artists_are_capped(tables.songs.artists[listed], rules.max_per_artist)
        if rules.window_days is None:
            assert not set(listed.tolist()) & set(tables.familiar[[listener]].indices.tolist())
        elif rules.window_days > 0:
            barred = heard_since(tables, listener, MOMENT - rules.window_days * DAYS)
            assert not set(listed.tolist()) & barred
        if rules.new_share is not None and rules.new_share < 1:
            for length in range(1, min(len(listed), 10) + 1):  # then artists may run out
                assert np.isin(listed[:length], unplayed).sum() <= rules.new_share * length + 1e-9


def _artists_are_capped(artists, cap):
    for start in range(len(artists)):
        ten = artists[start : start + 10]
        assert np.unique(ten[ten >= 0], return_counts=True)[1].max(initial=0) <= cap


def test_what_was_heard_before_the_window_comes_back(tables, engines):
    listener = tables.users.ids[[3]]
    known = set(tables.songs.ids[tables.known[[3]].indices].tolist())
    every = tables.n_songs
    free = Rules(max_per_artist=None, window_days=0)
    assert known <= set(Hybrid(engines, rules=free).recommend(listener, every)[0][0].tolist())
    later = MOMENT + 20 * DAYS
    windowed = Hybrid(engines, rules=Rules(max_per_artist=None, window_days=30))
    back = set(windowed.blend(listener, every, now=later)[0][0].tolist()) & known
    assert back == {
        song for song in known if tables.song_rows([song])[0] not in heard_since(tables, 3, later - 30 * DAYS)
    }
    assert 0 < len(back) < len(known)
    whole = windowed.blend(listener, every, now=later, exclude_heard=False)[0][0]
    assert known <= set(whole.tolist())


def test_new_songs_get_their_places_by_the_scout(tables, engines):
    rules = Rules(max_per_artist=None, new_share=0.25)
    listener = tables.users.ids[[3]]
    ids = Hybrid(engines, rules=rules).recommend(listener, 12)[0][0]
    new = np.isin(ids, np.arange(1, N_NEW + 1))
    assert np.flatnonzero(new).tolist() == [3, 7, 11]
    liked = engines["coolstart"].score(listener[0], np.arange(1, N_NEW + 1))
    assert ids[new].tolist() == (np.argsort(-liked, kind="stable")[:3] + 1).tolist()


def test_where_there_is_nothing_but_new_songs_they_are_listed(world):
    tables = Tables.from_frames(songs=world.songs, users=world.users)
    engines, _ = fit_engines(tables, rng=np.random.default_rng(0))
    ids, _ = Hybrid(engines, rules=Rules(new_share=0.1)).recommend(tables.users.ids[:3], 10)
    assert (ids != -1).all()


def test_leaning_brings_familiar_artists_or_new_ones(tables, engines):
    hybrid, listeners = Hybrid(engines, rules=Rules(max_per_artist=None)), np.arange(30)
    counts = []
    for lean in (-1.0, 0.0, 1.0):
        ids, _, _ = hybrid.blend(tables.users.ids[listeners], 10, leaning=np.full(30, lean))
        counts.append(0)
        for listener, row in zip(listeners, ids, strict=True):
            own = tables.songs.artists[tables.familiar[[listener]].indices]
            counts[-1] += int(np.isin(tables.songs.artists[tables.song_rows(row[row != -1])], own).sum())
    assert counts[0] < counts[1] < counts[2]


def test_listeners_have_weights_of_their_own(tables, engines):
    names = list(engines)
    listeners = tables.users.ids[:2]
    own = np.array([[float(name == "coolstart") for name in names], [float(name == "item_based") for name in names]])
    ids, _, shares = Hybrid(engines).blend(listeners, 5, weights=own)
    for place, name in enumerate(("coolstart", "item_based")):
        alone = Hybrid(engines, {name: 1.0}).recommend(listeners, 5)[0]
        assert ids[place].tolist() == alone[place].tolist()
        assert (shares[place, :, names.index(name)] == 1).all()


@pytest.mark.parametrize(
    "wrong",
    [{"max_per_artist": 0}, {"window_days": -1}, {"window_days": np.inf}, {"new_share": 1.5}, {"new_share": -0.1}],
)
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ParameterOutOfRange, match=next(iter(wrong))):
        Rules(**wrong)


@pytest.mark.parametrize("row", [[0.0] * 5, [-1.0, 1, 1, 1, 1], [np.nan, 1, 1, 1, 1]])
def test_impossible_weights_of_a_listener_are_refused(tables, engines, row):
    with pytest.raises(ParameterOutOfRange, match="weights"):
        Hybrid(engines).blend(tables.users.ids[:1], 3, weights=np.array([row]))


def test_nobody_leans_further_than_to_the_end(tables, engines):
    with pytest.raises(ParameterOutOfRange, match="leans"):
        Hybrid(engines).blend(tables.users.ids[:1], 3, leaning=np.array([1.5]))
