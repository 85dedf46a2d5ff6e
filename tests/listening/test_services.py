"""What listeners do is written down once, whole, and never twice."""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Listener
from catalog.models import Artist, Genre, Song
from listening.models import History, Impression, Pick, Play, Rating, Verdict
from listening.services import clear_rating, clear_verdict, rate_song, record_play, save_picks, save_verdict
from quasimusic.exceptions import InputFault, PlayRejected, RatingOutOfRange, VerdictRejected


@pytest.fixture
def ada(db):
    return Listener.objects.create(username="ada")


@pytest.fixture
def song(db):
    return Song.objects.create(title="Thirty seconds")


@pytest.fixture
def report(ada, song):
    """Reports a play of the song by Ada; whatever is named overrides it."""
    usual = {"listener": ada, "song": song, "started_at": timezone.now() - timedelta(minutes=5), "source": "home"}
    return lambda **named: record_play(**{**usual, "key": uuid4(), "seconds_heard": 30, **named})


def show(listener, song):
    return Impression.objects.create(
        listener=listener,
        song=song,
        list_id="a list",
        shelf="home",
        rank=1,
        shares={},
        run_number=1,
        shown_at=timezone.now(),
    )


class TestRecordPlay:
    def test_half_the_song_counts_and_less_is_a_skip(self, report):
        assert not report(seconds_heard=14.9).counted
        assert not History.objects.exists()
        assert report(seconds_heard=15).counted
        assert History.objects.get().repetition == 1

    def test_four_minutes_of_a_long_song_count(self, report, song):
        song.audio, song.audio_ms = "songs/long.flac", 3600_000
        song.save()
        assert not report(seconds_heard=239).counted
        assert report(seconds_heard=240).counted

    def test_reports_of_one_play_are_one_play(self, report):
        key = uuid4()
        counted = [report(key=key, seconds_heard=seconds).counted for seconds in (3, 16, 28, 28, 5)]
        assert counted == [False, True, True, True, True]
        assert Play.objects.get().seconds_heard == 28
        assert History.objects.get().repetition == 1

    def test_a_later_report_changes_nothing_but_the_seconds(self, report, ada, song):
        key, impression = uuid4(), show(ada, song)
        first = report(key=key, seconds_heard=1, impression=impression)
        report(key=str(key), seconds_heard=20, source="search", started_at=timezone.now())
        play = Play.objects.get()
        assert (play.source, play.impression, play.started_at) == ("home", impression, first.started_at)

    def test_a_key_is_its_listeners_own(self, report):
        key, eve = uuid4(), Listener.objects.create(username="eve")
        report(key=key)
        report(key=key, listener=eve)
        assert sorted(History.objects.values_list("listener__username", flat=True)) == ["ada", "eve"]

    def test_history_adds_up_and_keeps_the_last_time(self, report):
        now = timezone.now()
        for hours in (2, 1, 5):
            report(started_at=now - timedelta(hours=hours))
        history = History.objects.get()
        assert (history.repetition, history.last_played_at) == (3, now - timedelta(hours=1))

    def test_history_without_a_time_gets_one(self, report, ada, song):
        History.objects.create(listener=ada, song=song, repetition=7)
        play = report()
        history = History.objects.get()
        assert (history.repetition, history.last_played_at) == (8, play.started_at)

    def test_nobody_hears_more_than_the_song_is_long(self, report):
        assert report(seconds_heard=31.5).seconds_heard == 30

    def test_a_device_whose_clock_is_a_little_ahead_is_believed(self, report):
        assert report(started_at=timezone.now() + timedelta(seconds=20)).started_at <= timezone.now()

    @pytest.mark.parametrize(
        "wrong",
        [
            {"seconds_heard": -1},
            {"seconds_heard": math.nan},
            {"seconds_heard": math.inf},
            {"seconds_heard": "long"},
            {"seconds_heard": None},
            {"started_at": timezone.now() + timedelta(days=1)},
            {"started_at": timezone.now().replace(tzinfo=None)},
            {"started_at": "yesterday"},
            {"started_at": datetime(1, 1, 1, tzinfo=timezone.get_fixed_timezone(14 * 60))},
            {"source": "the radio"},
            {"key": "not a uuid"},
            {"key": None},
        ],
        ids=str,
    )
    def test_what_cannot_be_is_refused_and_leaves_nothing(self, report, wrong):
        with pytest.raises(PlayRejected):
            report(**wrong)
        assert not Play.objects.exists()

    def test_an_impression_of_another_listener_or_song_is_refused(self, report, ada, song):
        eve = Listener.objects.create(username="eve")
        for impression in (show(eve, song), show(ada, Song.objects.create(title="Another"))):
            with pytest.raises(InputFault):
                report(impression=impression)
        assert not Play.objects.exists()

    def test_a_key_of_another_song_is_refused(self, report):
        key = uuid4()
        report(key=key, seconds_heard=2)
        with pytest.raises(PlayRejected):
            report(key=key, song=Song.objects.create(title="Another"))
        assert Play.objects.get().seconds_heard == 2
        assert not History.objects.exists()


def at_once(calls):
    """Run the calls side by side, each on a connection of its own."""

    def run(call):
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_one_play_reported_twice_at_once_counts_once(self, report):
        for round_number in range(1, 6):
            key = uuid4()
            plays = at_once([lambda key=key: report(key=key)] * 4)
            assert len({play.pk for play in plays}) == 1
            assert History.objects.get().repetition == round_number

    def test_plays_at_once_all_add_up(self, report):
        at_once([report] * 6)
        assert Play.objects.filter(counted=True).count() == 6
        assert History.objects.get().repetition == 6

    def test_ratings_at_once_leave_one(self, ada, song):
        at_once([lambda rating=rating: rate_song(listener=ada, song=song, rating=rating) for rating in (1, 2, 3, 4, 5)])
        assert Rating.objects.count() == 1

    def test_verdicts_at_once_leave_one(self, ada, song):
        at_once([lambda kind=kind: save_verdict(listener=ada, thing=song, kind=kind) for kind in ("love", "no") * 2])
        assert Verdict.objects.count() == 1

    def test_picks_at_once_leave_no_double(self, ada, song):
        at_once([lambda: save_picks(listener=ada, genres=[], songs=[song])] * 4)
        assert Pick.objects.count() == 1


class TestRating:
    def test_a_second_rating_takes_the_place_of_the_first(self, ada, song):
        rate_song(listener=ada, song=song, rating=2)
        rate_song(listener=ada, song=song, rating=5)
        assert Rating.objects.get().rating == 5

    @pytest.mark.parametrize("rating", [0, 6, -1, "abc", "4", 3.5, 4.0, True, None, math.nan], ids=str)
    def test_only_one_to_five_is_a_rating(self, ada, song, rating):
        rate_song(listener=ada, song=song, rating=3)
        with pytest.raises(RatingOutOfRange):
            rate_song(listener=ada, song=song, rating=rating)
        assert Rating.objects.get().rating == 3

    def test_clearing_takes_back_ones_own_alone(self, ada, song):
        eve = Listener.objects.create(username="eve")
        for listener in (ada, eve):
            rate_song(listener=listener, song=song, rating=4)
        clear_rating(listener=ada, song=song)
        clear_rating(listener=ada, song=song)
        assert Rating.objects.get().listener == eve


class TestPicks:
    def test_picks_replace_those_before_and_keep_their_time(self, ada, song):
        jazz, rock = (Genre.objects.create(name=name) for name in ("Jazz", "Rock"))
        save_picks(listener=ada, genres=[jazz], songs=[song])
        first = Pick.objects.get(genre=jazz)
        save_picks(listener=ada, genres=[jazz, rock, rock], songs=[])
        assert {pick.genre for pick in ada.picks.all()} == {jazz, rock}
        assert Pick.objects.get(genre=jazz).picked_at == first.picked_at

    def test_picks_of_others_stay(self, ada, song):
        eve = Listener.objects.create(username="eve")
        save_picks(listener=eve, genres=[], songs=[song])
        save_picks(listener=ada, genres=[], songs=[])
        assert Pick.objects.get().listener == eve


class TestVerdict:
    def test_one_of_each_song_artist_and_genre_and_a_new_one_takes_its_place(self, ada, song):
        things = [song, Artist.objects.create(name="Artist"), Genre.objects.create(name="Genre")]
        for thing in things:
            save_verdict(listener=ada, thing=thing, kind="love")
            save_verdict(listener=ada, thing=thing, kind="no", expires_at=timezone.now() + timedelta(days=30))
            first = save_verdict(listener=ada, thing=thing, kind="no")
            assert (first.thing, first.kind, first.expires_at) == (thing, "no", None)
        assert Verdict.objects.count() == 3
        assert set(ada.verdicts.by_thing()) == {("song", song.pk), ("artist", things[1].pk), ("genre", things[2].pk)}

    def test_a_song_is_blocked_by_itself_its_artist_or_its_genre_until_that_ends(self, ada, song):
        song.artist, song.genre = Artist.objects.create(name="Artist"), Genre.objects.create(name="Genre")
        song.save()
        other = Song.objects.create(title="Other")
        soon = timezone.now() + timedelta(days=30)
        for thing in (song, song.artist, song.genre):
            save_verdict(listener=ada, thing=thing, kind="no", expires_at=soon)
            for at, songs in ((None, [other]), (soon - timedelta(seconds=1), [other]), (soon, [song, other])):
                blocked = ada.verdicts.blocked(at)
                assert (song in blocked) == (song not in songs)
                assert other not in blocked
                assert list(blocked.left_out_of(Song.objects.order_by("pk"))) == songs
            clear_verdict(listener=ada, thing=thing)
            assert song not in ada.verdicts.blocked()

    def test_love_blocks_nothing(self, ada, song):
        save_verdict(listener=ada, thing=song, kind="love")
        assert song not in ada.verdicts.blocked()

    def test_taking_back_ends_ones_own_alone_and_keeps_the_moment(self, ada, song):
        eve = Listener.objects.create(username="eve")
        for listener in (ada, eve):
            said = save_verdict(listener=listener, thing=song, kind="no")
        clear_verdict(listener=ada, thing=song)
        ended = Verdict.objects.get(listener=ada)
        clear_verdict(listener=ada, thing=song)
        again = Verdict.objects.get(listener=ada)
        assert said.said_at > again.said_at < again.expires_at == ended.expires_at
        assert [verdict.listener for verdict in Verdict.objects.in_force()] == [eve]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"kind": "hate"},
            {"kind": ""},
            {"expires_at": timezone.now() - timedelta(days=1)},
            {"expires_at": timezone.now() + timedelta(days=40000)},
            {"expires_at": datetime(2099, 1, 1)},  # noqa: DTZ001 - a moment without its zone is the matter
            {"expires_at": "tomorrow"},
        ],
        ids=str,
    )
    def test_what_cannot_be_is_refused_and_the_old_one_stays(self, ada, song, wrong):
        save_verdict(listener=ada, thing=song, kind="love")
        with pytest.raises(VerdictRejected):
            save_verdict(**{"listener": ada, "thing": song, "kind": "no"} | wrong)
        assert Verdict.objects.get().kind == "love"

    def test_verdicts_go_with_the_account(self, ada, song):
        save_verdict(listener=ada, thing=song, kind="no")
        ada.delete()
        assert not Verdict.objects.exists()
