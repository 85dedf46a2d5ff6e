"""The moods of the catalogue: written whole or not at all, under names and addresses that stay."""

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from catalog.models import Genre, Mood, Song
from quasimusic.celery import app
from quasimusic.exceptions import TableNeeded
from recommender import tasks
from recommender.services import moods

pytestmark = pytest.mark.django_db


def refresh(seed=0) -> list[str]:
    """Refreshes and returns what was told."""
    told = []
    moods.refresh_moods(seed=seed, report=told.append)
    return told


def rows() -> dict:
    return {song.pk: song.mood and (song.mood.pk, song.mood.name, song.mood.slug) for song in Song.objects.all()}


def test_every_song_that_is_known_has_a_mood(two_camps):
    bare = Song.objects.create(title="Nobody knows this one", year=1990)
    refresh()
    assert Song.objects.get(pk=bare.pk).mood is None
    assert not Song.objects.filter(mood=None).exclude(pk=bare.pk).exists()
    # No mood holds calm songs and loud ones.
    assert all(mood.songs.values("genre").distinct().count() == 1 for mood in Mood.objects.all())


def test_run_twice_nothing_changes(two_camps):
    refresh()
    before = rows()
    told = refresh()
    assert rows() == before
    n_moods = Mood.objects.count()
    assert told[0].startswith(f"{n_moods} moods, {n_moods} of them kept")


def test_a_name_given_by_staff_and_the_address_stay(two_camps):
    refresh()
    mood = Mood.objects.first()
    Mood.objects.filter(pk=mood.pk).update(name="Sunday morning")
    Song.objects.create(title="New", genre=mood.songs.first().genre, energy=0.5, tempo=100)
    refresh(seed=7)
    again = Mood.objects.get(pk=mood.pk)
    assert (again.name, again.slug) == ("Sunday morning", mood.slug)


def test_a_new_song_gets_its_mood_at_the_next_run(two_camps):
    refresh()
    known = Song.objects.first()
    facts = {name: getattr(known, name) for name in ("genre", "energy", "acousticness", "tempo")}
    new = Song.objects.create(title="New", **facts)
    refresh()
    assert Song.objects.get(pk=new.pk).mood == Song.objects.get(pk=known.pk).mood


def test_moods_without_songs_go(two_camps):
    refresh()
    stale = Mood.objects.create(name="of another catalogue")
    refresh()
    assert not Mood.objects.filter(pk=stale.pk).exists()


def test_a_mood_that_was_deleted_comes_back(two_camps):
    refresh()
    n_moods = Mood.objects.count()
    Mood.objects.first().delete()
    refresh()
    assert Mood.objects.count() == n_moods
    assert not Song.objects.filter(mood=None).exists()


def test_songs_without_sound_leave_what_is_there(db):
    stale = Mood.objects.create(name="calm")
    song = Song.objects.create(title="Nobody knows this one", mood=stale)
    with pytest.raises(TableNeeded, match="moods need"):
        refresh()
    assert Song.objects.get(pk=song.pk).mood == stale
    with pytest.raises(CommandError, match="moods need"):
        call_command("refresh_moods")


def test_a_negative_seed_is_refused_by_the_command(two_camps):
    with pytest.raises(CommandError, match="seed"):
        call_command("refresh_moods", seed=-1)


def test_a_database_that_breaks_off_midway_leaves_what_was_there(two_camps):
    refresh()
    before = rows()
    Song.objects.update(energy=0.5, acousticness=0.5, tempo=100, genre=Genre.objects.first())

    def break_off(execute, sql, *given):
        if sql.startswith("INSERT"):
            raise OperationalError("the disk is full")
        return execute(sql, *given)

    with connection.execute_wrapper(break_off), pytest.raises(OperationalError):
        refresh()
    assert rows() == before


def test_beat_finds_them_nightly_after_the_training(two_camps):
    nightly = app.conf.beat_schedule["refresh_moods"]
    training = app.conf.beat_schedule["train"]
    assert nightly["task"] == tasks.refresh_moods.name
    assert nightly["schedule"].hour == training["schedule"].hour
    assert min(nightly["schedule"].minute) > min(training["schedule"].minute)
    tasks.refresh_moods()
    assert Mood.objects.exists()
