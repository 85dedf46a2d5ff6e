"""The three losses of the rating head: each predicts, folds in and is stored; the better one is better."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import planted
from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.artefacts import load, save
from recommender.engines.metrics import rmse
from recommender.engines.splits import rating_folds
from recommender.engines.tables import Tables
from recommender.engines.weighted_mf.heads import LOSSES
from recommender.engines.weighted_mf.model import WeightedMF

SMALL = {"n_factors": 4, "n_iterations": 1, "rating_factors": 8, "rating_iterations": 15}
BEST = {"slides": 10.0, "scaled": 1.2, "bayesian": 1.2}  # the lambda that suits each; the last has none


def fit(tables, loss, **params):
    params = {**SMALL, "rating_loss": loss, "rating_regularisation": BEST[loss], **params}
    return WeightedMF.fit(tables, params, rng=np.random.default_rng(0))


def predicted(engine, held):
    tables = engine.tables
    return engine.predict_ratings(tables.users.ids[held.listener_rows], tables.songs.ids[held.song_rows])


@pytest.fixture(scope="module")
def ratings():
    return planted.ratings(0, n_listeners=300, n_songs=400, n_ratings=20_000)


@pytest.fixture(scope="module")
def cut(ratings):
    tables = Tables.from_frames(ratings=ratings)
    return next(rating_folds(tables, n_folds=5, rng=np.random.default_rng(0)))


@pytest.fixture(scope="module")
def engines(cut):
    return {loss: fit(cut[0], loss) for loss in LOSSES}


def test_slides_scaled_bayesian_each_errs_less_than_the_one_before(engines, cut):
    slides, scaled, bayesian = (rmse(predicted(engines[loss], cut[1]), cut[1].rating) for loss in LOSSES)
    assert bayesian < scaled - 0.005
    assert scaled < slides - 0.002
    assert slides < 0.9 * np.std(cut[1].rating)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_known_listener_is_predicted_alike_whoever_else_is_there(engines, ratings, cut, loss):
    train = engines[loss].tables
    listener = train.users.ids[train.ratings.listener_rows[0]]
    theirs = train.ratings.listener_rows == train.ratings.listener_rows[0]
    own = pd.DataFrame(
        {
            "user_id": listener,
            "song_id": train.songs.ids[train.ratings.song_rows[theirs]],
            "rating": train.ratings.rating[theirs],
        }
    )
    alone = engines[loss].on(Tables.from_frames(songs=pd.DataFrame({"song_id": train.songs.ids}), ratings=own))
    songs = ratings["song_id"].unique()[:50]
    together = engines[loss].predict_ratings([listener] * 50, songs)
    np.testing.assert_allclose(alone.predict_ratings([listener] * 50, songs), together, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_newcomer_is_folded_in_as_if_retrained(engines, ratings, loss):
    """Somebody with the tastes of a known listener, and half of their ratings, is predicted like them."""
    engine = engines[loss]
    twin = ratings["user_id"].value_counts().idxmax()
    copied = ratings[ratings["user_id"] == twin].iloc[::2].assign(user_id=-5)
    later = engine.on(Tables.from_frames(ratings=pd.concat([ratings, copied])))
    songs = ratings["song_id"].unique()[:200]
    newcomer, known = (later.predict_ratings([who] * 200, songs) for who in (-5, twin))
    there = np.isfinite(known)
    assert np.corrcoef(newcomer[there], known[there])[0, 1] > 0.8


@pytest.mark.parametrize("loss", LOSSES)
def test_a_listener_without_ratings_gets_something_sensible_and_an_unrated_song_nothing(engines, ratings, loss):
    users, songs = pd.DataFrame({"user_id": [-1]}), pd.DataFrame({"song_id": [*ratings["song_id"].unique(), -7]})
    later = engines[loss].on(Tables.from_frames(songs=songs, users=users, ratings=ratings))
    means = ratings.groupby("song_id")["rating"].agg(["mean", "size"])
    known = means[means["size"] > 30]
    shown = later.predict_ratings([-1] * len(known), known.index)
    assert np.corrcoef(shown, known["mean"])[0, 1] > 0.8
    assert np.isnan(later.predict_ratings([-1], [-7])).all()


def test_the_bayesian_loss_knows_what_a_newcomer_is_like_at_large(ratings, engines):
    """With one rating only, a learned prior errs no more than the penalties do."""
    errors = {}
    half = ratings["user_id"] < 150
    first = ratings[~half].groupby("user_id").head(1)
    rest = ratings[~half].drop(first.index)
    for loss in ("scaled", "bayesian"):
        engine = fit(Tables.from_frames(ratings=ratings[half]), loss)
        songs = pd.DataFrame({"song_id": ratings["song_id"].unique()})
        later = engine.on(Tables.from_frames(songs=songs, ratings=pd.concat([ratings[half], first])))
        errors[loss] = rmse(later.predict_ratings(rest["user_id"], rest["song_id"]), rest["rating"].to_numpy(float))
    assert errors["bayesian"] < errors["scaled"]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_stored_head_predicts_as_the_fitted_one(engines, cut, loss, tmp_path):
    save(tmp_path / "weighted_mf", engines[loss])
    stored = load(tmp_path / "weighted_mf", cut[0])
    np.testing.assert_array_equal(predicted(stored, cut[1]), predicted(engines[loss], cut[1]))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "rows",
    [
        [(1, 1, 5)],
        [(1, song, 1 + song % 5) for song in range(6)],
        [(listener, 1, 1 + listener % 5) for listener in range(6)],
        [(listener, song, 3) for listener in range(4) for song in range(4)],
    ],
    ids=["one rating", "one listener", "one song", "all equal"],
)
def test_poor_ratings_give_ratings_all_the_same(loss, rows):
    frame = pd.DataFrame(rows, columns=["user_id", "song_id", "rating"])
    stars = fit(Tables.from_frames(ratings=frame), loss).predict_ratings(frame["user_id"], frame["song_id"])
    assert ((stars >= 1) & (stars <= 5)).all()
    if frame["rating"].nunique() == 1:
        np.testing.assert_allclose(stars, frame["rating"], atol=0.1)


def test_an_unknown_loss_is_refused(cut):
    with pytest.raises(ParameterOutOfRange, match="slides or scaled or bayesian"):
        WeightedMF.fit(cut[0], {"rating_loss": "hinge"}, rng=np.random.default_rng(0))
