"""The hyper-parameter search: within its ranges, repeatable, and better than a bad start."""

import numpy as np
import pandas as pd
import pytest

from quasimusic.exceptions import ParameterOutOfRange, TableNeeded
from recommender.engines.tables import Tables
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
    best, trials = QUICK.search(ratings, rng=np.random.default_rng(0), progress=lambda *now: seen.append(now))
    assert len(trials) == 5
    assert [(done, total) for done, total, _ in seen] == [(i, 5) for i in range(1, 6)]
    assert seen[-1][2].params == best
    assert min(trials, key=lambda trial: trial.loss).params == best
    for trial in trials:
        assert 0.01 <= trial.params["rating_regularisation"] <= 1.0
        assert 2 <= trial.params["n_factors"] <= 5
        assert trial.params["n_iterations"] in (2, 4, 6)
        assert {type(value) for value in trial.params.values()} <= {int, float}
        assert trial.loss > 0
    assert WeightedMF.fit(ratings, best, rng=np.random.default_rng(0)).params["n_factors"] == best["n_factors"]


def test_search_follows_its_seed(ratings):
    first, again = (QUICK.search(ratings, rng=np.random.default_rng(3))[1] for _ in range(2))
    assert first == again


def test_without_ratings_the_ranking_is_tuned(world):
    tables = Tables.from_frames(songs=world.songs, history=world.history)
    best, trials = QUICK.search(tables, rng=np.random.default_rng(0))
    assert "regularisation" in best
    assert all(-1 <= trial.loss < 0 for trial in trials)


def test_longer_fits_pass_the_shorter_ones(ratings):
    """Scored alone or on the way to more iterations, a count loses the same."""
    alone = HyperTuner(n_factors=(2, 3), n_iterations=(1, 3), n_counts=1, n_trials=1, n_random=1, n_folds=2)
    passing = HyperTuner(n_factors=(2, 3), n_iterations=(1, 30), n_counts=30, n_trials=1, n_random=1, n_folds=2)
    (first,), (best,) = (tuner.search(ratings, rng=np.random.default_rng(1))[1] for tuner in (alone, passing))
    assert first.params["n_iterations"] == 1
    assert best.loss <= first.loss


def test_a_narrow_search_repeats_points_in_silence(ratings):
    tiny = HyperTuner(
        regularisation=(0.5, 0.500001), n_factors=(2, 3), n_iterations=(1, 2), n_trials=6, n_random=2, n_folds=2
    )
    assert len(tiny.search(ratings, rng=np.random.default_rng(0))[1]) == 6


@pytest.mark.parametrize(
    "options", [{"regularisation": (0.0, 1.0)}, {"n_factors": (30, 20)}, {"n_iterations": (5, 5)}, {"n_trials": 2}]
)
def test_impossible_searches_are_refused(options):
    with pytest.raises(ParameterOutOfRange):
        HyperTuner(**options)


def test_nothing_to_learn_from_is_said(world):
    with pytest.raises(TableNeeded, match="tuner"):
        QUICK.search(Tables.from_frames(songs=world.songs), rng=np.random.default_rng(0))
