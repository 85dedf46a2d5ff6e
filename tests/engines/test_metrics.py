"""Metrics against cases worked by hand."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from quasimusic.exceptions import EngineFault, TableNeeded
from recommender.engines.metrics import Estimate, coverage, evaluate, hits_at, mae, ndcg, recall, rmse
from recommender.engines.tables import Tables


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


def test_padding_is_not_the_listener_befores_last_song():
    held_out = sparse.csr_array(np.array([[0, 1.0], [1.0, 0]]))
    assert not hits_at(np.array([[-1]]), held_out, np.array([1])).any()


def test_a_list_shorter_than_what_is_held_can_be_perfect():
    assert ndcg(np.array([[True, True]]), np.array([7])).tolist() == [1.0]


def test_interval_by_hand():
    estimate = Estimate.of(np.array([0.0, 1.0, 1.0, 0.0]))
    assert estimate.mean == 0.5
    half = 1.959964 * math.sqrt(1 / 3) / 2
    assert (estimate.low, estimate.high) == pytest.approx((0.5 - half, 0.5 + half))
    assert Estimate.of(np.array([0.3])) == Estimate(0.3, 0.3, 0.3)


class Fixed:
    """Recommends what it is told to."""

    def __init__(self, tables, lists):
        self.tables = tables
        self.lists = lists

    def recommend(self, listener_ids, n):
        ids = np.array([self.lists[listener][:n] for listener in listener_ids])
        return ids, np.zeros(ids.shape)


def test_evaluation_counts_every_listener_with_something_held_out():
    history = pd.DataFrame({"user_id": ["a", "b", "c"], "song_id": ["x", "y", "z"], "repetition": 1})
    tables = Tables.from_frames(history=history)
    held_out = sparse.csr_array(np.array([[0, 1.0, 0], [0, 0, 0], [1.0, 1.0, 0]]))
    metrics = evaluate(Fixed(tables, {"a": ["y", "z"], "c": [-1, "x"]}), held_out, k=2)
    assert metrics.n_listeners == 2
    assert metrics.recall.mean == pytest.approx((1 + 1 / 2) / 2)
    assert metrics.coverage == 1.0
    assert json.loads(json.dumps(metrics.to_dict()))["recall"]["mean"] == metrics.recall.mean


def test_nothing_held_out_is_said():
    tables = Tables.from_frames(history=pd.DataFrame({"user_id": [1], "song_id": [2], "repetition": [1]}))
    with pytest.raises(TableNeeded, match="two known songs"):
        evaluate(Fixed(tables, {}), sparse.csr_array((1, 1)), k=2)


def test_errors_by_hand_leave_out_absent_predictions():
    predicted, actual = np.array([3.0, np.nan, 5.0]), np.array([4.0, 1.0, 2.0])
    assert rmse(predicted, actual) == pytest.approx(math.sqrt(5))
    assert mae(predicted, actual) == 2.0
    with pytest.raises(EngineFault, match="not one prediction"):
        rmse(np.array([np.nan]), np.array([1.0]))
