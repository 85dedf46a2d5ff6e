"""Learned songs among today's: whatever came, went or moved, values stay with their songs."""

import numpy as np
import pandas as pd
import pytest

from recommender.engines.learned import LearnedSongs
from recommender.engines.tables import Tables


def learned(ids, todays):
    return LearnedSongs(pd.Index(ids), Tables.from_frames(songs=pd.DataFrame({"song_id": todays})).songs)


@pytest.mark.parametrize("ids", [[7, 3, 9, 5], [9, 3], [5, 11, 7], [11], []])
def test_values_stay_with_their_songs(ids):
    todays = [7, 3, 9, 5]
    values = np.random.default_rng(0).random((3, len(ids))).astype(np.float32)
    spread = learned(ids, todays).spread(values)
    assert spread.dtype == values.dtype
    for column, song in enumerate(todays):
        told = values[:, ids.index(song)] if song in ids else np.full(3, np.nan)
        np.testing.assert_array_equal(spread[:, column], told)


def test_songs_in_place_are_not_laid_out_anew():
    values = np.ones((2, 3))
    assert learned([4, 2, 8], [4, 2, 8]).spread(values) is values
    assert learned([4, 2, 8], [2, 4, 8]).spread(values) is not values
