"""The linear item-item autoencoder: its two forms, its constraint and its arithmetic."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from quasimusic.exceptions import ParameterOutOfRange, TableNeeded
from recommender.engines import item_based
from recommender.engines.item_based import ItemBased, dual, primal
from recommender.engines.metrics import evaluate
from recommender.engines.relevance import Relevance
from recommender.engines.splits import split
from recommender.engines.tables import Tables


def random_matrix(m, n, seed=0):
    return sparse.random_array((m, n), density=0.3, rng=np.random.default_rng(seed), format="csr")


def fit(tables, **params):
    return ItemBased.fit(tables, params, rng=np.random.default_rng(0))


def weights_of(inverse, diagonal, X, penalty):
    G = X.T @ inverse @ X.toarray()
    B = (G / penalty[:, None]) / (1 - diagonal / penalty)
    np.fill_diagonal(B, 0.0)
    return B


@pytest.mark.parametrize("shape", [(6, 11), (11, 6)])
def test_dual_is_primal(shape):
    X = random_matrix(*shape)
    penalty = np.random.default_rng(1).uniform(0.5, 3.0, shape[1])
    B = primal(X, penalty)
    assert not np.diag(B).any()
    np.testing.assert_allclose(weights_of(*dual(X, penalty), X, penalty), B, atol=1e-8)


def test_primal_is_the_constrained_ridge_regression():
    """Each column of B regresses a song on all others, so it can be had without the closed form."""
    X, penalty = random_matrix(12, 5), np.array([0.5, 1.0, 1.5, 2.0, 2.5])
    B, A = primal(X, penalty), X.toarray()
    for song in range(5):
        others = np.delete(np.arange(5), song)
        normal = A[:, others].T @ A[:, others] + np.diag(penalty[others])
        np.testing.assert_allclose(B[others, song], np.linalg.solve(normal, A[:, others].T @ A[:, song]), atol=1e-10)


@pytest.mark.parametrize("n_listeners", [60, 12])  # 12 listeners know more songs than they are: the dual form
def test_scores_are_the_matrix_product(world, n_listeners):
    few = world.history["user_id"].unique()[:n_listeners]
    tables = Tables.from_frames(songs=world.songs, history=world.history[world.history["user_id"].isin(few)])
    engine = fit(tables, regularisation=5.0)
    learned = np.unique(tables.known.indices)
    X = tables.known[:, learned]
    assert ("inverse" in engine.state) == (n_listeners < len(learned))
    expected = X @ primal(X, np.full(len(learned), 5.0))
    scores = engine.score_rows(np.arange(tables.n_listeners))
    np.testing.assert_allclose(scores[:, learned], expected, atol=1e-5)
    assert np.isnan(np.delete(scores, learned, axis=1)).all()


@pytest.mark.parametrize("n_listeners", [60, 12])
def test_explanation_sums_to_the_score(world, n_listeners):
    few = world.history["user_id"].unique()[:n_listeners]
    history = world.history[world.history["user_id"].isin(few)]
    engine = fit(Tables.from_frames(songs=world.songs, history=history), damping=1.0, dropout=0.2)
    ids, scores = engine.recommend(few[:3], 2, exclude_heard=False)
    for listener, song, score in zip(np.repeat(few[:3], 2), ids.ravel(), scores.ravel(), strict=True):
        row, song_row = engine.tables.listener_rows([listener])[0], engine.tables.song_rows([song])[0]
        song_rows, summands = engine.attribute(row, song_row)
        assert summands.sum() == pytest.approx(score, abs=1e-5)
        assert set(engine.tables.songs.ids[song_rows]) == set(history.loc[history["user_id"] == listener, "song_id"])
        reasons = engine.explain(listener, song)
        assert reasons[0].kind == "played"
        assert 0 < sum(reason.share for reason in reasons) <= 1 + 1e-9


def test_a_new_listener_is_served_and_a_new_song_is_not():
    history = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "song_id": [10, 11, 10, 11, 12], "repetition": 1})
    engine = fit(Tables.from_frames(history=history), regularisation=0.5)
    more = pd.concat([history, pd.DataFrame({"user_id": [4, 5], "song_id": [10, 99], "repetition": 1})])
    later = engine.on(Tables.from_frames(history=more))
    ids, _ = later.recommend([4], 1)
    assert ids.tolist() == [[11]]
    assert np.isnan(later.score(4, [99]))
    assert np.isnan(later.score(5, [10, 11])).all()


def test_a_song_rated_lowest_speaks_for_nothing():
    history = pd.DataFrame({"user_id": [1, 1, 2, 2], "song_id": [10, 11, 10, 11], "repetition": 1})
    ratings = pd.DataFrame({"user_id": [3], "song_id": [10], "rating": [1]})
    engine = fit(Tables.from_frames(history=history, ratings=ratings))
    assert np.isnan(engine.score(3, [11])).all()


def test_far_above_popularity(planted):
    train, held_out = split(planted, rng=np.random.default_rng(0))
    rng = np.random.default_rng(0)
    ours = evaluate(ItemBased.fit(train, rng=rng), held_out).ndcg
    theirs = evaluate(Relevance.fit(train, rng=rng), held_out).ndcg
    assert ours.mean > 1.5 * theirs.mean


@pytest.mark.parametrize("params", [{"regularisation": 0}, {"dropout": 1.0}, {"damping": "much"}])
def test_parameters_out_of_range(planted, params):
    with pytest.raises(ParameterOutOfRange, match=next(iter(params))):
        fit(planted, **params)


def test_needs_plays_or_ratings(world):
    with pytest.raises(TableNeeded, match="item_based learns from history or ratings"):
        fit(Tables.from_frames(songs=world.songs))
    assert fit(Tables.from_frames(ratings=world.ratings))


def test_songs_in_batches_are_those_at_once(monkeypatch):
    X, penalty = random_matrix(6, 11), np.full(11, 2.0)
    _, whole = dual(X, penalty)
    monkeypatch.setattr(item_based, "BATCH_SONGS", 4)
    np.testing.assert_allclose(dual(X, penalty)[1], whole)
