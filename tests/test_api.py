"""The API of catalogue and listening: who may do what, what is refused and how it is told."""

from base64 import b64encode
from datetime import timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.core.management import call_command
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework.throttling import UserRateThrottle

from accounts.grants import EDITORS, LISTENERS
from accounts.models import Listener
from catalog.models import Album, Artist, Genre, Mood, Song
from listening.models import History, Impression, Play, Rating, Verdict
from listening.services import rate_song, save_verdict

pytestmark = pytest.mark.django_db

ROUTES = ("songs", "artists", "albums", "genres", "moods", "plays", "ratings", "verdicts", "history")


@pytest.fixture(autouse=True)
def _no_calls_so_far():
    cache.clear()


def caller(name, group):
    listener = Listener.objects.create(username=name)
    listener.groups.add(Group.objects.get(name=group))
    client = APIClient()
    client.force_login(listener)
    client.listener = listener
    return client


@pytest.fixture
def ada():
    return caller("ada", LISTENERS)


@pytest.fixture
def eve():
    return caller("eve", LISTENERS)


@pytest.fixture
def editor():
    return caller("ed", EDITORS)


@pytest.fixture
def song():
    return Song.objects.create(title="Jóga", artist=Artist.objects.create(name="Björk"), energy=0.4)


def refused(answer, status):
    """The problem an answer tells of, once it is seen to be one of this status."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    return problem


def report(of, **named):
    started_at = timezone.now() - timedelta(minutes=1)
    return {"song": of.pk, "key": uuid4(), "started_at": started_at, "seconds_heard": 20, **named}


class TestDoor:
    @pytest.mark.parametrize("route", ROUTES)
    def test_strangers_are_refused(self, route):
        refused(APIClient().get(f"/api/v1/{route}/"), 403)

    @pytest.mark.parametrize("route", ["plays", "ratings", "verdicts", "songs"])
    def test_another_sites_form_cannot_write(self, ada, route):
        forged = APIClient(enforce_csrf_checks=True)
        forged.force_login(ada.listener)
        refused(forged.post(f"/api/v1/{route}/", {}, format="json"), 403)

    def test_who_calls_too_often_is_told_when_to_come_back(self, ada, monkeypatch):
        monkeypatch.setattr(UserRateThrottle, "THROTTLE_RATES", {"user": "2/min"})
        assert [ada.get("/api/v1/genres/").status_code for _ in range(2)] == [200, 200]
        answer = ada.get("/api/v1/genres/")
        refused(answer, 429)
        assert 0 < int(answer["Retry-After"]) <= 60

    def test_the_schema_is_whole(self, ada, tmp_path):
        assert ada.get("/api/v1/schema/").status_code == 200
        call_command("spectacular", validate=True, fail_on_warn=True, file=tmp_path / "schema.yml")

    def test_what_is_no_json_is_told_so(self, ada, editor):
        refused(ada.post("/api/v1/plays/", "{", content_type="application/json"), 400)
        refused(ada.post("/api/v1/plays/", "song=1", content_type="application/x-www-form-urlencoded"), 415)
        refused(editor.delete("/api/v1/genres/"), 405)

    @pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 5000, '{"source": "\\ud800"}', '["\\udfff"]'])
    def test_json_that_nobody_can_store_or_tell_back(self, ada, body):
        refused(ada.post("/api/v1/plays/", body, content_type="application/json"), 400)

    def test_a_body_that_is_too_large(self, ada):
        body = f'{{"song": 1, "rating": 3, "more": "{"x" * 3_000_000}"}}'
        refused(ada.post("/api/v1/ratings/", body, content_type="application/json"), 413)

    @pytest.mark.parametrize("position", ["\0", "abc", "1.5", "-1"])
    @pytest.mark.parametrize("route", ROUTES)
    def test_a_cursor_of_ones_own_making(self, ada, route, position):
        cursor = b64encode(f"p={quote(position)}".encode()).decode()
        refused(ada.get(f"/api/v1/{route}/", {"cursor": cursor}), 404)

    def test_numbers_beyond_any_float(self, ada, editor, song):
        huge = "1" + "0" * 400
        body = (
            f'{{"song": {song.pk}, "key": "{uuid4()}", "started_at": "2026-01-01T00:00:00Z", "seconds_heard": {huge}}}'
        )
        refused(ada.post("/api/v1/plays/", body, content_type="application/json"), 400)
        for body in (f'{{"energy": {huge}}}', f'{{"other_features": {{"mood": {huge}}}}}'):
            refused(editor.patch(f"/api/v1/songs/{song.pk}/", body, content_type="application/json"), 400)

    def test_an_address_that_is_not_there(self, ada):
        refused(ada.get("/api/v1/nothing/"), 404)


class TestReading:
    def test_a_song_and_what_is_known_of_it(self, ada, song):
        told = ada.get(f"/api/v1/songs/{song.pk}/").json()
        assert (told["title"], told["artist_name"], told["energy"], told["tempo"]) == ("Jóga", "Björk", 0.4, None)
        assert told["audio_url"] == song.audio_url

    @pytest.mark.parametrize("words", ["joga", "BJÖRK jo", "  bjork  "])
    def test_search_finds_without_accents_or_case(self, ada, song, words):
        Song.objects.create(title="Another")
        found = ada.get("/api/v1/songs/", {"q": words}).json()["results"]
        assert [row["id"] for row in found] == [song.pk]

    def test_search_for_what_is_not_there(self, ada, song):
        assert ada.get("/api/v1/songs/", {"q": "joga zzz"}).json()["results"] == []
        assert ada.get("/api/v1/artists/", {"q": "\0bjork"}).status_code == 200

    @pytest.mark.parametrize("pk", ["0", "999999", "abc", "-1", "9" * 40])
    @pytest.mark.parametrize("route", ["songs", "artists", "albums", "genres", "plays", "ratings", "verdicts"])
    def test_what_is_not_there(self, ada, route, pk):
        refused(ada.get(f"/api/v1/{route}/{pk}/"), 404)

    def test_pages_follow_each_other_without_gap_or_double(self, ada):
        made = [Song.objects.create(title=str(number)).pk for number in range(7)]
        seen, address = [], "/api/v1/songs/?page_size=3"
        while address:
            page = ada.get(address).json()
            seen += [row["id"] for row in page["results"]]
            address = page["next"]
        assert seen == made

    def test_a_longer_page_takes_no_more_queries(self, ada, django_assert_max_num_queries):
        for number in range(3):
            artist = Artist.objects.create(name=f"Artist {number}")
            album = Album.objects.create(title="First", artist=artist)
            Song.objects.create(title="One", artist=artist, album=album, genre=Genre.objects.create(name=str(number)))
        for route in ("songs", "artists", "albums", "genres"):
            with django_assert_max_num_queries(3):
                assert len(ada.get(f"/api/v1/{route}/").json()["results"]) == 3

    def test_a_song_names_its_mood(self, ada, song):
        mood = Mood.objects.create(name="calm, acoustic")
        Song.objects.update(mood=mood)
        assert ada.get(f"/api/v1/songs/{song.pk}/").json()["mood"] == mood.pk
        assert ada.get(f"/api/v1/moods/{mood.pk}/").json() == {
            "id": mood.pk,
            "name": "calm, acoustic",
            "slug": "calm-acoustic",
        }


class TestEditing:
    def test_listeners_only_read(self, ada, song):
        for method, address in (("post", "songs/"), ("put", f"songs/{song.pk}/"), ("delete", f"songs/{song.pk}/")):
            refused(getattr(ada, method)(f"/api/v1/{address}", {"title": "Mine"}, format="json"), 403)
        assert Song.objects.get().title == "Jóga"

    def test_editors_keep_the_catalogue(self, editor):
        genre = editor.post("/api/v1/genres/", {"name": "Trip hop"}, format="json").json()
        artist = editor.post("/api/v1/artists/", {"name": "Tricky", "country": "GB"}, format="json").json()
        album = editor.post("/api/v1/albums/", {"title": "Maxinquaye", "artist": artist["id"]}, format="json").json()
        body = {"title": "Ponderosa", "artist": artist["id"], "album": album["id"], "genre": genre["id"], "tempo": 99.5}
        made = editor.post(
            "/api/v1/songs/", body | {"tags": ["bristol"], "other_features": {"mood": 0.2}}, format="json"
        )
        assert made.status_code == 201
        address = f"/api/v1/songs/{made.json()['id']}/"
        assert editor.patch(address, {"title": "Overcome"}, format="json").status_code == 200
        song = Song.objects.get()
        assert (song.title, song.tempo, song.tags, song.other_features) == (
            "Overcome",
            99.5,
            ["bristol"],
            {"mood": 0.2},
        )
        assert Song.objects.search("overcome tricky").exists()
        assert editor.delete(address).status_code == 204

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("energy", 1.5),
            ("energy", "nan"),
            ("energy", "abc"),
            ("tempo", "inf"),
            ("key", 12),
            ("key", 3.5),
            ("year", -1),
            ("artist", 999999),
            ("artist", "9" * 40),
            ("title", "x" * 401),
            ("title", "nul\0"),
            ("tags", "not a list"),
            ("tags", [{}]),
            ("other_features", {"mood": "inf"}),
            ("other_features", {"\0": 1}),
            ("other_features", [1]),
            ("spotify_id", ""),
            ("musicbrainz_id", "not a uuid"),
        ],
    )
    def test_a_wrong_field_is_named_and_nothing_is_written(self, editor, field, value):
        problem = refused(editor.post("/api/v1/songs/", {"title": "Wrong", field: value}, format="json"), 400)
        assert list(problem["errors"]) == [field]
        assert not Song.objects.exists()

    def test_what_there_is_cannot_be_made_again(self, editor, song):
        Genre.objects.create(name="Jazz")
        Album.objects.create(title="Nobody's")
        debut = Album.objects.create(title="Debut", artist=song.artist)
        Song.objects.create(source_id="s1")
        for route, body in (
            ("artists", {"name": "Björk"}),
            ("genres", {"name": "Jazz"}),
            ("albums", {"title": "Nobody's"}),
            ("albums", {"title": "Debut", "artist": song.artist_id}),
            ("songs", {"source_id": "s1"}),
        ):
            refused(editor.post(f"/api/v1/{route}/", body, format="json"), 400)
        address = f"/api/v1/albums/{debut.pk}/"
        refused(editor.patch(address, {"title": "Nobody's", "artist": None}, format="json"), 400)
        assert editor.patch(address, {"year": 1993}, format="json").status_code == 200
        assert (
            editor.post("/api/v1/artists/", {"name": "Björk", "disambiguation": "2"}, format="json").status_code == 201
        )

    def test_moods_are_found_not_written(self, editor, song):
        mood = Mood.objects.create(name="calm, acoustic")
        refused(editor.post("/api/v1/moods/", {"name": "mine"}, format="json"), 405)
        assert editor.patch(f"/api/v1/songs/{song.pk}/", {"mood": mood.pk}, format="json").json()["mood"] is None

    def test_genres_whose_slugs_would_meet_get_one_each(self, editor):
        slugs = [editor.post("/api/v1/genres/", {"name": name}, format="json").json()["slug"] for name in ("R&B", "RB")]
        assert len(set(slugs)) == 2

    def test_songs_are_found_by_their_artists_new_name(self, editor, song):
        editor.patch(f"/api/v1/artists/{song.artist_id}/", {"name": "Guðmundsdóttir"}, format="json")
        assert editor.get("/api/v1/songs/?q=gudmundsdottir").json()["results"] == []
        found = editor.get("/api/v1/songs/?q=guðmundsdottir").json()["results"]
        assert [row["id"] for row in found] == [song.pk]

    def test_an_artist_whose_songs_are_there_stays(self, editor, song):
        refused(editor.delete(f"/api/v1/artists/{song.artist_id}/"), 409)
        assert Song.objects.get().artist


class TestPlays:
    def test_a_play_is_written_and_counted_once(self, ada, song):
        body = report(song)
        for _ in range(3):
            answer = ada.post("/api/v1/plays/", body, format="json")
            assert answer.status_code == 201
            assert answer.json()["counted"]
        assert Play.objects.get().source == "api"
        assert ada.get("/api/v1/history/").json()["results"][0]["repetition"] == 1

    @pytest.mark.parametrize(
        "wrong",
        [
            {"key": "abc"},
            {"seconds_heard": -1},
            {"seconds_heard": "nan"},
            {"started_at": "2999-01-01T00:00:00Z"},
            {"source": "import"},
            {"source": "elsewhere"},
            {"impression": 999999},
            {"song": "abc"},
            {"song": None},
        ],
        ids=str,
    )
    def test_what_cannot_be_is_refused(self, ada, song, wrong):
        refused(ada.post("/api/v1/plays/", report(song, **wrong), format="json"), 400)
        assert not Play.objects.exists()

    def test_an_unknown_song(self, ada, song):
        refused(ada.post("/api/v1/plays/", report(song, song=999999), format="json"), 404)

    def test_an_impression_of_somebody_else_is_refused(self, ada, eve, song):
        facts = {"list_id": "1", "shelf": "home", "rank": 1, "shares": {}, "run_number": 1, "shown_at": timezone.now()}
        own = Impression.objects.create(listener=ada.listener, song=song, **facts)
        others = Impression.objects.create(listener=eve.listener, song=song, **facts)
        refused(ada.post("/api/v1/plays/", report(song, impression=others.pk), format="json"), 400)
        assert ada.post("/api/v1/plays/", report(song, impression=own.pk), format="json").status_code == 201


class TestRatings:
    def test_rate_change_and_take_back(self, ada, song):
        address = f"/api/v1/ratings/{song.pk}/"
        assert ada.post("/api/v1/ratings/", {"song": song.pk, "rating": 2}, format="json").status_code == 201
        assert ada.put(address, {"rating": 5}, format="json").json()["rating"] == 5
        assert ada.get(address).json()["rating"] == 5
        assert Rating.objects.get().rating == 5
        assert ada.delete(address).status_code == 204
        refused(ada.delete(address), 404)

    @pytest.mark.parametrize("rating", [0, 6, "abc", 3.5, True, None, [], {}], ids=str)
    def test_only_one_to_five_is_a_rating(self, ada, song, rating):
        refused(ada.post("/api/v1/ratings/", {"song": song.pk, "rating": rating}, format="json"), 400)
        refused(ada.put(f"/api/v1/ratings/{song.pk}/", {"rating": rating}, format="json"), 400)
        assert not Rating.objects.exists()

    @pytest.mark.parametrize("body", [[], "text", 5, None], ids=repr)
    def test_a_body_of_another_shape(self, ada, song, body):
        refused(ada.put(f"/api/v1/ratings/{song.pk}/", body, format="json"), 400)

    def test_an_unknown_song(self, ada):
        refused(ada.post("/api/v1/ratings/", {"song": 999999, "rating": 3}, format="json"), 404)
        for pk in ("999999", "abc"):
            refused(ada.put(f"/api/v1/ratings/{pk}/", {"rating": 3}, format="json"), 404)


class TestVerdicts:
    def test_say_say_otherwise_and_take_back(self, ada, song):
        said = ada.post("/api/v1/verdicts/", {"song": song.pk, "kind": "no"}, format="json")
        assert said.status_code == 201
        assert (said.json()["song"], said.json()["artist"], said.json()["expires_at"]) == (song.pk, None, None)
        again = ada.post("/api/v1/verdicts/", {"song": song.pk, "kind": "love"}, format="json").json()
        address = f"/api/v1/verdicts/{again['id']}/"
        assert Verdict.objects.get().kind == ada.get(address).json()["kind"] == "love"
        assert ada.delete(address).status_code == 204
        refused(ada.delete(address), 404)
        assert ada.get("/api/v1/verdicts/").json()["results"] == []

    def test_until_a_moment_on_an_artist(self, ada, song):
        until = timezone.now() + timedelta(days=7)
        body = {"artist": song.artist_id, "kind": "no", "expires_at": until}
        assert ada.post("/api/v1/verdicts/", body, format="json").status_code == 201
        assert Verdict.objects.get().expires_at == until
        Verdict.objects.update(expires_at=timezone.now())
        assert ada.get("/api/v1/verdicts/").json()["results"] == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {"kind": "hate"},
            {"kind": None},
            {"song": None},
            {"song": "abc"},
            {"artist": "of the song"},
            {"genre": 999999},
            {"genre": "9" * 40},
            {"expires_at": "yesterday"},
            {"expires_at": "2020-01-01T00:00:00Z"},
            {"expires_at": "9999-12-31T23:59:59-12:00"},
        ],
        ids=str,
    )
    def test_what_cannot_be_is_refused(self, ada, song, wrong):
        wrong = {name: song.artist_id if value == "of the song" else value for name, value in wrong.items()}
        refused(ada.post("/api/v1/verdicts/", {"song": song.pk, "kind": "no"} | wrong, format="json"), 400)
        assert not Verdict.objects.exists()

    def test_an_unknown_song(self, ada):
        refused(ada.post("/api/v1/verdicts/", {"song": 999999, "kind": "no"}, format="json"), 404)

    def test_a_longer_list_takes_no_more_queries(self, ada, django_assert_max_num_queries):
        for number in range(30):
            save_verdict(listener=ada.listener, thing=Song.objects.create(title=str(number)), kind="love")
        with django_assert_max_num_queries(3):
            assert len(ada.get("/api/v1/verdicts/").json()["results"]) == 30

    def test_recommendations_obey_on_the_next_call(self, ada, song):
        def recommended():
            return [card["song_id"] for shelf in ada.get("/api/v1/recommendations/").json()["shelves"]
                    for card in shelf["cards"]]  # fmt: skip

        assert recommended() == [song.pk]
        made = ada.post("/api/v1/verdicts/", {"artist": song.artist_id, "kind": "no"}, format="json").json()
        assert recommended() == []
        ada.delete(f"/api/v1/verdicts/{made['id']}/")
        assert recommended() == [song.pk]

    def test_who_has_no_leave_says_nothing(self, song):
        guest = APIClient()
        guest.force_login(Listener.objects.create(username="guest"))
        refused(guest.post("/api/v1/verdicts/", {"song": song.pk, "kind": "no"}, format="json"), 403)


class TestOwnRowsAlone:
    def test_nobody_sees_or_takes_back_anothers_verdict(self, ada, eve, song):
        own = save_verdict(listener=ada.listener, thing=song, kind="no")
        address = f"/api/v1/verdicts/{own.pk}/"
        for method in ("get", "delete"):
            refused(getattr(eve, method)(address), 404)
        eve.post("/api/v1/verdicts/", {"song": song.pk, "kind": "love", "listener": ada.listener.pk}, format="json")
        assert Verdict.objects.get(listener=ada.listener).kind == "no"
        assert [row["kind"] for row in eve.get("/api/v1/verdicts/").json()["results"]] == ["love"]

    def test_nobody_sees_or_changes_what_others_did(self, ada, eve, song):
        play = ada.post("/api/v1/plays/", report(song), format="json").json()
        rate_song(listener=ada.listener, song=song, rating=4)
        for route in ("plays", "ratings", "history"):
            assert len(ada.get(f"/api/v1/{route}/").json()["results"]) == 1
            assert eve.get(f"/api/v1/{route}/").json()["results"] == []
        refused(eve.get(f"/api/v1/plays/{play['id']}/"), 404)
        for method in ("get", "delete"):
            refused(getattr(eve, method)(f"/api/v1/ratings/{song.pk}/"), 404)
        eve.put(f"/api/v1/ratings/{song.pk}/", {"rating": 1}, format="json")
        assert Rating.objects.get(listener=ada.listener).rating == 4

    def test_nobody_acts_as_another(self, ada, eve, song):
        body = report(song, listener=eve.listener.pk)
        ada.post("/api/v1/plays/", body, format="json")
        ada.post("/api/v1/ratings/", {"song": song.pk, "rating": 3, "listener": eve.listener.pk}, format="json")
        assert History.objects.get().listener == Rating.objects.get().listener == ada.listener
