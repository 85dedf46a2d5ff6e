"""The hyper-parameter search: within its ranges, repeatable, and better than a bad start."""

import json
from itertools import islice
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from quasimusic.exceptions import ParameterOutOfRange, TableNeeded
from recommender.engines.metrics import rmse
from recommender.engines.splits import rating_folds
from recommender.engines.tables import Tables
from recommender.engines.threads import bounded
from recommender.engines.weighted_mf.heads import rating_task
from recommender.engines.weighted_mf.model import WeightedMF
from recommender.engines.weighted_mf.tuning import HyperTuner

QUICK = HyperTuner(n_factors=(2, 5), n_iterations=(2, 6), n_counts=3, n_trials=5, n_random=3, n_folds=2)


@pytest.fixture(scope="module")
def ratings():
    rng = np.random.default_rng(0)
    listeners, songs = np.nonzero(rng.random((25, 30)) < 0.4)
    stars = 3 + rng.normal(0, 0.8, 25)[listeners] + rng.normal(0, 0.8, 30)[songs]
    frame = pd.DataFrame({"user_id": listeners, "song_id": songs, "rating": stars.round().clip(1, 5)})
    return Tables.from_frames(ratings=frame)


def test_search_on_ratings(ratings):
    seen = []
    search = QUICK.search(ratings, rng=np.random.default_rng(0), progress=lambda trials: seen.append(tuple(trials)))
    assert [len(trials) for trials in seen] == [1, 2, 3, 4, 5]
    assert seen[-1] == search.trials
    assert search.best == min(search.trials, key=lambda trial: trial.loss)
    for trial in search.trials:
        assert 0.01 <= trial.params["rating_regularisation"] <= 1.0
        assert 2 <= trial.params["rating_factors"] <= 5
        assert trial.params["rating_iterations"] in (2, 4, 6)
        assert json.loads(json.dumps(trial.params)) == trial.params
        assert trial.loss > 0
    fitted = WeightedMF.fit(ratings, search.best.params, rng=np.random.default_rng(0))
    assert search.best.params.items() <= fitted.params.items()


def test_search_follows_its_seed(ratings):
    first, again = (QUICK.search(ratings, rng=np.random.default_rng(3)).trials for _ in range(2))
    assert first == again


def test_any_number_of_threads_finds_the_same(ratings):
    searches = []
    for n in (1, 3):
        with bounded(n):
            searches.append(QUICK.search(ratings, rng=np.random.default_rng(3)).trials)
    assert searches[0] == searches[1]


def test_a_trial_is_the_mean_over_the_folds_of_fits_to_the_best_count(ratings):
    """The slow twin: every fold is fitted afresh to each count, and judged on what it has not seen."""
    tuner = HyperTuner(n_factors=(2, 5), n_iterations=(2, 6), n_counts=3, n_trials=1, n_random=1, n_folds=3)
    (trial,) = tuner.search(ratings, rng=np.random.default_rng(5)).trials
    rng = np.random.default_rng(5)
    cuts = list(rating_folds(ratings, n_folds=3, rng=rng))
    seed = int(rng.integers(2**31))
    losses = {}
    for count in (2, 4, 6):
        params = WeightedMF.settle({**trial.params, "rating_iterations": count})
        lost = []
        for train, held in cuts:
            states = rating_task(train, params).states(params["rating_factors"], np.random.default_rng(seed))
            state = list(islice(states, count))[-1]
            engine = WeightedMF(train, params, state)
            predicted = engine.predict_ratings(train.users.ids[held.listener_rows], train.songs.ids[held.song_rows])
            lost.append(rmse(predicted, held.rating))
        losses[count] = np.mean(lost)
    assert trial.params["rating_iterations"] == min(losses, key=losses.get)
    assert trial.loss == pytest.approx(min(losses.values()))


def test_without_ratings_the_ranking_is_tuned(world):
    tables = Tables.from_frames(songs=world.songs, history=world.history)
    search = QUICK.search(tables, rng=np.random.default_rng(0))
    assert set(search.best.params) == {"regularisation", "n_factors", "n_iterations"}
    assert all(-1 <= trial.loss < 0 for trial in search.trials)


def test_a_narrow_search_repeats_points_in_silence(ratings):
    tiny = HyperTuner(
        regularisation=(0.5, 0.500001), n_factors=(2, 3), n_iterations=(1, 2), n_trials=6, n_random=2, n_folds=2
    )
    assert len(tiny.search(ratings, rng=np.random.default_rng(0)).trials) == 6


def test_pictures_are_svg_and_the_same_for_the_same_search(ratings):
    searches = [QUICK.search(ratings, rng=np.random.default_rng(0)) for _ in range(2)]
    for picture in ("convergence", "dependence"):
        first, again = (getattr(search, picture) for search in searches)
        assert ElementTree.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own picture
        assert first == again
        assert "<dc:date>" not in first


def test_drawing_leaves_no_figure_open(ratings):
    QUICK.search(ratings, rng=np.random.default_rng(0)).dependence  # noqa: B018 - drawn for what it leaves behind
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize(
    "options",
    [
        {"regularisation": (0.0, 1.0)},
        {"n_factors": (30, 20)},
        {"n_iterations": (5, 5)},
        {"n_trials": 2},
        {"n_counts": 0},
    ],
)
def test_impossible_searches_are_refused(options):
    with pytest.raises(ParameterOutOfRange):
        HyperTuner(**options)


def test_nothing_to_learn_from_is_said(world):
    with pytest.raises(TableNeeded, match="tuner"):
        QUICK.search(Tables.from_frames(songs=world.songs), rng=np.random.default_rng(0))


def few(rows):
    return Tables.from_frames(ratings=pd.DataFrame(rows, columns=["user_id", "song_id", "rating"]))


@pytest.mark.parametrize(
    "rows",
    [
        [(1, 1, 5)],
        [(1, song, 1 + song % 5) for song in range(20)],
    ],
    ids=["one rating", "one listener"],
)
def test_ratings_that_cannot_be_held_out_are_told(rows):
    with pytest.raises(TableNeeded, match="two ratings or more"):
        QUICK.search(few(rows), rng=np.random.default_rng(0))


def test_plays_that_cannot_be_held_out_are_told():
    history = pd.DataFrame({"user_id": [1, 2], "song_id": [1, 2], "repetition": [1, 1]})
    with pytest.raises(TableNeeded, match="two songs or more"):
        QUICK.search(Tables.from_frames(history=history), rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    "rows",
    [
        [(listener, 1, 1 + listener % 5) for listener in range(20)],
        [(listener, song, 3) for listener in range(6) for song in range(6)],
        [(1, 1, 5), (2, 1, 1), (1, 2, 3)],
    ],
    ids=["one song", "all equal", "fewer ratings than folds"],
)
def test_poor_ratings_give_a_search_all_the_same(rows):
    tuner = HyperTuner(n_factors=(2, 5), n_iterations=(2, 6), n_trials=4, n_random=2, n_folds=5)
    search = tuner.search(few(rows), rng=np.random.default_rng(0))
    assert all(np.isfinite(trial.loss) for trial in search.trials)
    assert search.convergence.endswith("</svg>\n")
    assert search.dependence.endswith("</svg>\n")
