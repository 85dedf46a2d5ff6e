"""Fan club: neighbours and their votes, against a slow twin and by behaviour."""

import numpy as np
import pandas as pd
import pytest

from quasimusic.exceptions import TableNeeded
from recommender.engines.metrics import evaluate
from recommender.engines.relevance import Relevance
from recommender.engines.splits import split
from recommender.engines.tables import Tables
from recommender.engines.user_based import UserBased


def fit(tables, seed=0, **params):
    return UserBased.fit(tables, params, rng=np.random.default_rng(seed))


def history(*rows):
    return Tables.from_frames(history=pd.DataFrame(rows, columns=["user_id", "song_id", "repetition"]))


def slow_scores(tables, n_neighbours, power):
    """The docstring of the engine, word by word, in loops."""
    plays = tables.repetitions.toarray()
    ratings = tables.rating_matrix.toarray()
    m, n = plays.shape
    vectors = np.zeros((m, n))
    for u in range(m):
        for s in range(n):
            if plays[u, s] or ratings[u, s]:
                preference = (ratings[u, s] - 1) / 4 if ratings[u, s] else 1.0
                vectors[u, s] = preference * (1 + np.log(max(plays[u, s], 1))) ** power
    heard_by = (vectors > 0).sum(axis=0)
    for s in range(n):
        vectors[:, s] *= np.log(1 + m / max(heard_by[s], 1))
    units = [vector / (np.linalg.norm(vector) or 1.0) for vector in vectors]
    scores = np.full((m, n), np.nan)
    for u in range(m):
        cosines = {v: units[u] @ units[v] for v in range(m) if v != u and units[u] @ units[v] > 0}
        nearest = sorted(cosines, key=lambda v: (-cosines[v], v))[:n_neighbours]
        for s in range(n):
            votes = sum(cosines[v] * units[v][s] for v in nearest)
            if votes > 0:
                scores[u, s] = votes / sum(cosines[v] for v in nearest)
    return scores


@pytest.mark.parametrize("power", [0.0, 0.25, 1.0])
def test_agrees_with_the_slow_twin(planted, power):
    engine = fit(planted, n_neighbours=9, repetition_power=power)
    scores = engine.score_rows(np.arange(planted.n_listeners))
    assert np.allclose(scores, slow_scores(planted, 9, power), equal_nan=True)


def test_neighbours_find_the_planted_taste(planted, world):
    ids, _ = fit(planted).recommend(planted.users.ids, 5)
    own = world.taste_of_listener[planted.users.ids].to_numpy()[:, None]
    offered = world.taste_of_song.to_numpy()[planted.song_rows(ids.ravel())].reshape(ids.shape)
    assert (offered == own).mean() > 0.9


def test_far_above_the_charts(planted):
    train, held_out = split(planted, rng=np.random.default_rng(0))
    charts = evaluate(Relevance.fit(train, rng=np.random.default_rng(0)), held_out)
    assert evaluate(fit(train), held_out).recall.mean > 1.5 * charts.recall.mean


def test_who_shares_no_song_has_no_say():
    tables = history((1, 10, 1), (1, 11, 1), (2, 10, 1), (2, 12, 1), (3, 13, 1), (3, 14, 1))
    engine = fit(tables)
    ids, scores = engine.recommend([1, 3], 5)
    assert ids.tolist() == [[12, -1, -1, -1, -1], [-1] * 5]
    assert np.isnan(scores[1]).all()


def test_nobody_is_their_own_neighbour():
    engine = fit(history((1, 10, 1), (1, 11, 1), (2, 10, 1)))
    assert np.isnan(engine.score(2, [10, 11])).tolist() == [False, False]
    assert np.isnan(engine.score(1, [10, 11])).tolist() == [False, True]


def test_a_song_rated_1_is_no_recommendation():
    ratings = pd.DataFrame({"user_id": [1, 2, 2, 2], "song_id": [10, 10, 11, 12], "rating": [5, 5, 1, 4]})
    ids, _ = fit(Tables.from_frames(ratings=ratings)).recommend([1], 3)
    assert ids.tolist() == [[12, -1, -1]]


def test_with_a_current_song_those_who_share_it_speak():
    tables = history((1, 10, 1), (2, 10, 1), (2, 20, 1), (3, 10, 1), (3, 30, 1), (3, 31, 1), (4, 30, 1), (4, 31, 1))
    engine = fit(tables)
    ids, _ = engine.recommend([1], 3, current_song=31)
    assert ids.tolist() == [[30, -1, -1]]
    assert set(engine.recommend([1], 3)[0][0]) == {20, 30, 31}


def test_a_current_song_that_nobody_shares_leaves_any_song():
    engine = fit(history((1, 10, 1), (1, 40, 1), (2, 10, 1), (2, 20, 1)))
    ids, _ = engine.recommend([1], 2, current_song=40)
    assert ids.tolist() == [[20, -1]]


def test_nearest_to_the_current_song_first():
    rows = [(1, 10, 1)]
    rows += [(u, s, 1) for u in (2, 3, 4) for s in (10, 50, 60)]  # 60 goes with 50
    rows += [(u, s, 1) for u in (5, 6, 7, 8, 9) for s in (10, 70)] + [(2, 70, 1), (3, 70, 1), (4, 70, 1)]
    tables = history(*rows)
    nearness = fit(tables, current_weight=1.0)
    ids, scores = nearness.recommend([1], 2, current_song=50)
    assert ids[0].tolist() == [60, 70]
    assert scores[0] == pytest.approx([1.0, 3 / np.sqrt(3 * 8)])


def test_explains_by_neighbours_counted_and_songs_shared():
    tables = history((1, 10, 1), (1, 11, 5), (2, 10, 1), (2, 20, 1), (3, 10, 1), (3, 11, 1), (3, 20, 1), (4, 99, 1))
    (reason,) = fit(tables).explain(1, 20)
    assert (reason.kind, reason.value, reason.share) == ("listeners", 2.0, 1.0)
    assert set(reason.song_ids) == {10, 11}
    assert fit(tables).explain(1, 99) == ()


@pytest.mark.parametrize("sampling", ["uniform", "distribution"])
def test_draws_are_seeded_and_stay_among_the_neighbours_songs(planted, sampling):
    listeners = planted.users.ids
    ids, scores = fit(planted, sampling=sampling, n_neighbours=60).recommend(listeners, 8)
    assert np.array_equal(ids, fit(planted, sampling=sampling, n_neighbours=60).recommend(listeners, 8)[0])
    assert not np.array_equal(ids, fit(planted, seed=1, sampling=sampling, n_neighbours=60).recommend(listeners, 8)[0])
    assert ((scores >= 0) & (scores <= 1)).all()
    heard_by_others = fit(planted, n_neighbours=1000).score_rows(np.arange(planted.n_listeners))
    songs = planted.song_rows(ids.ravel()).reshape(ids.shape)
    assert np.isfinite(np.take_along_axis(heard_by_others, songs, axis=1)).all()


def test_without_plays_and_ratings_there_are_no_fans():
    with pytest.raises(TableNeeded, match="user_based learns from history or ratings"):
        fit(Tables.from_frames(songs=pd.DataFrame({"song_id": ["a"]})))
