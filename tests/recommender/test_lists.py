from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Listener
from catalog.models import Song
from listening.models import History, Impression
from listening.services import clear_verdict, rate_song, record_play, save_picks, save_verdict
from quasimusic.exceptions import ModelsAbsent
from recommender import cache
from recommender.engines import ENGINES
from recommender.models import DailyReward
from recommender.services import learning, lists, training


@pytest.fixture
def trained(two_camps):
    training.train_band(seed=1)
    return two_camps


def songs_of(shelf):
    return [card.song for card in shelf.cards]


def test_before_any_training_home_shows_what_is_popular(two_camps):
    home = lists.home(listener=two_camps[0])
    assert home.pending
    popularity = [song.popularity for song in songs_of(home.shelves[0])]
    assert popularity == sorted(popularity, reverse=True)


def test_refreshing_without_models_says_what_to_do(two_camps):
    with pytest.raises(ModelsAbsent, match="train_models"):
        lists.refresh_everybody()


def test_every_listener_has_a_hybrid_list_and_a_shelf_for_each_engine(trained):
    assert lists.refresh_everybody() == len(trained)
    for listener in trained:
        home = lists.home(listener=listener)
        assert [shelf.name for shelf in home.shelves] == ["hybrid", *ENGINES]
        assert home.shelves[0].title == "For you"
        assert not home.pending
        assert not home.stale
        assert all(shelf.cards for shelf in home.shelves)


def test_lists_hold_what_the_listener_likes_and_nothing_they_know(trained):
    lists.refresh_everybody()
    for i, listener in enumerate(trained):
        hybrid = songs_of(lists.home(listener=listener).shelves[0])
        in_genre = sum(song.genre.name == ("calm", "loud")[i % 2] for song in hybrid)
        assert in_genre > 0.8 * len(hybrid)
        assert not History.objects.filter(listener=listener, song__in=hybrid).exists()


def test_no_shelf_is_filled_by_one_artist(trained):
    lists.refresh_everybody()
    for shelf in lists.home(listener=trained[0]).shelves:
        artists = Counter(song.artist for song in songs_of(shelf)[:10])
        assert max(artists.values()) <= 2, shelf.name


def test_cards_say_why_and_who_spoke(trained):
    lists.refresh_everybody()
    for card in lists.home(listener=trained[0]).shelves[0].cards:
        assert card.reason
        assert sum(card.shares.values()) == pytest.approx(1, abs=0.001)


def test_what_is_shown_is_noted_once_however_often_the_page_is_loaded(trained):
    lists.refresh_everybody()
    first = lists.home(listener=trained[0])
    noted = Impression.objects.count()
    again = lists.home(listener=trained[0])
    assert noted == sum(len(shelf.cards) for shelf in first.shelves)
    assert Impression.objects.count() == noted
    assert again == first
    impression = Impression.objects.get(pk=first.shelves[0].cards[0].impression_id)
    assert (impression.shelf, impression.rank, impression.listener) == ("hybrid", 1, trained[0])


def test_a_song_heard_since_leaves_the_page_at_once_and_the_list_is_behind(trained):
    lists.refresh_everybody()
    listener = trained[0]
    song = lists.home(listener=listener).shelves[0].cards[0].song
    rate_song(listener=listener, song=song, rating=5)
    home = lists.home(listener=listener)
    assert home.stale
    assert all(song not in songs_of(shelf) for shelf in home.shelves)
    assert lists.listeners_behind() == [listener.pk]
    lists.refresh_listeners(listener_ids=[listener.pk])
    assert lists.listeners_behind() == []


def test_a_play_begun_before_the_list_was_made_and_told_after_makes_it_stale(trained):
    lists.refresh_everybody()
    song = lists.home(listener=trained[0]).shelves[0].cards[0].song
    began = timezone.now() - timedelta(hours=3)
    record_play(listener=trained[0], song=song, key=uuid4(), started_at=began, seconds_heard=30, source="home")
    assert lists.home(listener=trained[0]).stale
    assert lists.listeners_behind() == [trained[0].pk]


def test_a_newcomer_is_served_without_retraining_by_what_they_picked(trained):
    lists.refresh_everybody()
    newcomer = Listener.objects.create_user("newcomer")
    assert lists.home(listener=newcomer).pending
    picked = Song.objects.filter(genre__name="loud").first()
    save_picks(listener=newcomer, genres=[picked.genre], songs=[picked])
    lists.refresh_listeners(listener_ids=[newcomer.pk])
    shelves = {shelf.name: songs_of(shelf) for shelf in lists.home(listener=newcomer).shelves}
    assert {song.genre.name for song in shelves["coolstart"]} == {"loud"}
    assert shelves["hybrid"]
    assert all(picked not in songs for songs in shelves.values())


def test_lists_change_with_what_a_newcomer_plays(trained):
    newcomer = Listener.objects.create_user("newcomer")
    lists.refresh_everybody()
    before = songs_of(lists.home(listener=newcomer).shelves[0])
    for song in Song.objects.filter(genre__name="calm")[:5]:
        History.objects.create(listener=newcomer, song=song, repetition=3, counted_at=timezone.now())
    lists.refresh_listeners(listener_ids=lists.listeners_behind())
    after = songs_of(lists.home(listener=newcomer).shelves[0])
    calm = sum(song.genre.name == "calm" for song in after)
    assert after != before
    assert calm > 0.8 * len(after)


def test_a_refresh_that_breaks_off_leaves_the_old_generation_serving(trained):
    lists.refresh_everybody()
    serving = cache.serving_generation()

    def break_off(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lists.refresh_everybody(progress=break_off)
    assert cache.serving_generation() == serving
    assert not lists.home(listener=trained[0]).pending


def test_refreshing_again_and_again_keeps_no_more_than_two_generations(trained):
    n_stored = []
    with redis.Redis.from_url(settings.CACHES["default"]["LOCATION"]) as server:
        for _ in range(4):
            lists.refresh_everybody()
            n_stored.append(len(list(server.scan_iter("*recommender:*"))))
    assert n_stored[1] == n_stored[2] == n_stored[3]


def test_who_is_behind_takes_as_many_queries_for_many_listeners_as_for_one(trained, django_assert_num_queries):
    lists.refresh_everybody()
    for active in (trained[:1], trained):
        History.objects.filter(listener__in=active).update(counted_at=timezone.now())
        with django_assert_num_queries(1):
            assert set(lists.listeners_behind()) == {listener.pk for listener in active}


def test_a_new_song_has_neighbours_by_its_genre_until_the_next_refresh(trained):
    lists.refresh_everybody()
    loud = Song.objects.filter(genre__name="loud").first()
    assert {song.genre.name for song in songs_of(lists.near_song(song=loud, listener=trained[0]))} == {"loud"}
    fresh = Song.objects.create(title="Fresh", genre=loud.genre)
    near = songs_of(lists.near_song(song=fresh, listener=trained[0]))
    assert near
    assert {song.genre for song in near} == {loud.genre}


def test_home_takes_the_same_few_queries_for_one_card_and_for_many(trained, django_assert_num_queries):
    lists.refresh_everybody()
    n_cards = [sum(len(shelf.cards) for shelf in lists.home(listener=trained[0]).shelves)]
    with django_assert_num_queries(6):
        lists.home(listener=trained[0])
    kept = lists.home(listener=trained[0]).shelves[0].cards[0].song
    Song.objects.exclude(pk=kept.pk).delete()
    n_cards.append(sum(len(shelf.cards) for shelf in lists.home(listener=trained[0]).shelves))
    with django_assert_num_queries(6):
        lists.home(listener=trained[0])
    assert n_cards[0] > 30 > n_cards[1]


def test_recommend_prints_songs_and_reasons(trained, capsys):
    call_command("recommend", trained[0].username, "-n", "5")
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 5
    assert any("because" in line or "listeners like you" in line for line in lines)


def test_events_of_an_hour_ago_are_left_to_the_hourly_refresh(trained):
    lists.refresh_everybody()
    History.objects.filter(listener=trained[0]).update(counted_at=timezone.now() - timedelta(hours=2))
    assert lists.listeners_behind() == []


def everything_shown(listener):
    return [song for shelf in lists.home(listener=listener).shelves for song in songs_of(shelf)]


@pytest.mark.parametrize("of", ["song", "artist", "genre"])
def test_what_is_blocked_is_off_every_shelf_at_once_and_back_once_that_ends(trained, of):
    lists.refresh_everybody()
    listener = trained[0]
    first = next(song for song in everything_shown(listener) if song in everything_shown(trained[2]))
    thing = first if of == "song" else getattr(first, of)
    now = timezone.now()
    save_verdict(listener=listener, thing=thing, kind="no", expires_at=now + timedelta(days=30))

    def is_of(song):
        return thing in (song, song.artist, song.genre)

    home = lists.home(listener=listener)
    assert home.stale
    assert home.shelves[0].cards
    assert not any(is_of(song) for song in everything_shown(listener))
    assert not any(is_of(song) for song in songs_of(lists.near_song(song=first, listener=listener)))
    assert not any(is_of(song) for song, _, _ in lists.recommend(listener=listener, n=60))
    assert not any(is_of(song) for song, _, _ in lists.recommend(listener=listener, n=60, engine="relevance"))
    assert any(is_of(song) for song in everything_shown(trained[2]))
    assert lists.listeners_behind() == [listener.pk]
    lists.refresh_listeners(listener_ids=[listener.pk])
    assert not any(is_of(song) for song in everything_shown(listener))
    assert lists.home(listener=listener).shelves[0].cards
    assert lists.listeners_behind() == []
    clear_verdict(listener=listener, thing=thing)
    assert lists.home(listener=listener).stale
    assert lists.listeners_behind() == [listener.pk]
    lists.refresh_listeners(listener_ids=[listener.pk])
    assert any(is_of(song) for song in everything_shown(listener))


def test_a_verdict_that_ends_by_itself_makes_the_list_stale(trained, monkeypatch):
    lists.refresh_everybody()
    listener, now = trained[0], timezone.now()
    song = everything_shown(listener)[0]
    save_verdict(listener=listener, thing=song, kind="no", expires_at=now + timedelta(days=30))
    lists.refresh_everybody()
    assert not lists.home(listener=listener).stale
    assert song not in everything_shown(listener)
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(days=30, seconds=1))
    assert lists.home(listener=listener).stale
    lists.refresh_everybody()
    assert song in everything_shown(listener)


def test_blocked_songs_leave_their_places_to_those_further_down(trained):
    lists.refresh_everybody()
    listener = trained[0]
    before = songs_of(lists.home(listener=listener).shelves[0])
    for song in before[:5]:
        save_verdict(listener=listener, thing=song, kind="no")
    after = songs_of(lists.home(listener=listener).shelves[0])
    assert len(after) == lists.SHELF_LENGTH
    assert after[:7] == before[5:]


def test_whoever_blocks_all_they_were_offered_is_shown_what_is_popular_among_the_rest(trained):
    lists.refresh_everybody()
    listener = trained[0]
    for artist in {song.artist for song in everything_shown(listener) if song.genre.name == "calm"}:
        save_verdict(listener=listener, thing=artist, kind="no")
    stored = cache.stored_lists([listener.pk])[listener.pk].shelves["hybrid"]
    for song in Song.objects.filter(pk__in=[item.song_id for item in stored]):
        save_verdict(listener=listener, thing=song, kind="no")
    shelf = lists.home(listener=listener).shelves[0]
    blocked = listener.verdicts.blocked()
    assert shelf.name == "hybrid"
    assert shelf.cards
    assert len({song.pk for song in songs_of(shelf)}) == len(shelf.cards)
    assert not any(song in blocked for song in songs_of(shelf))
    assert not History.objects.filter(listener=listener, song__in=songs_of(shelf)).exists()
    assert all(card.shares == {"relevance": 1.0} and card.impression_id for card in shelf.cards)


def test_before_any_training_blocked_songs_stay_away_too(two_camps):
    listener = two_camps[0]
    popular = songs_of(lists.home(listener=listener).shelves[0])[0]
    save_verdict(listener=listener, thing=popular, kind="no")
    assert popular not in songs_of(lists.home(listener=listener).shelves[0])


def test_a_loved_song_is_known_and_draws_others_like_it(trained):
    newcomer = Listener.objects.create_user("newcomer")
    lists.refresh_everybody()
    loved = list(Song.objects.filter(genre__name="loud")[:4])
    for song in loved:
        save_verdict(listener=newcomer, thing=song, kind="love")
    lists.refresh_listeners(listener_ids=lists.listeners_behind())
    hybrid = songs_of(lists.home(listener=newcomer).shelves[0])
    assert sum(song.genre.name == "loud" for song in hybrid) > 0.8 * len(hybrid)
    assert not set(loved) & set(everything_shown(newcomer))


def test_thirty_verdicts_take_as_many_queries_as_one(trained, django_assert_num_queries):
    lists.refresh_everybody()
    listener = trained[0]
    for song in Song.objects.exclude(history__listener=listener)[:30]:
        save_verdict(listener=listener, thing=song, kind="no")
        lists.home(listener=listener)
        with django_assert_num_queries(6):
            shelves = lists.home(listener=listener).shelves
    assert shelves[0].cards


def test_songs_near_another_and_popular_ones_are_noted_too_and_credit_nobody(two_camps, settings):
    settings.SETTLE_HOURS = 0
    listener, song = two_camps[0], Song.objects.first()
    for _ in range(2):
        near, popular = lists.near_song(song=song, listener=listener), lists.home(listener=listener).shelves[0]
    assert Impression.objects.count() == len(near.cards) + len(popular.cards)
    assert {card.impression_id for card in (*near.cards, *popular.cards)} == set(
        Impression.objects.values_list("pk", flat=True)
    )
    assert learning.settle_impressions() == Impression.objects.count()
    assert not DailyReward.objects.exists()


def test_what_is_noted_tells_reason_and_weights(trained):
    lists.refresh_everybody()
    card = lists.home(listener=trained[0]).shelves[0].cards[0]
    shown = Impression.objects.get(pk=card.impression_id)
    assert shown.reason == card.reason
    assert sum(shown.weights.values()) == pytest.approx(1, abs=0.001)
