"""From sign-up to the first list: an account, tastes, a profile."""

import re

import pytest
from django.core import mail
from django.urls import reverse

from accounts.models import Listener
from catalog.models import Genre
from listening.models import Pick
from tests.website.markup import Page

NEWCOMER = {"username": "newcomer", "email": "new@example.org", "password1": "a plain word 7"}


@pytest.mark.django_db
def test_sign_up_leads_to_tastes_and_may_pick(client):
    answer = client.post(reverse("account_signup"), NEWCOMER)
    assert (answer.status_code, answer.url) == (302, reverse("picks"))
    assert client.get(answer.url).status_code == 200
    assert Listener.objects.get(username="newcomer").has_perm("listening.add_pick")


@pytest.mark.django_db
def test_sign_up_while_no_mail_can_be_sent(client, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # where nobody listens
    answer = client.post(reverse("account_signup"), NEWCOMER)
    assert (answer.status_code, answer.url) == (302, reverse("picks"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong", [{"username": ""}, {"email": "nowhere"}, {"email": "a@b\ufffd.org"}, {"password1": "short"}]
)
def test_a_wrong_sign_up_says_which_field(client, wrong):
    html = client.post(reverse("account_signup"), NEWCOMER | wrong).content.decode()
    field = next(iter(wrong))
    assert f'id="id_{field}_error"' in html
    assert 'aria-invalid="true"' in html
    assert not Listener.objects.exists()
    assert not Listener.objects.exists()


def test_picks_are_saved_and_home_comes_next(signed_in, listener, add_songs):
    songs = add_songs(3)
    answer = signed_in.post(reverse("picks"), {"genres": [songs[0].genre_id], "songs": [songs[0].pk, songs[2].pk]})
    assert (answer.status_code, answer.url) == (302, reverse("home"))
    assert set(listener.picks.exclude(song=None).values_list("song", flat=True)) == {songs[0].pk, songs[2].pk}
    assert listener.picks.exclude(genre=None).get().genre.name == "dream pop"


def test_earlier_picks_are_ticked(signed_in, listener, song):
    signed_in.post(reverse("picks"), {"genres": [song.genre_id], "songs": [song.pk]})
    assert signed_in.get(reverse("picks")).content.decode().count("checked") == 2


@pytest.mark.parametrize(
    "picks", [{}, {"songs": ["999999"]}, {"genres": ["\0"]}, {"songs": ["abc"]}, {"songs": ["9" * 40]}]
)
def test_wrong_picks_are_told_and_the_old_ones_stay(signed_in, listener, song, picks):
    signed_in.post(reverse("picks"), {"songs": [song.pk]})
    answer = signed_in.post(reverse("picks"), picks)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()
    assert Pick.objects.get().song == song


def _offered(html: str) -> list[int]:
    return [int(pk) for pk in re.findall(r'name="songs"\s+value="(\d+)"', html)]


def test_songs_offered_follow_the_genres_chosen_and_keep_those_taken(signed_in, add_songs):
    loud = Genre.objects.create(name="loud")
    calm_songs = add_songs(30, popularity=90)
    loud_songs = add_songs(2, genre=loud, popularity=1)
    everything = _offered(signed_in.get(reverse("picks")).content.decode())
    assert len(everything) == 24
    assert {song.pk for song in loud_songs} <= set(everything)
    address = f"{reverse('picks')}?genres={loud.pk}&songs={calm_songs[0].pk}&songs=abc"
    chosen = _offered(signed_in.get(address).content.decode())
    assert chosen == [calm_songs[0].pk, *(song.pk for song in loud_songs)]


def test_the_largest_genres_are_offered_and_those_taken(signed_in, add_songs):
    for i in range(30):
        add_songs(1, genre=Genre.objects.create(name=f"genre {i:02}"))
    add_songs(2)
    last = Genre.objects.get(name="genre 29")
    everything = Page(signed_in.get(reverse("picks")).content.decode()).texts("label")
    assert everything[0] == "Dream pop"
    assert "Genre 29" not in everything
    chosen = Page(signed_in.get(f"{reverse('picks')}?genres={last.pk}").content.decode()).texts("label")
    assert chosen[0] == "Genre 29"


def test_the_profile_is_saved(signed_in, listener):
    answer = signed_in.post(reverse("profile"), {"display_name": "Nina S.", "country": "IT"}, follow=True)
    assert "Saved." in answer.content.decode()
    listener.refresh_from_db()
    assert (listener.display_name, listener.country.code) == ("Nina S.", "IT")


@pytest.mark.parametrize("wrong", [{"country": "XX"}, {"display_name": "x" * 61}])
def test_a_wrong_profile_is_told_and_nothing_is_saved(signed_in, listener, wrong):
    answer = signed_in.post(reverse("profile"), {"display_name": "Other", "country": "IT"} | wrong)
    assert answer.status_code == 400
    assert 'class="field-error"' in answer.content.decode()
    listener.refresh_from_db()
    assert listener.display_name == "Nina"


def test_a_profile_changes_nothing_but_itself(signed_in, listener):
    signed_in.post(reverse("profile"), {"display_name": "N", "country": "", "is_staff": "on", "username": "root"})
    listener.refresh_from_db()
    assert (listener.username, listener.is_staff) == ("nina", False)


@pytest.mark.parametrize("email", ["nina@example.org", "nobody@example.org"])
def test_a_lost_password_tells_everybody_the_same_and_leads_on(client, listener, email):
    answer = client.post(reverse("account_reset_password"), {"email": email}, follow=True)
    page = Page(answer.content.decode())
    assert page.texts("h1") == ["Look into your mail"]
    assert {"Another address", "Log in"} <= set(page.texts("a"))


def test_the_player_and_its_script_stand_together(signed_in):
    def parts(name) -> tuple[bool, bool]:
        page = Page(signed_in.get(reverse(name)).content.decode())
        scripts = [attributes["src"] for attributes in page.all("script")]
        return any(section.get("id") == "player" for section in page.all("section")), any(
            "/player." in src for src in scripts
        )

    assert parts("home") == (True, True)
    assert parts("account_reset_password") == (False, False)


def test_a_changed_password_leads_back_to_the_profile(signed_in):
    new = "another plain word 2"
    words = {"oldpassword": "a plain word 1", "password1": new, "password2": new}
    answer = signed_in.post(reverse("account_change_password"), words, follow=True)
    assert answer.request["PATH_INFO"] == reverse("profile")
    assert "Password successfully changed." in answer.content.decode()


def test_a_lost_password_is_replaced_by_the_link_in_the_mail_once(client, listener):
    client.post(reverse("account_reset_password"), {"email": listener.email})
    link = re.search(r"http://\S+", mail.outbox[-1].body)[0]
    chosen = client.get(link, follow=True)
    new = "another plain word 2"
    done = client.post(chosen.request["PATH_INFO"], {"password1": new, "password2": new}, follow=True)
    assert Page(done.content.decode()).texts("h1") == ["Your password is new"]
    assert client.login(username="nina", password=new)
    client.logout()
    used = Page(client.get(link, follow=True).content.decode())
    assert used.texts("h1") == ["This link leads nowhere"]
    assert {"Ask for a new one", "Log in"} <= set(used.texts("a"))
