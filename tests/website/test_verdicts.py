"""Love and "not for me": said, seen, obeyed and taken back, with and without scripts."""

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from listening.models import Verdict
from listening.services import save_verdict
from tests.website.conftest import HOSTILE
from tests.website.markup import Page, faults


def address(of, thing):
    return reverse("verdict", args=[of, thing.pk])


def page(client, where) -> Page:
    html = client.get(where).content.decode()
    assert faults(html) == []
    return Page(html)


def words(client, where, tag="span") -> list[str]:
    return [" ".join(text.split()) for text in page(client, where).texts(tag)]


@pytest.mark.parametrize(("say", "kind", "days"), [("love", "love", None), ("no", "no", None), ("pause", "no", 30)])
@pytest.mark.parametrize("of", ["song", "artist", "genre"])
def test_without_scripts_it_is_said_and_the_page_comes_back(signed_in, listener, song, of, say, kind, days):
    thing = song if of == "song" else getattr(song, of)
    answer = signed_in.post(address(of, thing), {"say": say, "back": "/?x=1"})
    assert (answer.status_code, answer.url) == (302, "/?x=1")
    verdict = listener.verdicts.get()
    assert (verdict.thing, verdict.kind) == (thing, kind)
    if days is None:
        assert verdict.expires_at is None
    else:
        assert verdict.expires_at - verdict.said_at == pytest.approx(timedelta(days=days), abs=timedelta(seconds=5))
    assert str(thing) in signed_in.get(answer.url).content.decode()


def test_with_htmx_the_form_comes_back_with_an_undo_and_the_page_is_told(signed_in, song):
    answer = signed_in.post(address("artist", song.artist), {"say": "no"}, headers={"HX-Request": "true"})
    html = answer.content.decode()
    assert "<html" not in html
    assert "No more of Cloud Nine." in html
    assert html.count('value="clear"') == 2
    told = json.loads(answer["HX-Trigger-After-Settle"])
    assert told == {"verdict": {"of": "artist", "id": song.artist_id, "blocks": True}}
    answer = signed_in.post(address("artist", song.artist), {"say": "clear"}, headers={"HX-Request": "true"})
    assert not json.loads(answer["HX-Trigger-After-Settle"])["verdict"]["blocks"]
    assert 'value="love"' in answer.content.decode()


def test_the_choices_are_of_the_song_its_artist_and_its_genre(signed_in, song):
    headings = page(signed_in, f"{address('song', song)}?back=/history/").texts("h2")
    assert headings == [song.title, "Cloud Nine", "dream pop"]
    buttons = page(signed_in, address("artist", song.artist)).texts("button")
    assert {"Love", "No more of this artist", "Not for 30 days"} <= {" ".join(text.split()) for text in buttons}


def test_a_song_of_nobody_and_no_genre_has_its_own_choice_alone(signed_in, add_songs):
    bare = add_songs(1, artist=None, album=None, genre=None, title=HOSTILE)[0]
    assert page(signed_in, address("song", bare)).texts("h2") == [HOSTILE]


@pytest.mark.parametrize("of", ["song", "artist", "genre"])
def test_blocked_songs_leave_home_and_similar_songs_at_once_and_are_found_by_name_marked(signed_in, add_songs, of):
    song, other = add_songs(1, artist=None, genre=None)[0], add_songs(1)[0]
    thing = other if of == "song" else getattr(other, of)

    def on_shelves(where):
        return {link["href"] for link in page(signed_in, where).all("a") if link.get("class") == "card-title"}

    assert on_shelves("/") == {song.get_absolute_url(), other.get_absolute_url()}
    signed_in.post(address(of, thing), {"say": "no"})
    assert on_shelves("/") == {song.get_absolute_url()}
    mark = {"song": "Not for me", "artist": "Artist blocked", "genre": "Genre blocked"}[of]
    for where in (other.album.get_absolute_url(), f"{reverse('search')}?q=song", other.genre.get_absolute_url()):
        assert mark in words(signed_in, where)
    signed_in.post(address(of, thing), {"say": "clear"})
    assert other.get_absolute_url() in on_shelves("/")
    assert mark not in words(signed_in, other.album.get_absolute_url())


def test_similar_songs_obey(signed_in, add_songs):
    song, near = add_songs(2)
    near_shelf = f'href="{near.get_absolute_url()}"'
    assert near_shelf in signed_in.get(song.get_absolute_url()).content.decode()
    signed_in.post(address("song", near), {"say": "pause"})
    assert near_shelf not in signed_in.get(song.get_absolute_url()).content.decode()


def test_tastes_offer_nothing_blocked(signed_in, add_songs):
    calm, other = add_songs(2)
    signed_in.post(address("song", calm), {"say": "no"})
    offered = [
        field.get("value") for field in page(signed_in, reverse("picks")).all("input") if field.get("name") == "songs"
    ]
    assert offered == [str(other.pk)]


def test_a_verdict_of_which_the_time_is_up_does_nothing(signed_in, song):
    signed_in.post(address("song", song), {"say": "pause"})
    assert song.get_absolute_url() not in signed_in.get("/").content.decode()
    Verdict.objects.update(expires_at=timezone.now())
    assert song.get_absolute_url() in signed_in.get("/").content.decode()
    assert "Nothing loved or blocked yet" in page(signed_in, reverse("verdicts")).texts("h2")


def test_all_that_is_loved_and_blocked_can_be_taken_back(signed_in, listener, song):
    save_verdict(listener=listener, thing=song, kind="love")
    save_verdict(listener=listener, thing=song.artist, kind="no", expires_at=timezone.now() + timedelta(days=30))
    shown = page(signed_in, reverse("verdicts"))
    marks = [" ".join(text.split()) for text in shown.texts("span")]
    assert "Loved" in marks
    assert any(text.startswith("Blocked until") for text in marks)
    forms = [form["action"] for form in shown.all("form") if form.get("class") == "verdict"]
    assert forms == [address("artist", song.artist), address("song", song)]
    for where in forms:
        signed_in.post(where, {"say": "clear", "back": reverse("verdicts")})
    assert not listener.verdicts.in_force().exists()


def test_home_takes_as_many_queries_with_thirty_verdicts_as_with_one(signed_in, listener, add_songs):
    songs = add_songs(40)

    def count(blocked) -> int:
        for song in blocked:
            save_verdict(listener=listener, thing=song, kind="no")
        with CaptureQueriesContext(connection) as queries:
            assert signed_in.get(songs[0].album.get_absolute_url()).status_code == 200
            assert signed_in.get("/").status_code == 200
        return len(queries)

    signed_in.get("/")
    assert count(songs[:1]) == count(songs[1:30])


def test_others_see_and_obey_nothing_of_it(signed_in, client, django_user_model, song):
    signed_in.post(address("song", song), {"say": "no"})
    client.force_login(django_user_model.objects.create_user("other"))
    assert song.get_absolute_url() in client.get("/").content.decode()
    assert "Not for me" not in words(client, song.album.get_absolute_url())
    assert "Nothing loved or blocked yet" in page(client, reverse("verdicts")).texts("h2")


def test_strangers_and_those_without_leave_say_nothing(client, django_user_model, song):
    assert client.post(address("song", song), {"say": "no"}).status_code == 302
    client.force_login(django_user_model.objects.create_user("guest"))
    assert client.post(address("song", song), {"say": "no"}).status_code == 403
    assert not Verdict.objects.exists()


def test_another_sites_form_says_nothing(listener, song):
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(listener)
    assert forged.post(address("song", song), {"say": "no"}).status_code == 403
    assert not Verdict.objects.exists()


@pytest.mark.parametrize("wrong", ["", "hate", HOSTILE, "\0", "x" * 5000])
def test_a_wrong_word_is_refused_and_the_old_verdict_stays(signed_in, listener, song, wrong):
    signed_in.post(address("song", song), {"say": "love"})
    answer = signed_in.post(address("song", song), {"say": wrong})
    assert answer.status_code == 400
    assert "<script>alert" not in answer.content.decode()
    assert listener.verdicts.get().kind == "love"


@pytest.mark.parametrize(
    "where", ["/verdicts/song/999999/", "/verdicts/album/1/", "/verdicts/genre/99999999999999999999/"]
)
def test_what_is_not_there_cannot_be_judged(signed_in, where):
    assert signed_in.get(where).status_code == signed_in.post(where, {"say": "no"}).status_code == 404


@pytest.mark.parametrize("back", ["https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)", ""])
def test_nobody_is_sent_elsewhere(signed_in, song, back):
    assert signed_in.post(address("song", song), {"say": "no", "back": back}).url == song.get_absolute_url()
