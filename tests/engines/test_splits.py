"""Holding out hides what it hides, everywhere, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.splits import folds, rating_folds, split
from recommender.engines.tables import Tables


def pairs(matrix):
    return set(zip(*(coords.tolist() for coords in matrix.tocoo().coords), strict=True))


def test_held_out_pairs_leave_history_and_ratings(planted):
    train, held_out = split(planted, rng=np.random.default_rng(0))
    assert pairs(train.known) | pairs(held_out) == pairs(planted.known)
    assert not pairs(train.repetitions) & pairs(held_out)
    assert not pairs(train.rating_matrix) & pairs(held_out)
    assert held_out.nnz == pytest.approx(0.2 * planted.known.nnz, rel=0.1)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_every_listener_keeps_something_on_both_sides(planted, fraction):
    train, held_out = split(planted, fraction=fraction, rng=np.random.default_rng(0))
    assert np.diff(train.known.indptr).min() >= 1
    assert np.diff(held_out.indptr).min() >= 1


def test_an_only_song_is_kept():
    history = pd.DataFrame({"user_id": [1, 2, 2], "song_id": [7, 7, 8], "repetition": [1, 1, 1]})
    train, held_out = split(Tables.from_frames(history=history), rng=np.random.default_rng(0))
    assert np.diff(train.known.indptr).tolist() == [1, 1]
    assert np.diff(held_out.indptr).tolist() == [0, 1]


def test_values_of_kept_entries_stay(planted):
    train, _ = split(planted, rng=np.random.default_rng(0))
    kept = train.repetitions.tocoo()
    np.testing.assert_array_equal(planted.repetitions[kept.coords[0], kept.coords[1]], kept.data)
    assert len(train.history.last_played_at) == len(train.history)


def test_split_follows_the_seed(planted):
    first, again, other = (split(planted, rng=np.random.default_rng(seed))[1] for seed in (1, 1, 2))
    assert pairs(first) == pairs(again) != pairs(other)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.2, float("nan")])
def test_fraction_must_be_a_share(planted, fraction):
    with pytest.raises(ParameterOutOfRange, match="fraction"):
        split(planted, fraction=fraction, rng=np.random.default_rng(0))


def test_folds_hold_out_each_pair_once(planted):
    held = [pairs(held_out) for _, held_out in folds(planted, n_folds=3, rng=np.random.default_rng(0))]
    assert set.union(*held) == pairs(planted.known)
    assert sum(map(len, held)) == planted.known.nnz


def test_rating_folds_hold_out_each_rating_once(planted):
    seen = set()
    for train, held in rating_folds(planted, n_folds=4, rng=np.random.default_rng(0)):
        assert len(train.ratings) + len(held) == len(planted.ratings)
        assert train.history is planted.history
        seen |= set(zip(held.listener_rows.tolist(), held.song_rows.tolist(), strict=True))
    assert seen == pairs(planted.rating_matrix)


@pytest.mark.parametrize("cut", [folds, rating_folds])
def test_one_fold_is_refused(planted, cut):
    with pytest.raises(ParameterOutOfRange, match="n_folds"):
        next(cut(planted, n_folds=1, rng=np.random.default_rng(0)))
