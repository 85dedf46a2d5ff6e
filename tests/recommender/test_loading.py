"""From rows to tables, whatever editors typed and whoever writes meanwhile."""

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Listener
from catalog.models import Genre, Song
from listening.models import History, Pick, Rating, Verdict
from listening.services import save_verdict
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


def test_verdicts_in_force_block_and_teach(two_camps):
    ada, bob = two_camps[0], two_camps[2]
    heard = Song.objects.filter(history__listener=ada).order_by("pk")
    loved, refused = Song.objects.exclude(history__listener=ada).order_by("pk")[:2]
    save_verdict(listener=ada, thing=loved, kind="love")
    save_verdict(listener=ada, thing=refused, kind="no")
    rated = Song.objects.filter(ratings__listener=ada).first()
    save_verdict(listener=ada, thing=rated, kind="no")
    save_verdict(listener=ada, thing=heard.last().artist, kind="no")
    save_verdict(listener=bob, thing=Genre.objects.get(name="loud"), kind="no")
    tables = load_tables()
    rows, (one, two, last) = tables.listener_rows([ada.pk, bob.pk]), tables.song_rows([loved.pk, refused.pk, rated.pk])
    ratings = tables.rating_matrix[[rows[0]]].toarray()[0]
    assert (ratings[one], ratings[two], ratings[last]) == (5, 1, 1)
    barred = [set(tables.songs.ids[tables.blocked(rows[[place]]).indices]) for place in range(2)]
    by_artist = set(Song.objects.filter(artist=heard.last().artist).values_list("pk", flat=True))
    assert barred[0] == {refused.pk, rated.pk, *by_artist}
    assert barred[1] == set(Song.objects.filter(genre__name="loud").values_list("pk", flat=True))


def test_verdicts_that_ended_say_nothing(two_camps):
    before = load_tables()
    song = Song.objects.exclude(history__listener=two_camps[0]).first()
    for thing in (song, song.artist, song.genre):
        save_verdict(listener=two_camps[0], thing=thing, kind="no")
    Verdict.objects.update(expires_at=timezone.now())
    after = load_tables()
    assert len(after.ratings) == len(before.ratings)
    assert after.blocked(after.listener_rows([two_camps[0].pk])).nnz == 0


def test_love_alone_is_enough_to_be_known(db):
    song, listener = Song.objects.create(title="Alone"), Listener.objects.create(username="ada")
    save_verdict(listener=listener, thing=song, kind="love")
    assert load_tables().rating_matrix.toarray().tolist() == [[5]]


def test_a_loved_genre_is_as_good_as_picked(two_camps):
    ada = two_camps[0]
    calm, loud = Genre.objects.order_by("name")
    Pick.objects.create(listener=ada, genre=calm, picked_at=timezone.now())
    save_verdict(listener=ada, thing=loud, kind="love")
    save_verdict(listener=two_camps[1], thing=Song.objects.first().artist, kind="love")
    tables = load_tables()
    rows = tables.listener_rows([listener.pk for listener in two_camps[:2]])
    assert tables.users.genres[rows].tolist() == [("calm", "loud"), ()]


def test_a_genre_named_like_a_list_blocks_no_other(two_camps):
    save_verdict(listener=two_camps[0], thing=Genre.objects.create(name="calm|loud"), kind="no")
    tables = load_tables()
    assert tables.blocked(tables.listener_rows([two_camps[0].pk])).nnz == 0
