"""The underground engine: both heads, fold-in, explanation."""

from itertools import islice

import numpy as np
import pandas as pd
import pytest

from quasimusic.exceptions import ParameterOutOfRange, TableNeeded
from recommender.engines.metrics import evaluate, rmse
from recommender.engines.relevance import Relevance
from recommender.engines.splits import rating_folds, split
from recommender.engines.tables import Tables
from recommender.engines.weighted_mf import wals
from recommender.engines.weighted_mf.heads import ranking_task
from recommender.engines.weighted_mf.model import WeightedMF
from recommender.engines.weighted_mf.wals import SOLVERS

SMALL = {"n_factors": 8, "n_iterations": 8}


def fit(tables, **params):
    return WeightedMF.fit(tables, {**SMALL, **params}, rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def fitted(planted):
    return fit(planted)


def test_far_above_popularity(planted):
    train, held_out = split(planted, rng=np.random.default_rng(0))
    theirs = evaluate(Relevance.fit(train, rng=np.random.default_rng(0)), held_out).ndcg
    assert evaluate(fit(train), held_out).ndcg.mean > 1.5 * theirs.mean


def test_predicted_ratings_beat_the_mean():
    """Generous and stern listeners, good and bad songs: the biases alone foretell most of it."""
    rng = np.random.default_rng(0)
    listeners, songs = np.nonzero(rng.random((40, 60)) < 0.3)
    stars = 3 + rng.normal(0, 0.9, 40)[listeners] + rng.normal(0, 0.9, 60)[songs] + rng.normal(0, 0.3, len(songs))
    ratings = pd.DataFrame({"user_id": listeners, "song_id": songs, "rating": stars.round().clip(1, 5)})
    train, held = next(rating_folds(Tables.from_frames(ratings=ratings), n_folds=5, rng=rng))
    predicted = fit(train).predict_ratings(train.users.ids[held.listener_rows], train.songs.ids[held.song_rows])
    assert np.nanmin(predicted) >= 1.0
    assert np.nanmax(predicted) <= 5.0
    baseline = np.full(len(held), train.ratings.rating.mean())
    assert rmse(predicted, held.rating) < 0.65 * rmse(baseline, held.rating)


def test_ratings_are_predicted_in_the_order_asked(fitted, world):
    listeners, songs = world.ratings["user_id"].to_numpy()[:20], world.ratings["song_id"].to_numpy()[:20]
    forth = fitted.predict_ratings(listeners, songs)
    np.testing.assert_allclose(fitted.predict_ratings(listeners[::-1], songs[::-1]), forth[::-1])


def test_without_ratings_none_are_predicted(world):
    engine = fit(Tables.from_frames(songs=world.songs, history=world.history))
    with pytest.raises(TableNeeded, match="fitted without ratings"):
        engine.predict_ratings([world.history["user_id"].iloc[0]], [world.songs["song_id"].iloc[0]])


def test_ratings_alone_are_enough_and_nothing_is_not(world):
    engine = fit(Tables.from_frames(ratings=world.ratings))
    assert (engine.recommend(world.ratings["user_id"].unique()[:3], 2)[0] != -1).all()
    with pytest.raises(TableNeeded, match="weighted_mf learns from history or ratings"):
        fit(Tables.from_frames(songs=world.songs, users=world.users))


def test_a_new_listener_is_folded_in_by_taste(fitted, world):
    """Six songs of one genre are enough to be served that genre, without training."""
    genre = world.taste_of_song[world.taste_of_song == 1].index
    favourites = world.history["song_id"].value_counts().reindex(genre).nlargest(6).index
    newcomer = pd.DataFrame({"user_id": 1, "song_id": favourites, "repetition": 3})
    history = pd.concat([world.history, newcomer])
    later = fitted.on(Tables.from_frames(songs=world.songs, history=history, ratings=world.ratings))
    ids, _ = later.recommend([1], 10)
    assert (world.taste_of_song[ids[0]] == 1).mean() >= 0.8
    assert later.state is fitted.state


def test_fold_in_of_a_known_listener_changes_nothing_for_others(fitted, world):
    known = world.history["user_id"].unique()[:2]
    only_them = world.history[world.history["user_id"].isin(known)]
    ratings = world.ratings[world.ratings["user_id"].isin(known)]
    later = fitted.on(Tables.from_frames(songs=world.songs, history=only_them, ratings=ratings))
    songs = world.songs["song_id"]
    for listener in known:
        np.testing.assert_allclose(later.score(listener, songs), fitted.score(listener, songs), atol=1e-10)


def test_no_opinion_on_new_songs_or_on_listeners_without_songs(fitted, world):
    songs = pd.concat([world.songs, world.songs.iloc[[0]].assign(song_id=1)])
    users = pd.concat([world.users, pd.DataFrame({"user_id": [2]})])
    later = fitted.on(Tables.from_frames(songs=songs, history=world.history, ratings=world.ratings, users=users))
    known = world.history["user_id"].iloc[0]
    assert np.isnan(later.score(known, [1])).all()
    assert np.isnan(later.predict_ratings([known], [1])).all()
    assert np.isnan(later.score(2, songs["song_id"])).all()
    rated = world.ratings["song_id"].iloc[0]
    assert np.isfinite(later.predict_ratings([2], [rated])).all()


def test_explanation_is_the_score_over_the_listeners_own_songs(fitted, world):
    listener = world.history["user_id"].iloc[0]
    ids, scores = fitted.recommend([listener], 1)
    row, song_row = fitted.tables.listener_rows([listener])[0], fitted.tables.song_rows(ids[0])[0]
    song_rows, summands, rest = fitted.attribute(row, song_row)
    assert summands.sum() + rest == pytest.approx(scores[0, 0])
    reasons = fitted.explain(listener, ids[0, 0])
    shares = [reason.share for reason in reasons]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1 + 1e-9
    strongest = fitted.tables.songs.ids[song_rows[np.argmax(summands)]]
    assert reasons[0].song_ids == (strongest,)
    rated = set(world.ratings.loc[world.ratings["user_id"] == listener, "song_id"])
    assert {reason.kind == "rated" for reason in reasons if reason.song_ids[0] in rated} <= {True}
    assert {reason.kind == "played" for reason in reasons if reason.song_ids[0] not in rated} <= {True}


def test_a_disliked_song_pulls_down(world):
    """The same two listeners, but one rated the shared song 1 instead of 5."""
    listener = world.history["user_id"].iloc[0]
    loved = world.history.loc[world.history["user_id"] == listener, "song_id"].iloc[0]
    scores = []
    for rating in (1, 5):
        ratings = pd.DataFrame({"user_id": [listener], "song_id": [loved], "rating": [rating]})
        engine = fit(Tables.from_frames(songs=world.songs, history=world.history))
        tables = Tables.from_frames(songs=world.songs, history=world.history, ratings=ratings)
        scores.append(engine.on(tables).score(listener, [loved])[0])
    assert scores[0] < scores[1]


@pytest.mark.parametrize("params", [{"n_factors": 0}, {"regularisation": -1}, {"w0": 2}, {"alpha": float("nan")}])
def test_parameters_out_of_range(planted, params):
    with pytest.raises(ParameterOutOfRange, match=next(iter(params))):
        fit(planted, **params)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_folded_in_listener_points_where_training_left_them(planted, solver):
    """The last half-step was the songs', so the listeners' own is a step behind: alike in direction, not in number."""
    task = ranking_task(planted, WeightedMF.settle({**SMALL, "solver": solver}))
    *_, (trained, songs) = islice(wals.iterate(task.problem, 8, np.random.default_rng(0), solver), 40)
    folded = wals.solve_rows(task.problem, wals.Standing.of(task.problem, songs))
    lengths = np.linalg.norm(trained.factors, axis=1) * np.linalg.norm(folded.factors, axis=1)
    cosines = np.einsum("nk,nk->n", trained.factors, folded.factors) / lengths
    assert cosines.min() > 0.99


def test_a_song_played_a_thousand_million_times(world):
    history = world.history.copy()
    history.loc[history.index[0], "repetition"] = 1e9
    engine = fit(Tables.from_frames(songs=world.songs, history=history))
    assert np.isfinite(engine.score(history["user_id"].iloc[0], history["song_id"].unique())).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_one_listener_or_one_song(shape):
    listeners, songs = (axis.ravel() for axis in np.indices(shape))
    history = pd.DataFrame({"user_id": listeners, "song_id": songs, "repetition": 2})
    ratings = pd.DataFrame({"user_id": listeners, "song_id": songs, "rating": 4})
    engine = fit(Tables.from_frames(history=history, ratings=ratings))
    assert np.isfinite(engine.score(0, np.unique(songs))).all()
    assert engine.predict_ratings(listeners, songs) == pytest.approx(4.0, abs=0.01)
