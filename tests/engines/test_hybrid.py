"""The music manager: one scale, fair averages, capped artists, honest shares."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from quasimusic.exceptions import (
    EngineFault,
    ParameterOutOfRange,
    TableNeeded,
    UnknownEngine,
    UnknownListener,
    UnknownSong,
)
from recommender.engines import ENGINES
from recommender.engines import hybrid as hybrid_module
from recommender.engines.hybrid import Hybrid, Rules, fit_engines
from recommender.engines.metrics import evaluate
from recommender.engines.ranking import capped_top_n
from recommender.engines.splits import split
from recommender.engines.tables import Tables

SMALL = {"weighted_mf": {"n_factors": 8, "n_iterations": 5}}
NAN = np.nan


def fit(tables, **options):
    return Hybrid.fit(tables, rng=np.random.default_rng(0), params=SMALL, **{"strategy": "uniform", **options})


@pytest.fixture(scope="module")
def hybrid(planted):
    return fit(planted)


def test_keeps_the_contract(hybrid, planted):
    listeners = planted.users.ids[:5]
    ids, scores = hybrid.recommend(listeners, 7)
    assert ids.shape == scores.shape == (5, 7)
    assert ids.dtype == planted.songs.ids.dtype
    assert (np.diff(scores, axis=1) <= 0).sum() >= 25  # the cap alone may bring a lower score forward
    for listener, its_ids, its_scores in zip(listeners, ids, scores, strict=True):
        np.testing.assert_allclose(hybrid.score(listener, its_ids), its_scores)
        assert not planted.known[planted.listener_rows([listener])][:, planted.song_rows(its_ids)].nnz
        alone = hybrid.recommend([listener], 7)[0][0]
        assert alone.tolist() == its_ids.tolist()


def test_shares_are_of_each_song_and_sum_to_one(hybrid, planted):
    ids, scores, shares = hybrid.blend(planted.users.ids, 10)
    assert shares.shape == (*ids.shape, len(hybrid.engines))
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=2), np.where(np.isnan(scores), 0.0, 1.0))


def test_far_above_relevance(planted):
    train, held_out = split(planted, rng=np.random.default_rng(0))
    whole = fit(train)
    assert evaluate(whole, held_out).ndcg.mean > 1.5 * evaluate(whole.engines["relevance"], held_out).ndcg.mean


def test_accuracy_learns_weights_not_worse_than_uniform_would_be(planted):
    learned = fit(planted, strategy="accuracy")
    assert sum(learned.weights.values()) == pytest.approx(1.0)
    assert min(learned.weights.values()) >= 0
    train, held_out = split(planted, rng=np.random.default_rng(1))
    learned = fit(train, strategy="accuracy")
    alone = {name: evaluate(learned.reweighted({name: 1.0}), held_out) for name in learned.engines}
    found = evaluate(learned, held_out)
    best = max(alone.values(), key=lambda metrics: metrics.ndcg.mean)
    assert found.less(best, "ndcg")["ndcg"].high > 0
    assert found.ndcg.mean > evaluate(learned.reweighted(dict.fromkeys(learned.engines, 1.0)), held_out).ndcg.mean


def test_accuracy_without_two_songs_of_anybody_is_uniform():
    history = pd.DataFrame({"user_id": [1, 2], "song_id": [5, 6], "repetition": 1})
    songs = pd.DataFrame({"song_id": [5, 6], "popularity": [1, 2]})
    assert len(set(fit(Tables.from_frames(songs=songs, history=history), strategy="accuracy").weights.values())) == 1


def test_an_engine_without_its_table_is_left_out_by_name(world):
    whole = fit(Tables.from_frames(songs=world.songs, users=world.users))
    assert "weighted_mf" in whole.left_out
    assert "history or ratings" in whole.left_out["weighted_mf"]
    assert set(whole.engines) | set(whole.left_out) == set(ENGINES)
    ids, _ = whole.recommend(world.users["user_id"][:2], 3)
    assert (ids != -1).all()
    assert whole.on(whole.tables).left_out == whole.left_out


def test_nothing_to_learn_from_is_said():
    with pytest.raises(TableNeeded, match="no engine has what it needs"):
        fit_engines(Tables.from_frames(), rng=np.random.default_rng(0))


def test_weights_decide(hybrid, planted):
    alone = hybrid.reweighted({"user_based": 3.0})
    assert alone.weights["user_based"] == 1.0
    assert alone.tables is hybrid.tables
    ids, _ = alone.recommend(planted.users.ids[:4], 1)
    theirs, _ = hybrid.engines["user_based"].recommend(planted.users.ids[:4], 1)
    assert ids.tolist() == theirs.tolist()


@pytest.mark.parametrize("weights", [{"relevance": -1.0}, {"relevance": 0.0}, {"relevance": NAN}, {}])
def test_impossible_weights(hybrid, weights):
    with pytest.raises(ParameterOutOfRange, match="weights"):
        hybrid.reweighted(weights)


def test_unknown_names(hybrid):
    with pytest.raises(UnknownEngine, match="kazoo"):
        hybrid.reweighted({"kazoo": 1.0})
    with pytest.raises(UnknownListener):
        hybrid.recommend([-5], 3)
    with pytest.raises(UnknownSong):
        hybrid.score(hybrid.tables.users.ids[0], [-5])
    with pytest.raises(ParameterOutOfRange, match="strategy"):
        fit(hybrid.tables, strategy="vibes")
    with pytest.raises(ParameterOutOfRange, match="n is 0"):
        hybrid.recommend(hybrid.tables.users.ids[:1], 0)
    with pytest.raises(ParameterOutOfRange, match="max_per_artist"):
        Rules(max_per_artist=0)
    with pytest.raises(EngineFault, match="at least one engine"):
        Hybrid({})


def test_excluded_and_current_songs_are_not_shown(hybrid, planted):
    listeners = planted.users.ids[[3, 1]]
    first, _, _ = hybrid.blend(listeners, 2)
    exclude = sparse.lil_array((2, planted.n_songs))
    for place, song_id in enumerate(first[:, 0]):
        exclude[place, planted.song_rows([song_id])[0]] = 1.0
    second, _, _ = hybrid.blend(listeners, 2, exclude=exclude.tocsr())
    assert second[:, 0].tolist() == first[:, 1].tolist()
    current = first[0, 0]
    assert current not in hybrid.recommend(listeners, 10, current_song=current)[0]


def test_artists_are_capped_in_each_ten_places(hybrid, planted):
    ids, _ = hybrid.recommend(planted.users.ids, 20)
    artists = planted.songs.artists[planted.song_rows(ids.ravel())].reshape(ids.shape)
    for row in artists:
        for ten in (row[start : start + 10] for start in range(11)):
            assert np.unique(ten, return_counts=True)[1].max() <= 2


def test_cap_by_hand():
    artists = np.array([7, 7, 7, 8, -1, -1, -1])
    scores = np.array([[9.0, 8.0, 7.0, 6.0, 5.0, 4.0, NAN]])
    columns, values = capped_top_n(scores, 4, artists, 2)
    assert columns.tolist() == [[0, 1, 3, 4]]
    assert values.tolist() == [[9.0, 8.0, 6.0, 5.0]]
    assert capped_top_n(scores, 7, artists, 1)[0].tolist() == [[0, 3, 4, 5, -1, -1, -1]]  # nothing else is allowed


def test_cap_looks_as_deep_as_it_must():
    """One artist holds the first 500 places."""
    artists = np.repeat([0, 1, 2], [500, 2, 2])
    scores = -np.arange(504.0)[None, :]
    assert capped_top_n(scores, 6, artists, 2)[0].tolist() == [[0, 1, 500, 501, 502, 503]]


def test_a_passed_over_song_comes_as_soon_as_any_ten_places_allow_it():
    artists = np.array([0, 0, 0, *range(1, 20)])
    columns, _ = capped_top_n(-np.arange(22.0)[None, :], 12, artists, 2)
    assert columns.tolist() == [[0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 2, 11]]


def test_shorter_lists_begin_longer_ones(hybrid, planted):
    short, _ = hybrid.recommend(planted.users.ids, 5)
    long, _ = hybrid.recommend(planted.users.ids, 25)
    assert (long[:, :5] == short).all()


def test_reasons_name_their_engines_and_share_the_whole(hybrid, planted):
    listener = planted.users.ids[0]
    ids, _, shares = hybrid.blend([listener], 1)
    reasons = hybrid.explain(listener, ids[0, 0])
    assert {reason.detail for reason in reasons} <= set(hybrid.engines)
    assert 0 < sum(reason.share for reason in reasons) <= 1 + 1e-9
    for name, share in zip(hybrid.engines, shares[0, 0], strict=True):
        assert sum(reason.share for reason in reasons if reason.detail == name) <= share + 1e-9


def test_a_newcomer_is_served_by_those_who_can(hybrid, world):
    users = pd.concat([world.users, pd.DataFrame({"user_id": [1]})])
    tables = Tables.from_frames(songs=world.songs, history=world.history, ratings=world.ratings, users=users)
    ids, scores, shares = hybrid.on(tables).blend([1], 5)
    assert (ids != -1).all()
    assert np.isfinite(scores).all()
    silent = [name in ("weighted_mf", "user_based", "item_based") for name in hybrid.engines]
    assert not shares[0, :, silent].any()


def test_listeners_in_batches_are_those_at_once(hybrid, planted, monkeypatch):
    whole = hybrid.blend(planted.users.ids, 5)
    monkeypatch.setattr(hybrid_module, "BATCH_FLOATS", 1)
    for batched, at_once in zip(hybrid.blend(planted.users.ids, 5), whole, strict=True):
        np.testing.assert_allclose(batched, at_once, atol=1e-6)  # engines may score in single precision


@pytest.mark.parametrize("window_days", [None, 0, 30])
def test_what_is_blocked_is_in_no_list_whatever_the_rules(hybrid, world, window_days):
    users = world.users.assign(
        blocked_songs=world.songs["song_id"].iloc[0].astype(str),
        blocked_artists=world.songs["artist"].iloc[1],
        blocked_genres=["salsa" if place % 2 else "" for place in range(len(world.users))],
    )
    tables = Tables.from_frames(songs=world.songs, history=world.history, ratings=world.ratings, users=users)
    rules = Rules(window_days=window_days, new_share=0.3)
    engines = {name: engine.on(tables) for name, engine in hybrid.engines.items()}
    ids, _ = Hybrid(engines, rules=rules).recommend(users["user_id"], 60)
    songs = world.songs.set_index("song_id")
    for place, row in enumerate(ids):
        listed = songs.loc[row[row != -1]]
        assert len(listed)
        assert world.songs["song_id"].iloc[0] not in listed.index
        assert world.songs["artist"].iloc[1] not in set(listed["artist"])
        assert place % 2 == 0 or "salsa" not in set(listed["genre"])
