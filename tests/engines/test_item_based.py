"""The linear item-item autoencoder: its forms against each other and slow twins, its constraint and its arithmetic."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from quasimusic.exceptions import EngineFault, ParameterOutOfRange, TableNeeded
from recommender.engines import autoencoder, compressed, threads
from recommender.engines.autoencoder import dual, primal, sparse_weights
from recommender.engines.compressed import gram
from recommender.engines.item_based import EXACT_SONGS, ItemBased
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


def slow_weights(X, penalty, companions):
    """Each song regressed on its own companions, one by one."""
    A = X.toarray()
    B = np.zeros((A.shape[1], A.shape[1]))
    for song, own in enumerate(companions):
        if len(own):
            normal = A[:, own].T @ A[:, own] + np.diag(penalty[own])
            B[own, song] = np.linalg.solve(normal, A[:, own].T @ A[:, song])
    return B


def slow_companions(X, n):
    """The n songs with the highest cosine to each, best first, of two alike the lower; none that shares nothing."""
    A = X.toarray()
    companions = []
    for song in range(A.shape[1]):
        cosine = {
            other: A[:, song] @ A[:, other] / np.sqrt(A[:, other] @ A[:, other])
            for other in range(A.shape[1])
            if other != song and A[:, song] @ A[:, other] > 0
        }
        companions.append(sorted(cosine, key=lambda other: (-cosine[other], other))[:n])
    return companions


shapes = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))


@settings(max_examples=25, deadline=None)
@given(shapes)
def test_dual_is_primal(shape):
    X = random_matrix(*shape)
    penalty = np.random.default_rng(1).uniform(0.5, 3.0, shape[1])
    B = primal(X, penalty)
    assert not np.diag(B).any()
    np.testing.assert_allclose(weights_of(*dual(X, penalty), X, penalty), B, rtol=0, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(shapes)
def test_the_product_with_itself_is_that_of_arrays(shape):
    X = random_matrix(*shape)
    np.testing.assert_allclose(gram(X), X.toarray().T @ X.toarray(), atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(shapes, st.integers(1, 12))
def test_sparse_weights_are_those_of_one_regression_a_song(shape, n_companions):
    X = (3 * random_matrix(*shape)).ceil()  # whole numbers: songs that are alike are so to the last digit
    penalty = np.random.default_rng(1).uniform(0.5, 3.0, shape[1])
    expected = slow_weights(X, penalty, slow_companions(X, n_companions))
    np.testing.assert_allclose(sparse_weights(X, penalty, n_companions).toarray(), expected, atol=1e-6)


def test_with_every_song_a_companion_the_sparse_form_is_exact():
    X = sparse.csr_array(random_matrix(30, 12).toarray() + 0.1)
    penalty = np.full(12, 2.0)
    np.testing.assert_allclose(sparse_weights(X, penalty, 11).toarray(), primal(X, penalty), atol=1e-6)


def test_primal_is_the_constrained_ridge_regression():
    """Each column of B regresses a song on all others, so it can be had without the closed form."""
    X, penalty = random_matrix(12, 5), np.array([0.5, 1.0, 1.5, 2.0, 2.5])
    others = [np.delete(np.arange(5), song) for song in range(5)]
    np.testing.assert_allclose(primal(X, penalty), slow_weights(X, penalty, others), atol=1e-10)


def test_small_blocks_and_threads_change_nothing(monkeypatch):
    X, penalty = random_matrix(40, 30), np.full(30, 2.0)
    whole = primal(X, penalty), dual(X, penalty)[1], sparse_weights(X, penalty, 7).toarray()
    monkeypatch.setattr(autoencoder, "COLUMNS", 4)
    monkeypatch.setattr(autoencoder, "GROUP", 7)
    monkeypatch.setattr(autoencoder, "BLOCK_FLOATS", 60)
    monkeypatch.setattr(compressed, "BLOCK_FLOATS", 60)
    for n in (1, 3):
        with threads.bounded(n):
            parts = primal(X, penalty), dual(X, penalty)[1], sparse_weights(X, penalty, 7).toarray()
        for one, other in zip(whole, parts, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-7)


def test_companions_beyond_what_a_group_holds_are_left_out(monkeypatch):
    """Memory is bounded: of more companions than fit, the strongest of every song come first."""
    X, penalty = random_matrix(60, 40), np.full(40, 2.0)
    monkeypatch.setattr(autoencoder, "GROUP", 4)
    monkeypatch.setattr(autoencoder, "N_TOGETHER", 12)
    B = sparse_weights(X, penalty, 39)
    counts = np.bincount(B.tocoo().col, minlength=40)
    assert (counts <= 11).all()
    strongest = [own[0] for own in slow_companions(X, 1)]
    assert all(B.toarray()[strongest, np.arange(40)] != 0)


def test_equations_beyond_double_precision_are_named():
    ones = sparse.csr_array(np.full((3, 2), 1e12))
    with pytest.raises(EngineFault, match="raise regularisation"):
        primal(ones, np.full(2, 1e-6))


FORMS = ("primal", "dual", "sparse")


@pytest.mark.parametrize("form", FORMS)
def test_scores_are_the_matrix_product(planted, form):
    engine = fit(planted, form=form, dropout=0.0, damping=0.0, n_companions=200)
    learned = np.unique(planted.known.indices)
    X = item_based_input(planted)[:, learned]
    penalty = np.full(len(learned), 4.0 * X.power(2).sum() / len(learned))
    B = slow_weights(X, penalty, slow_companions(X, 200)) if form == "sparse" else primal(X, penalty)
    scores = engine.score_rows(np.arange(planted.n_listeners))
    unconnected = X.toarray() @ (B != 0) == 0  # none of the listener's songs has a weight
    np.testing.assert_allclose(scores[:, learned], np.where(unconnected, np.nan, X @ B), atol=1e-5)
    assert np.isnan(np.delete(scores, learned, axis=1)).all()


def item_based_input(tables):
    """(rating - 1) / 4 of what is rated, 1 for what is only played."""
    ratings, plays = tables.rating_matrix.toarray(), tables.repetitions.toarray()
    return sparse.csr_array(np.where(ratings > 0, (ratings - 1) / 4, plays > 0))


@pytest.mark.parametrize(("n_listeners", "form"), [(60, "dual"), (600, "primal")])
def test_few_songs_take_the_exact_form_of_the_smaller_side(n_listeners, form):
    X = random_matrix(n_listeners, 80)
    history = pd.DataFrame({"user_id": X.tocoo().row, "song_id": X.tocoo().col, "repetition": 1})
    engine = fit(Tables.from_frames(history=history))
    assert ("inverse" in engine.state, "weights" in engine.state) == (form == "dual", form == "primal")


def test_many_songs_take_the_sparse_form():
    n = EXACT_SONGS + 1
    history = pd.DataFrame({"user_id": np.arange(n) // 5, "song_id": np.arange(n), "repetition": 1})
    engine = fit(Tables.from_frames(history=history))
    assert not {"inverse", "weights"} & set(engine.state)
    assert len(engine.state["data"]) == 4 * n - 4


@pytest.mark.parametrize("form", FORMS)
def test_explanation_sums_to_the_score(world, form):
    tables = Tables.from_frames(songs=world.songs, history=world.history)
    engine = fit(tables, damping=1.0, form=form)
    few = world.history["user_id"].unique()[:3]
    ids, scores = engine.recommend(few, 2, exclude_heard=False)
    for listener, song, score in zip(np.repeat(few, 2), ids.ravel(), scores.ravel(), strict=True):
        row, song_row = engine.tables.listener_rows([listener])[0], engine.tables.song_rows([song])[0]
        song_rows, summands = engine.attribute(row, song_row)
        assert summands.sum() == pytest.approx(score, abs=1e-5)
        heard = world.history.loc[world.history["user_id"] == listener, "song_id"]
        assert set(engine.tables.songs.ids[song_rows]) == set(heard)
        reasons = engine.explain(listener, song)
        assert reasons[0].kind == "played"
        assert 0 < sum(reason.share for reason in reasons) <= 1 + 1e-9


@pytest.mark.parametrize("form", FORMS)
def test_a_new_listener_is_served_and_a_new_song_is_not(form):
    history = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "song_id": [10, 11, 10, 11, 12], "repetition": 1})
    engine = fit(Tables.from_frames(history=history), regularisation=0.5, form=form)
    more = pd.concat([history, pd.DataFrame({"user_id": [4, 5], "song_id": [10, 99], "repetition": 1})])
    later = engine.on(Tables.from_frames(history=more))
    ids, _ = later.recommend([4], 1)
    assert ids.tolist() == [[11]]
    assert np.isnan(later.score(4, [99]))
    assert np.isnan(later.score(5, [10, 11])).all()


@pytest.mark.parametrize("form", FORMS)
def test_songs_gone_or_moved_since_the_fit_are_never_mistaken(form):
    history = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3], "song_id": [10, 11, 10, 11, 10, 12], "repetition": 1})
    engine = fit(Tables.from_frames(history=history), form=form)
    before = dict(zip([10, 11, 12], engine.score(1, [10, 11, 12]), strict=True))
    songs = pd.DataFrame({"song_id": [77, 12, 10]})  # 11 is gone, the others stand elsewhere
    later = engine.on(Tables.from_frames(songs=songs, history=history[history["song_id"] != 11]))
    ids, scores = later.recommend([1], 5, exclude_heard=False)
    assert set(ids[0]) <= {10, 12, -1}
    assert later.score(1, [77, 12])[0] != later.score(1, [77, 12])[0]
    assert later.score(3, [12]) == pytest.approx(engine.score(3, [12]))
    assert set(before) == {10, 11, 12}
    assert np.array_equal(ids == -1, np.isnan(scores))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "history",
    [
        pd.DataFrame({"user_id": [1], "song_id": [10], "repetition": 1}),
        pd.DataFrame({"user_id": [1, 2, 3], "song_id": [10, 10, 10], "repetition": 1}),
        pd.DataFrame({"user_id": [1, 1, 1], "song_id": [10, 11, 12], "repetition": 1}),
        pd.DataFrame({"user_id": [1, 1, 2, 2], "song_id": [10, 11, 10, 12], "repetition": [10**9, 1, 1, 10**9]}),
    ],
    ids=["one play", "one song", "one listener", "a billion plays"],
)
def test_the_smallest_and_the_strangest_tables(history, form):
    songs, users = pd.DataFrame({"song_id": [10, 11, 12, 13]}), pd.DataFrame({"user_id": [1, 9]})
    tables = Tables.from_frames(songs=songs, history=history, users=users)  # 9 plays nothing, nobody plays 13
    engine = fit(tables, form=form, damping=1.0)
    ids, scores = engine.recommend(tables.users.ids, 3)
    assert np.array_equal(ids == -1, np.isnan(scores))
    assert not np.isinf(scores).any()
    assert (ids[1] == -1).all()
    assert 13 not in ids


def test_equal_ratings_say_what_plays_say():
    pairs = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "song_id": [10, 11, 10, 11, 10]})
    rated = fit(Tables.from_frames(ratings=pairs.assign(rating=5))).recommend([3], 1)
    played = fit(Tables.from_frames(history=pairs.assign(repetition=1))).recommend([3], 1)
    assert rated[0] == played[0] == 11
    assert rated[1] == pytest.approx(played[1])


def test_a_song_rated_lowest_speaks_for_nothing():
    history = pd.DataFrame({"user_id": [1, 1, 2, 2], "song_id": [10, 11, 10, 11], "repetition": 1})
    ratings = pd.DataFrame({"user_id": [3], "song_id": [10], "rating": [1]})
    engine = fit(Tables.from_frames(history=history, ratings=ratings))
    assert np.isnan(engine.score(3, [11])).all()


@pytest.mark.parametrize("form", FORMS)
def test_everything_rated_lowest_leaves_nothing_to_learn(form):
    ratings = pd.DataFrame({"user_id": [1, 2], "song_id": [10, 11], "rating": 1})
    ids, _ = fit(Tables.from_frames(ratings=ratings), form=form).recommend([1, 2], 1, exclude_heard=False)
    assert (ids == -1).all()


@pytest.mark.parametrize("form", FORMS)
def test_far_above_popularity(planted, form):
    train, held_out = split(planted, rng=np.random.default_rng(0))
    ours = evaluate(fit(train, form=form), held_out).ndcg
    theirs = evaluate(Relevance.fit(train, rng=np.random.default_rng(0)), held_out).ndcg
    assert ours.mean > 1.5 * theirs.mean


@pytest.mark.parametrize(
    "params", [{"regularisation": 0}, {"dropout": 1.0}, {"damping": "much"}, {"form": "flat"}, {"n_companions": 0}]
)
def test_parameters_out_of_range(planted, params):
    with pytest.raises(ParameterOutOfRange, match=next(iter(params))):
        fit(planted, **params)


def test_needs_plays_or_ratings(world):
    with pytest.raises(TableNeeded, match="item_based learns from history or ratings"):
        fit(Tables.from_frames(songs=world.songs))
    assert fit(Tables.from_frames(ratings=world.ratings))
