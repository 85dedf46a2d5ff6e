"""The planted world: what was planted shows in the tables, and writing it is whole and repeatable."""

from io import StringIO

import numpy as np
import pytest
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.management import CommandError, call_command
from django.db.models import Count, Max
from django.utils import timezone

from accounts.models import Listener
from catalog.features import FACTS, FEATURES
from catalog.models import PIECE_SECONDS, Album, Artist, Song
from listening.models import History, Pick, Play, Rating
from listening.services import seconds_to_count
from listening.world.plan import plan_world
from listening.world.writing import write_world
from quasimusic.exceptions import DatabaseFault, ParameterOutOfRange

SMALL = {"seed": 3, "n_songs": 300, "n_listeners": 60, "days": 90}


@pytest.fixture(scope="module")
def world():
    return plan_world(**SMALL)


def test_the_same_seed_gives_the_same_world_and_another_another(world):
    again, other = plan_world(**SMALL), plan_world(**{**SMALL, "seed": 4})
    assert again.catalogue.song_titles == world.catalogue.song_titles
    assert again.people.names == world.people.names
    for array in ("listeners", "songs", "seconds_ago", "seconds_heard"):
        np.testing.assert_array_equal(getattr(again.plays, array), getattr(world.plays, array))
    np.testing.assert_array_equal(again.affinity(), world.affinity())
    assert other.catalogue.song_titles != world.catalogue.song_titles


def test_numbers_lie_in_their_ranges(world):
    catalogue = world.catalogue
    for name, values in catalogue.features.items():
        assert all(FEATURES[name].admits(value) for value in values), name
    for name, values in (
        ("year", catalogue.years),
        ("duration_ms", catalogue.durations_ms),
        ("popularity", catalogue.popularity),
    ):
        assert all(FACTS[name].admits(value) for value in values), name
    assert set(catalogue.song_genres) == set(range(len(catalogue.genre_names)))
    valid = UnicodeUsernameValidator()
    for name in world.people.names:
        valid(name.lower().replace(" ", "."))


def test_features_tell_genres_apart_and_go_together(world):
    catalogue = world.catalogue
    energy, loudness, acoustic = (catalogue.features[name] for name in ("energy", "loudness", "acousticness"))
    assert np.corrcoef(energy, loudness)[0, 1] > 0.5
    assert np.corrcoef(energy, acoustic)[0, 1] < -0.5
    within = sum(energy[catalogue.song_genres == genre].var() for genre in range(12)) / 12
    assert within < 0.5 * energy.var()
    # An artist sounds like itself: songs of one artist differ less than songs of its genre.
    by_artist = [loudness[catalogue.song_artists == artist].var() for artist in set(catalogue.song_artists)]
    by_genre = [loudness[catalogue.song_genres == genre].var() for genre in range(12)]
    assert np.mean(by_artist) < np.mean(by_genre)


def test_popularity_has_a_long_tail(world):
    popularity = world.catalogue.popularity
    assert np.median(popularity) < 20
    assert popularity.max() > 90


def test_listeners_play_what_they_love(world):
    loved = world.genre_tastes > 0
    played = loved[world.plays.listeners, world.catalogue.song_genres[world.plays.songs]].mean()
    assert played > 3 * loved.mean()


def test_plays_follow_hidden_taste_too(world):
    """What no feature tells shows in the plays, so there is something that only other listeners' ears can teach."""
    people, catalogue, plays = world.people, world.catalogue, world.plays
    agreement = people.hidden @ catalogue.hidden.T
    assert agreement[plays.listeners, plays.songs].mean() > agreement.mean() + 0.3


def test_listeners_of_one_taste_share_songs(world):
    heard = np.zeros((len(world.people), len(world.catalogue)))
    heard[world.history.listeners, world.history.songs] = 1
    shared = heard @ heard.T
    alike = world.genre_tastes @ world.genre_tastes.T
    pairs = np.triu_indices(len(world.people), 1)
    close, far = alike[pairs] > 0.4, alike[pairs] == 0
    assert shared[pairs][close].mean() > 2 * shared[pairs][far].mean()


def test_ratings_follow_the_taste_with_noise(world):
    ratings = world.ratings
    affinity = world.affinity()[ratings.listeners, ratings.songs]
    correlations = [
        np.corrcoef(affinity[own], ratings.ratings[own])[0, 1]
        for who in range(len(world.people))
        if (own := ratings.listeners == who).sum() >= 10 and ratings.ratings[own].std() > 0
    ]
    assert 0.5 < np.mean(correlations) < 0.98
    assert set(ratings.ratings) == {1, 2, 3, 4, 5}


def test_skips_are_of_songs_liked_less(world):
    plays = world.plays
    affinity = world.affinity()[plays.listeners, plays.songs]
    assert affinity[~plays.counted].mean() < affinity[plays.counted].mean()
    assert 0.05 < (~plays.counted).mean() < 0.4


def test_nobody_plays_two_songs_at_once_or_after_the_end(world):
    plays = world.plays
    assert plays.seconds_ago.min() >= PIECE_SECONDS - 1
    assert plays.seconds_ago.max() <= 90 * 86400
    same = plays.listeners[1:] == plays.listeners[:-1]
    passed = (plays.seconds_ago[:-1] - plays.seconds_ago[1:])[same]
    assert (passed >= plays.seconds_heard[:-1][same]).all()


def test_a_world_is_never_too_small_to_say_so():
    plan_world(0, 12, 1, 1)
    for sizes in ((0, 11, 1, 1), (0, 12, 0, 1), (0, 12, 1, 0), (-1, 12, 1, 1)):
        with pytest.raises(ParameterOutOfRange, match="at least"):
            plan_world(*sizes)


@pytest.mark.django_db
def test_the_database_holds_what_was_planned(world):
    until = timezone.now()
    assert write_world(world=world, until=until)
    assert Song.objects.count() == len(world.catalogue)
    assert Play.objects.count() == len(world.plays)
    assert Rating.objects.count() == len(world.ratings)
    assert Listener.objects.count() == len(world.people)
    assert Artist.objects.count() == len(world.catalogue.artist_names)
    assert Album.objects.count() == len(world.catalogue.album_titles)
    assert Pick.objects.count() == (world.genre_tastes > 0).sum()
    song = Song.objects.get(source_id=f"{world.name}/7")
    assert song.title == world.catalogue.song_titles[7]
    assert song.artist.name == world.catalogue.artist_names[world.catalogue.song_artists[7]]
    assert song in Song.objects.search(f"{song.title} {song.artist.name}")
    song.full_clean()


@pytest.mark.django_db
def test_history_is_the_counted_plays(world):
    write_world(world=world, until=timezone.now())
    assert all(
        play.counted == (play.seconds_heard >= seconds_to_count(play.song))
        for play in Play.objects.select_related("song")[:500]
    )
    counted = Play.objects.filter(counted=True).values_list("listener", "song")
    from_plays = counted.annotate(Count("pk"), Max("started_at")).order_by("listener", "song")
    history = History.objects.values_list("listener", "song", "repetition", "last_played_at")
    assert list(history.order_by("listener", "song")) == list(from_plays)


@pytest.mark.django_db
def test_the_same_world_is_written_once_and_another_is_refused(world):
    write_world(world=world, until=timezone.now())
    before = list(Song.objects.values()), Play.objects.count()
    assert not write_world(world=world, until=timezone.now())
    assert (list(Song.objects.values()), Play.objects.count()) == before
    with pytest.raises(DatabaseFault, match="other songs"):
        write_world(world=plan_world(9, 12, 2, 5), until=timezone.now())


@pytest.mark.django_db
def test_a_taken_username_leaves_nothing_behind(world):
    Listener.objects.create_user(world.people.names[-1].lower().replace(" ", "."))
    with pytest.raises(DatabaseFault, match="taken"):
        write_world(world=world, until=timezone.now())
    assert not Song.objects.exists()
    assert not Artist.objects.exists()


@pytest.mark.django_db
def test_the_command_makes_a_world_and_says_so():
    options = {"seed": 1, "songs": 24, "listeners": 5, "days": 10}
    out = StringIO()
    call_command("make_world", stdout=out, **options)
    call_command("make_world", stdout=out, **options)
    assert "world-1-24-5-10: 24 songs, 5 listeners" in out.getvalue()
    assert "is here already; nothing was changed" in out.getvalue()
    with pytest.raises(CommandError, match="other songs"):
        call_command("make_world", stdout=out, **{**options, "seed": 2})
