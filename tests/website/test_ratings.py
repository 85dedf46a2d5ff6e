"""Stars: given, changed and taken back, with and without scripts."""

import pytest
from django.urls import reverse

from listening.models import Rating


@pytest.fixture
def address(song):
    return reverse("song-rating", args=[song.pk])


def _given(listener) -> list[int]:
    return list(listener.ratings.values_list("rating", flat=True))


def test_without_scripts_the_page_comes_back(signed_in, listener, song, address):
    answer = signed_in.post(address, {"rating": "4", "back": f"{song.get_absolute_url()}?x=1"})
    assert (answer.status_code, answer.url) == (302, f"{song.get_absolute_url()}?x=1")
    assert _given(listener) == [4]


def test_with_htmx_the_stars_come_back_alone(signed_in, listener, address):
    answer = signed_in.post(address, {"rating": "3", "back": "/history/"}, headers={"HX-Request": "true"})
    html = answer.content.decode()
    assert "<html" not in html
    assert html.count("data-lit") == 3
    assert 'value="clear"' in html
    assert 'name="back" value="/history/"' in html
    assert "csrfmiddlewaretoken" in html


def test_the_lit_star_takes_the_rating_back(signed_in, listener, address):
    signed_in.post(address, {"rating": "2"})
    assert signed_in.post(address, {"rating": "clear"}).status_code == 302
    assert _given(listener) == []


def test_rating_again_changes_the_rating(signed_in, listener, address):
    signed_in.post(address, {"rating": "2"})
    signed_in.post(address, {"rating": "5"})
    assert _given(listener) == [5]


@pytest.mark.parametrize("wrong", ["0", "6", "abc", "", "-1", "3.5", "٣", "9" * 5000])
def test_a_wrong_rating_is_refused_and_the_old_one_stays(signed_in, listener, address, wrong):
    signed_in.post(address, {"rating": "4"})
    answer = signed_in.post(address, {"rating": wrong})
    assert answer.status_code == 400
    assert "from 1 to 5" in answer.content.decode()
    assert _given(listener) == [4]


def test_an_unknown_song_cannot_be_rated(signed_in, listener):
    assert signed_in.post(reverse("song-rating", args=[10**9]), {"rating": "4"}).status_code == 404


@pytest.mark.parametrize(
    "back",
    ["https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)", "", "home", "nowhere", "history/"],
)
def test_nobody_is_sent_elsewhere(signed_in, song, address, back):
    assert signed_in.post(address, {"rating": "4", "back": back}).url == song.get_absolute_url()


def test_strangers_and_those_without_leave_rate_nothing(client, django_user_model, address):
    assert client.post(address, {"rating": "4"}).status_code == 302
    client.force_login(django_user_model.objects.create_user("guest"))
    assert client.post(address, {"rating": "4"}).status_code == 403
    assert not Rating.objects.exists()


def test_own_stars_alone_are_shown(signed_in, client, django_user_model, song, address):
    signed_in.post(address, {"rating": "5"})
    assert signed_in.get(song.get_absolute_url()).content.decode().count("data-lit") == 5
    client.force_login(django_user_model.objects.create_user("other"))
    assert "data-lit" not in client.get(song.get_absolute_url()).content.decode()
