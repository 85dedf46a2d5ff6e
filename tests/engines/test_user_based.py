"""Fan club: neighbours and their votes, against a slow twin and by behaviour."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from quasimusic.exceptions import RowWithoutFeatures, TableNeeded
from recommender.engines.compressed import Compressed
from recommender.engines.content import learn_content, points
from recommender.engines.metrics import evaluate
from recommender.engines.neighbours import DISTRIBUTION, NOBODY, UNIFORM, nearest
from recommender.engines.relevance import Relevance
from recommender.engines.splits import split
from recommender.engines.tables import Tables
from recommender.engines.threads import bounded
from recommender.engines.user_based import CONTENT, SAMPLINGS, UserBased


def fit(tables, seed=0, **params):
    return UserBased.fit(tables, params, rng=np.random.default_rng(seed))


def history(*rows):
    return Tables.from_frames(history=pd.DataFrame(rows, columns=["user_id", "song_id", "repetition"]))


def slow_histories(tables, repetition_power, rarity_power):
    """Weighted histories by the docstring of the engine, in loops, float64 (m, n)."""
    plays, ratings = tables.repetitions.toarray(), tables.rating_matrix.toarray()
    m, n = plays.shape
    vectors = np.zeros((m, n))
    for u in range(m):
        for s in range(n):
            if plays[u, s] or ratings[u, s]:
                preference = (ratings[u, s] - 1) / 4 if ratings[u, s] else 1.0
                vectors[u, s] = preference * (1 + np.log(max(plays[u, s], 1))) ** repetition_power
    heard_by = (vectors > 0).sum(axis=0)
    for s in range(n):
        vectors[:, s] *= np.log(1 + m / max(heard_by[s], 1)) ** rarity_power
    return vectors


def slow_centroids(tables, vectors):
    """Weighted means of the songs' points, block by block over the songs that have it, of length 1."""
    space = learn_content(tables.songs, CONTENT)
    songs = points(tables.songs, space)
    song_vectors = np.hstack([songs.line, np.zeros((len(songs), len(songs.name_scales)))])
    for song, codes in enumerate(songs.codes):
        for code in codes:
            song_vectors[song, songs.line.shape[1] + code] += songs.name_scales[code]
    known = songs.known[:, np.concatenate([songs.line_blocks, songs.name_blocks])]
    centroids = np.zeros((len(vectors), song_vectors.shape[1]))
    for u, vector in enumerate(vectors):
        for axis in range(song_vectors.shape[1]):
            weights = vector * known[:, axis]
            if weights.sum():
                centroids[u, axis] = weights @ song_vectors[:, axis] / weights.sum()
        centroids[u] /= np.linalg.norm(centroids[u]) or 1.0
    return centroids


def slow_scores(tables, params):
    """The docstring of the engine, word by word, in loops."""
    vectors = slow_histories(tables, params["repetition_power"], params["rarity_power"])
    m, n = vectors.shape
    lengths = [np.linalg.norm(vector) or 1.0 for vector in vectors]
    power = params["length_power"]
    parts = [vectors[u] / (lengths[u] ** power * max(lengths) ** (1 - power)) for u in range(m)]
    centroids = slow_centroids(tables, vectors)
    scores = np.full((m, n), np.nan)
    for u in range(m):
        likeness = {}
        for v in range(m):
            together = vectors[u] / lengths[u] @ parts[v]
            if v != u and together > 0:
                likeness[v] = together * (1 + params["centroid_share"] * (centroids[u] @ centroids[v]))
        nearest = sorted(likeness, key=lambda v: (-likeness[v], v))[: params["n_neighbours"]]
        for s in range(n):
            votes = sum(likeness[v] * parts[v][s] for v in nearest)
            if votes > 0:
                scores[u, s] = votes / sum(likeness[v] for v in nearest)
    return scores


@pytest.mark.parametrize(
    "params",
    [
        {"repetition_power": 0.0, "rarity_power": 1.0, "length_power": 1.0, "centroid_share": 0.0},
        {"repetition_power": 0.25, "rarity_power": 1.25, "length_power": 0.5, "centroid_share": 0.5},
        {"repetition_power": 1.0, "rarity_power": 0.0, "length_power": 0.0, "centroid_share": 1.0},
    ],
)
def test_agrees_with_the_slow_twin(planted, params):
    engine = fit(planted, n_neighbours=9, **params)
    scores = engine.score_rows(np.arange(planted.n_listeners))
    np.testing.assert_allclose(scores, slow_scores(planted, {"n_neighbours": 9, **params}), rtol=1e-5)
    assert np.nanmax(scores) <= 1


def compressed(rng, m, n, density):
    matrix = sparse.random_array((m, n), density=density, rng=rng, format="csr")
    matrix.data = np.ceil(4 * matrix.data)  # whole numbers: who is alike is so to the last digit
    return matrix


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 12), st.integers(1, 8), st.integers(1, 14), st.sampled_from(SAMPLINGS), st.data()
)
def test_the_nearest_are_those_of_a_full_sort(m, n_members, n_songs, n, sampling, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    own, members = compressed(rng, m, n_songs, 0.5), compressed(rng, n_members, n_songs, 0.5)
    own_centroids, centroids = rng.choice([-1, 0, 1], (m, 1)), rng.choice([-1, 0, 1], (n_members, 1))
    itself, candidates = rng.integers(-1, n_members, m), rng.random(n_members) < 0.5
    found, likenesses = nearest(
        Compressed.of(own),
        itself,
        own_centroids.astype(np.float32),
        Compressed.of(members.T.tocsr()),
        centroids.astype(np.float32),
        0.5,
        candidates,
        SAMPLINGS.index(sampling),
        7,
        np.arange(m),
        n,
    )
    together = (own @ members.T).toarray()
    together[np.flatnonzero(itself >= 0), itself[itself >= 0]] = 0
    for row in range(m):
        allowed = candidates if (together[row] * candidates).any() else np.ones(n_members, dtype=bool)
        likeness = together[row] * allowed * (1 + 0.5 * (centroids @ own_centroids[row]))
        listed = found[row][found[row] != NOBODY]
        assert len(listed) == min(n, (likeness > 0).sum())
        assert (np.diff(listed) > 0).all()
        assert likenesses[row][: len(listed)].tolist() == likeness[listed].tolist()
        assert (likeness[listed] > 0).all()
        if sampling == "top_n":
            best = sorted(np.flatnonzero(likeness), key=lambda member: (-likeness[member], member))[:n]
            assert listed.tolist() == sorted(best)


def test_draws_of_neighbours_are_in_proportion():
    """Of two members, one three times as near: drawn three times as often, or alike."""
    m = 4000
    own = sparse.csr_array(np.ones((m, 1)))
    by_song = sparse.csr_array(np.array([[3.0, 1.0]]))
    nothing = np.zeros((m, 0), dtype=np.float32)
    for sampling, expected in ((UNIFORM, 0.5), (DISTRIBUTION, 0.75)):
        found, _ = nearest(
            Compressed.of(own), np.full(m, -1), nothing, Compressed.of(by_song), nothing[:2], 0.0,
            np.ones(2, dtype=bool), sampling, 1, np.arange(m), 1,
        )  # fmt: skip
        assert (found == 0).mean() == pytest.approx(expected, abs=0.03)


def test_batches_and_threads_change_nothing(planted):
    engine, rows = fit(planted, sampling="distribution"), np.arange(planted.n_listeners)
    whole = engine.score_rows(rows)
    for n in (1, 3):
        with bounded(n):
            assert np.array_equal(engine.score_rows(rows), whole, equal_nan=True)
    alone = np.vstack([engine.score_rows(rows[[row]]) for row in rows])
    assert np.array_equal(alone, whole, equal_nan=True)


def test_likeness_in_content_makes_neighbours_and_silence_does_not():
    songs = pd.DataFrame({"song_id": [1, 2, 3, 4, 5], "energy": [0.9, 0.8, 0.1, np.nan, np.nan]})
    plays = pd.DataFrame({"user_id": [1, 1, 2, 2, 2, 3, 3, 3], "song_id": [1, 4, 4, 2, 5, 4, 3, 5], "repetition": 1})
    with pytest.warns(RowWithoutFeatures):
        tables = Tables.from_frames(songs=songs, history=plays)
    likely, unlikely = fit(tables, centroid_share=0.5).score(1, [2, 3])
    assert likely > unlikely
    assert np.ptp(fit(tables, centroid_share=0.0).score(1, [2, 3])) == pytest.approx(0)
    silent = Tables.from_frames(songs=songs[["song_id"]], history=plays)
    assert np.array_equal(fit(silent).score(1, [2, 3]), fit(silent, centroid_share=0.0).score(1, [2, 3]))


def test_songs_gone_or_moved_since_the_fit_are_never_mistaken():
    plays = pd.DataFrame({"user_id": [1, 1, 2, 2, 2], "song_id": [10, 11, 10, 12, 11], "repetition": 1})
    engine = fit(Tables.from_frames(history=plays))
    songs = pd.DataFrame({"song_id": [77, 12, 10]})  # 11 is gone, the others stand elsewhere
    later = engine.on(Tables.from_frames(songs=songs, history=plays[plays["song_id"] != 11]))
    assert later.recommend([1], 3)[0].tolist() == [[12, -1, -1]]


def test_a_new_listener_is_folded_in():
    plays = pd.DataFrame({"user_id": [1, 1, 2, 2], "song_id": [10, 11, 12, 13], "repetition": 1})
    engine = fit(Tables.from_frames(history=plays))
    more = pd.concat([plays, pd.DataFrame({"user_id": [3, 4], "song_id": [12, 99], "repetition": 1})])
    later = engine.on(Tables.from_frames(history=more))
    assert later.recommend([3, 4], 2)[0].tolist() == [[13, -1], [-1, -1]]


@pytest.mark.parametrize(
    "frames",
    [
        {"history": pd.DataFrame({"user_id": [1], "song_id": [10], "repetition": 1})},
        {"history": pd.DataFrame({"user_id": [1, 1], "song_id": [10, 11], "repetition": [10**9, 1]})},
        {"history": pd.DataFrame({"user_id": [1, 2, 2], "song_id": [10, 10, 11], "repetition": 10**9})},
        {"ratings": pd.DataFrame({"user_id": [1, 2, 2], "song_id": [10, 10, 11], "rating": 3})},
        {"ratings": pd.DataFrame({"user_id": [1, 2], "song_id": [10, 10], "rating": 1})},
    ],
    ids=["one play", "one listener", "a billion plays", "ratings all equal", "all rated lowest"],
)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_smallest_and_the_strangest_tables(frames, sampling):
    songs, users = pd.DataFrame({"song_id": [10, 11, 13]}), pd.DataFrame({"user_id": [1, 9]})
    tables = Tables.from_frames(songs=songs, users=users, **frames)  # 9 plays nothing, nobody plays 13
    for current_song in (None, 13):
        ids, scores = fit(tables, sampling=sampling).recommend(tables.users.ids, 3, current_song=current_song)
        assert np.array_equal(ids == -1, np.isnan(scores))
        assert not np.isinf(scores).any()
        assert (ids[1] == -1).all()
        assert 13 not in ids


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
