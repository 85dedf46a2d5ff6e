from datetime import timedelta

import numpy as np
import pytest
from django.core.cache import cache
from django.utils import timezone

from accounts.models import Listener
from catalog.models import Artist, Genre, Song
from listening.models import History, Rating

N_SONGS = 80
N_LISTENERS = 24
HEARD = 12


@pytest.fixture(autouse=True)
def _fresh(tmp_path, settings):
    """No stored list and no model of another test."""
    settings.MODELS_DIR = tmp_path / "models"
    cache.clear()


@pytest.fixture
def two_camps(db):
    """Two genres of 40 songs, 24 listeners who each heard 12 songs of one genre, and a few ratings.

    Songs alternate: even ones are calm, odd ones are loud; listeners likewise.
    """
    rng = np.random.default_rng(0)
    genres = [Genre.objects.create(name="calm"), Genre.objects.create(name="loud")]
    artists = Artist.objects.bulk_create([Artist(name=f"Artist {i}") for i in range(N_SONGS // 4)])
    songs = Song.objects.bulk_create(
        Song(
            title=f"Song {i}",
            artist=artists[i // 4],
            genre=genres[i % 2],
            energy=0.2 + 0.6 * (i % 2) + rng.uniform(0, 0.1),
            acousticness=0.8 - 0.6 * (i % 2) + rng.uniform(0, 0.1),
            tempo=80 + 60 * (i % 2) + rng.uniform(0, 10),
            popularity=int(rng.integers(0, 100)),
        )
        for i in range(N_SONGS)
    )
    listeners = Listener.objects.bulk_create([Listener(username=f"listener{i}") for i in range(N_LISTENERS)])
    last_week = timezone.now() - timedelta(days=7)
    for i, listener in enumerate(listeners):
        heard = rng.choice(songs[i % 2 :: 2], HEARD, replace=False)
        History.objects.bulk_create(
            History(listener=listener, song=song, repetition=int(rng.integers(1, 9)), last_played_at=last_week)
            for song in heard
        )
        Rating.objects.bulk_create(
            Rating(listener=listener, song=song, rating=4, rated_at=last_week) for song in heard[:3]
        )
    return listeners
