"""Metrics against cases worked by hand, against libraries, and against slow obvious twins."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse, stats
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from quasimusic.exceptions import EngineFault, ParameterOutOfRange, TableNeeded
from recommender.engines.likeness import song_likeness
from recommender.engines.metrics import (
    Estimate,
    accuracy,
    coverage,
    diversity,
    estimates,
    evaluate,
    evaluate_ratings,
    gini,
    hits_at,
    ndcg,
    novelty,
    recall,
    rmse,
    surprise,
)
from recommender.engines.tables import RatingTable, Tables

THEIRS = {  # our name of what pytrec_eval calls otherwise
    "precision": "P_{k}",
    "recall": "recall_{k}",
    "ndcg": "ndcg_cut_{k}",
    "map": "map_cut_{k}",
    "mrr": "recip_rank",
    "hit_rate": "success_{k}",
}


def test_hits_recall_ndcg_and_coverage_by_hand():
    held_out = sparse.csr_array(np.array([[0, 1, 0, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]], dtype=float))
    lists = np.array([[1, 2, 3], [4, 0, -1], [-1, -1, -1]])
    rows = np.array([0, 1, 2])
    hits = hits_at(lists, held_out, rows)
    assert hits.tolist() == [[True, False, True], [False, True, False], [False, False, False]]
    n_held = np.array([2, 1, 1])
    assert recall(hits, n_held).tolist() == [1.0, 1.0, 0.0]
    ideal = 1 + 1 / math.log2(3)
    assert ndcg(hits, n_held) == pytest.approx([(1 + 1 / 2) / ideal, 1 / math.log2(3), 0.0])
    assert coverage(lists, 5) == 1.0
    assert coverage(lists[1:], 5) == 0.4


@pytest.mark.parametrize("k", [1, 5, 10])
def test_metrics_of_hits_are_those_of_a_library(k):
    rng = np.random.default_rng(k)
    m, n_songs = 60, 40
    held_out = sparse.csr_array((rng.random((m, n_songs)) < rng.uniform(0.05, 0.6, (m, 1))).astype(float))
    listeners = np.flatnonzero(np.diff(held_out.indptr))
    lists = np.array([rng.permutation(n_songs)[:k] for _ in listeners])
    lists[rng.random(lists.shape) > np.linspace(1, 0.6, k)] = -1
    ours = accuracy(hits_at(lists, held_out, listeners), np.diff(held_out.indptr)[listeners])

    wanted = {str(row): {str(song): 1 for song in held_out[[row]].indices} for row in listeners}
    run = {
        str(row): {str(song) if song >= 0 else f"none{place}": -float(place) for place, song in enumerate(places)}
        for row, places in zip(listeners, lists, strict=True)
    }
    measures = {f"P.{k}", f"recall.{k}", f"ndcg_cut.{k}", f"map_cut.{k}", "recip_rank", f"success.{k}"}
    theirs = pytrec_eval.RelevanceEvaluator(wanted, measures).evaluate(run)
    assert ours.keys() == THEIRS.keys()
    for name, values in ours.items():
        expected = [theirs[str(row)][THEIRS[name].format(k=k)] for row in listeners]
        np.testing.assert_allclose(values, expected, atol=1e-12, err_msg=name)


def test_padding_is_not_the_listener_befores_last_song():
    held_out = sparse.csr_array(np.array([[0, 1.0], [1.0, 0]]))
    assert not hits_at(np.array([[-1]]), held_out, np.array([1])).any()


def test_a_list_shorter_than_what_is_held_can_be_perfect():
    assert ndcg(np.array([[True, True]]), np.array([7])).tolist() == [1.0]


def test_surprise_and_novelty_by_hand():
    history = pd.DataFrame({"user_id": [1, 2, 3, 4, 1], "song_id": [7, 7, 7, 7, 8], "repetition": 1})
    idle = pd.DataFrame({"user_id": [5, 6, 7]})
    tables = Tables.from_frames(history=history, songs=pd.DataFrame({"song_id": [7, 8, 9]}), users=idle)
    bits = surprise(tables)
    assert bits.tolist() == [0.0, 2.0, 2.0]  # known to all, to one in four, to nobody
    np.testing.assert_array_equal(novelty(np.array([[0, 1], [1, -1], [-1, -1]]), bits), [1.0, 2.0, np.nan])


def slow_gini(shown):
    """Half the mean difference of two songs drawn with replacement, over the mean."""
    return np.abs(np.subtract.outer(shown, shown)).mean() / (2 * np.mean(shown))


@given(st.lists(st.lists(st.integers(-1, 11), min_size=4, max_size=4), min_size=1, max_size=8))
def test_gini_is_half_the_mean_difference_over_the_mean(lists):
    rows = np.array(lists)
    shown = np.bincount(rows[rows >= 0], minlength=12)
    assert gini(rows, 12) == pytest.approx(slow_gini(shown) if shown.any() else math.nan, nan_ok=True)


def test_gini_at_its_ends():
    assert gini(np.array([[0, 1], [2, 3]]), 4) == 0.0
    assert gini(np.array([[0, -1], [0, -1]]), 4) == 0.75


def slow_diversity(songs, alike):
    pairs = [(a, b) for a in songs for b in songs if a != b and a >= 0 and b >= 0]
    compared = [alike[a, b] for a, b in pairs if not math.isnan(alike[a, b])]
    return 1 - sum(compared) / len(compared) if compared else math.nan


def test_diversity_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    alike = rng.uniform(-1, 1, (9, 9))
    alike[rng.random((9, 9)) < 0.2] = np.nan
    lists = np.array([rng.permutation(9)[:5] for _ in range(20)])
    lists[0, 1:] = -1
    lists[1] = -1
    found = diversity(lists, lambda rows: alike[rows[:, :, None], rows[:, None, :]])
    np.testing.assert_allclose(found, [slow_diversity(songs, alike) for songs in lists])
    assert np.isnan(found[:2]).all()


def test_songs_that_sound_alike_make_a_list_less_diverse(planted, world):
    taste = world.taste_of_song[planted.songs.ids].to_numpy()
    one, mixed = np.flatnonzero(taste == 0)[:6], np.concatenate([np.flatnonzero(taste == i)[:2] for i in range(3)])
    narrow, wide = diversity(np.stack([one, mixed]), song_likeness(planted))
    assert 0 <= narrow < 0.7 * wide <= 2


def test_without_content_songs_are_alike_by_their_listeners():
    history = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "song_id": [7, 8, 7, 8, 9], "repetition": 1})
    tables = Tables.from_frames(history=history, songs=pd.DataFrame({"song_id": [7, 8, 9, 10]}))
    alike = song_likeness(tables)(np.array([[0, 1, 2, 3]]))[0]
    np.testing.assert_allclose(alike[:3, :3], np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]]), atol=1e-12)
    assert np.isnan(alike[3]).all()


def test_an_interval_covers_what_it_should():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        estimate = Estimate.of(rng.exponential(1.0, 80))
        assert estimate.low <= estimate.mean <= estimate.high
        covered.append(estimate.low <= 1.0 <= estimate.high)
    assert 0.88 <= np.mean(covered) <= 0.98


def test_an_interval_is_a_librarys():
    values = np.random.default_rng(1).beta(0.5, 4, 150)
    ours = Estimate.of(values)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=2).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.1 * (ours.high - ours.low))
    assert ours == Estimate.of(values)


def test_an_interval_of_one_listener_is_a_point_and_of_none_a_fault():
    assert Estimate.of(np.array([0.3])) == Estimate(0.3, 0.3, 0.3)
    assert Estimate.of(np.array([0.3, np.nan])) == Estimate(0.3, 0.3, 0.3)
    with pytest.raises(EngineFault, match="not one listener"):
        Estimate.of(np.array([np.nan]))


def test_means_on_the_same_resamples_are_those_one_by_one():
    rng = np.random.default_rng(3)
    values = {"a": rng.random(50), "b": np.where(rng.random(50) < 0.3, np.nan, rng.random(50))}
    for name, estimate in estimates(values).items():
        alone = Estimate.of(values[name])
        assert (estimate.mean, estimate.low, estimate.high) == pytest.approx((alone.mean, alone.low, alone.high))
    thrice = estimates({"a": np.repeat([0.0, 1.0], 5)}, weights=np.repeat([1.0, 3.0], 5))["a"]
    assert thrice.mean == 0.75


class Fixed:
    """Recommends what it is told to."""

    def __init__(self, tables, lists):
        self.tables = tables
        self.lists = lists

    def recommend(self, listener_ids, n):
        ids = np.array([self.lists[listener][:n] for listener in listener_ids])
        return ids, np.zeros(ids.shape)


@pytest.fixture
def three():
    history = pd.DataFrame({"user_id": ["a", "b", "c"], "song_id": ["x", "y", "z"], "repetition": 1})
    return Tables.from_frames(history=history)


def test_evaluation_counts_every_listener_with_something_held_out(three):
    held_out = sparse.csr_array(np.array([[0, 1.0, 0], [0, 0, 0], [1.0, 1.0, 0]]))
    metrics = evaluate(Fixed(three, {"a": ["y", "z"], "c": [-1, "x"]}), held_out, k=2, likeness=song_likeness(three))
    assert metrics.n_listeners == 2
    assert metrics.recall.mean == pytest.approx((1 + 1 / 2) / 2)
    assert metrics.coverage == 1.0
    figures = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))
    assert figures["recall"]["mean"] == metrics.recall.mean
    assert figures["diversity"]["mean"] == 1.0
    assert {"precision", "ndcg", "map", "mrr", "hit_rate", "novelty", "coverage", "gini"} < figures.keys()


def test_a_metric_that_says_nothing_of_anybody_is_left_out(three):
    held_out = sparse.csr_array(np.array([[0, 1.0, 0], [0, 0, 0], [0, 0, 0]]))
    metrics = evaluate(Fixed(three, {"a": [-1, -1]}), held_out, k=2, likeness=song_likeness(three))
    assert not {"novelty", "diversity", "gini"} & metrics.to_dict().keys()
    assert metrics.ndcg.mean == 0.0


def test_what_is_passed_over_makes_room(three):
    held_out = sparse.csr_array(np.array([[0, 0, 1.0], [0, 0, 0], [0, 0, 0]]))
    passed_over = sparse.csr_array(np.array([[0, 1.0, 0], [0, 0, 0], [0, 0, 0]]))
    engine = Fixed(three, {"a": ["y", "z", -1]})
    assert evaluate(engine, held_out, k=1).recall.mean == 0.0
    assert evaluate(engine, held_out, k=1, passed_over=passed_over).recall.mean == 1.0


def test_a_difference_on_the_same_listeners_is_surer_than_two_intervals():
    rng = np.random.default_rng(0)
    n = 40
    tables = Tables.from_frames(
        history=pd.DataFrame({"user_id": np.arange(n), "song_id": np.arange(n), "repetition": 1})
    )
    held_out = sparse.csr_array(np.roll(np.eye(n), 1, axis=1))
    right = (np.arange(n) + 1) % n
    found = rng.random(n) < 0.5
    bad = np.where(found, right, -1)
    good = np.where(found | (rng.random(n) < 0.3), right, -1)
    better, worse = (evaluate(Fixed(tables, lists[:, None].tolist()), held_out, k=1) for lists in (good, bad))
    difference = better.less(worse, "recall")["recall"]
    assert difference.mean == pytest.approx(better.recall.mean - worse.recall.mean)
    assert difference.low > 0
    assert better.recall.low < worse.recall.high
    assert better.less(better, "ndcg")["ndcg"] == Estimate(0.0, 0.0, 0.0)


def test_nothing_held_out_is_said():
    tables = Tables.from_frames(history=pd.DataFrame({"user_id": [1], "song_id": [2], "repetition": [1]}))
    with pytest.raises(TableNeeded, match="two known songs"):
        evaluate(Fixed(tables, {}), sparse.csr_array((1, 1)), k=2)


@pytest.mark.parametrize("k", [0, -3])
def test_lists_of_nothing_are_refused(three, k):
    with pytest.raises(ParameterOutOfRange, match=f"k is {k}"):
        evaluate(Fixed(three, {}), sparse.csr_array(np.eye(3)), k=k)


def test_errors_by_hand_leave_out_absent_predictions():
    predicted, actual = np.array([3.0, np.nan, 5.0]), np.array([4.0, 1.0, 2.0])
    assert rmse(predicted, actual) == pytest.approx(math.sqrt(5))
    with pytest.raises(EngineFault, match="not one prediction"):
        rmse(np.array([np.nan]), np.array([1.0]))


class Stars:
    """Predicts the ratings it is told to."""

    def __init__(self, tables, predicted):
        self.tables = tables
        self.predicted = predicted

    def predict_ratings(self, listener_ids, song_ids):
        assert len(listener_ids) == len(song_ids) == len(self.predicted)
        return self.predicted


def test_errors_of_ratings_are_a_librarys_with_an_interval_over_listeners(planted):
    rng = np.random.default_rng(0)
    held = planted.ratings
    predicted = np.clip(held.rating + rng.normal(0, 1, len(held)), 1, 5)
    predicted[::7] = np.nan
    found = evaluate_ratings(Stars(planted, predicted), held)
    there = ~np.isnan(predicted)
    assert found["rmse"].mean == pytest.approx(root_mean_squared_error(held.rating[there], predicted[there]))
    assert found["mae"].mean == pytest.approx(mean_absolute_error(held.rating[there], predicted[there]))
    for estimate in found.values():
        assert estimate.low < estimate.mean < estimate.high


def test_not_one_predicted_rating_is_a_fault(planted):
    held: RatingTable = planted.ratings
    with pytest.raises(EngineFault, match="not one prediction"):
        evaluate_ratings(Stars(planted, np.full(len(held), np.nan)), held)
