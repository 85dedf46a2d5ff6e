from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.core.management import call_command
from django.utils import timezone

from accounts.grants import LISTENERS
from accounts.models import Listener
from catalog.models import Album, Artist, Genre, Mood, Song
from listening.models import Play, Rating, Verdict

HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture(scope="session", autouse=True)
def _static_files():
    """Pages name static files by their hashed names, which collecting them writes down."""
    call_command("collectstatic", interactive=False, verbosity=0)


@pytest.fixture(autouse=True)
def _no_stored_lists():
    cache.clear()


@pytest.fixture
def listener(db):
    account = Listener.objects.create_user("nina", "nina@example.org", "a plain word 1", display_name="Nina")
    account.groups.add(Group.objects.get(name=LISTENERS))
    return account


@pytest.fixture
def signed_in(client, listener):
    client.force_login(listener)
    return client


@pytest.fixture
def add_songs(db):
    """Adds songs of one artist, album, genre and mood."""
    artist = Artist.objects.create(name="Cloud Nine", country="IT")
    album = Album.objects.create(title="Second Weather", artist=artist, year=1999)
    genre = Genre.objects.create(name="dream pop")
    mood = Mood.objects.create(name="calm, acoustic")

    def add(count: int = 1, **columns) -> list[Song]:
        before = Song.objects.count()
        named = {"artist": artist, "album": album, "genre": genre, "mood": mood}
        known = {**named, "energy": 0.4, "valence": 0.8, "liveness": 0.1}
        return [Song.objects.create(**{"title": f"Song {before + i}", **known, **columns}) for i in range(count)]

    return add


@pytest.fixture
def song(add_songs):
    return add_songs()[0]


@pytest.fixture
def add_plays(listener, add_songs):
    """Adds plays, each of a song of its own that the listener has rated and loves."""

    def add(count: int) -> list[Play]:
        songs, now = add_songs(count), timezone.now()
        Rating.objects.bulk_create(Rating(listener=listener, song=song, rating=4, rated_at=now) for song in songs)
        Verdict.objects.bulk_create(Verdict(listener=listener, song=song, kind="love", said_at=now) for song in songs)
        return Play.objects.bulk_create(
            Play(
                listener=listener,
                song=song,
                key=f"00000000-0000-4000-8000-{song.pk:012}",
                started_at=now - timedelta(hours=5 * i),
                seconds_heard=25,
                counted=bool(i % 2),
                source=Play.Source.HOME,
            )
            for i, song in enumerate(songs)
        )

    return add
