"""Plays and ratings as one liking, on the entries of what is known."""

import numpy as np
import pandas as pd
import pytest

from recommender.engines.preference import damped_repetitions, own_song_reasons, preferences
from recommender.engines.tables import Tables


@pytest.fixture
def tables():
    history = pd.DataFrame({"user_id": [1, 1, 2], "song_id": [10, 11, 12], "repetition": [1, 7, 3]})
    ratings = pd.DataFrame({"user_id": [1, 2, 2], "song_id": [11, 10, 12], "rating": [3, 1, 5]})
    return Tables.from_frames(songs=pd.DataFrame({"song_id": [10, 11, 12]}), history=history, ratings=ratings)


def test_a_rating_says_more_than_a_play(tables):
    assert preferences(tables).toarray().tolist() == [[1.0, 0.5, 0.0], [0.0, 0.0, 1.0]]
    assert preferences(tables).nnz == 4  # the song rated 1 is a stored 0


def test_repetitions_are_damped_and_a_rating_counts_as_a_play(tables):
    expected = [[1.0, 1.0 + np.log(7), 0.0], [1.0, 0.0, 1.0 + np.log(3)]]
    np.testing.assert_allclose(damped_repetitions(tables).toarray(), expected)


def test_dropping_entries_leaves_the_tables_alone(tables):
    matrix = preferences(tables)
    matrix.eliminate_zeros()
    assert matrix.nnz == 3
    assert len(tables.known.indices) == tables.known.nnz == 4


def test_nothing_known_is_no_entries():
    tables = Tables.from_frames(songs=pd.DataFrame({"song_id": [1]}), users=pd.DataFrame({"user_id": [2]}))
    assert preferences(tables).nnz == damped_repetitions(tables).nnz == 0


def test_reasons_tell_only_what_speaks_for_the_song(tables):
    reasons = own_song_reasons(tables, 0, np.array([0, 1]), np.array([1.0, 2.0]), rest=1.0)
    assert [(reason.kind, reason.song_ids, reason.share) for reason in reasons] == [
        ("rated", (11,), 0.5),
        ("played", (10,), 0.25),
    ]
    assert [reason.share for reason in own_song_reasons(tables, 0, np.array([0, 1]), np.array([1.0, -2.0]), -5.0)] == [
        1.0
    ]
