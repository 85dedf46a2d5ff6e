"""From rows to tables, whatever editors typed and whoever writes meanwhile."""

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from catalog.models import Song
from listening.models import History, Pick, Rating
from recommender.loading import load_tables


@pytest.mark.parametrize("name", ["title", "energy", "country", "song_id"])
def test_a_further_feature_named_as_a_column_does_not_stand_in_its_way(two_camps, name):
    before = load_tables()
    Song.objects.filter(title="Song 3").update(other_features={name: 7, "brightness": 0.5})
    after = load_tables()
    assert after.songs.numeric_names == (*before.songs.numeric_names, "brightness")
    np.testing.assert_array_equal(after.songs.column("energy"), before.songs.column("energy"))
    assert after.songs.titles.tolist() == before.songs.titles.tolist()


def test_a_song_that_comes_in_while_the_tables_are_read_waits_for_the_next_time(two_camps):
    before = load_tables()

    def add_song(execute, sql, params, many, context):
        answer = execute(sql, params, many, context)
        if 'FROM "listener"' in sql:
            late, _ = Song.objects.get_or_create(title="Late")
            now = timezone.now()
            History.objects.get_or_create(listener=two_camps[0], song=late, repetition=1, last_played_at=now)
            Rating.objects.get_or_create(listener=two_camps[0], song=late, rating=5)
            Pick.objects.get_or_create(listener=two_camps[0], song=late, picked_at=now)
        return answer

    with connection.execute_wrapper(add_song):
        tables = load_tables()
    assert Song.objects.filter(title="Late").exists()
    assert tables.songs.ids.equals(before.songs.ids)
    assert len(tables.history) == len(before.history)
    assert len(load_tables().history) == len(before.history) + 1
