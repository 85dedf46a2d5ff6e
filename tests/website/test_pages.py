"""Every page: it answers, keeps the rules for pages, costs the same number of queries with 1 row and with 30."""

import re

import pytest
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.models import PIECE_SECONDS, Album, Artist, Genre, Mood, Song
from quasimusic.paging import PAGE_SIZE
from tests.website.conftest import HOSTILE
from tests.website.markup import Page, faults

OPEN = ("home", "account_login", "account_signup", "account_reset_password", "account_reset_password_done")
OWN = (
    "home",
    "search",
    "genres",
    "moods",
    "history",
    "verdicts",
    "picks",
    "profile",
    "account_change_password",
    "account_email",
    "account_logout",
)

LISTS = (
    "artist",
    "album",
    "genre",
    "mood",
    "search",
    "history",
    "verdicts",
    "song",
    "home",
    "picks",
    "genres",
    "moods",
)


def _body(answer, status: int = 200) -> str:
    assert answer.status_code == status, answer.content[:500]
    return answer.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("name", OPEN)
def test_open_pages_keep_the_rules(client, name):
    assert faults(_body(client.get(reverse(name)))) == []


@pytest.mark.parametrize("name", OWN)
def test_empty_pages_keep_the_rules(signed_in, name):
    assert faults(_body(signed_in.get(reverse(name)))) == []


@pytest.mark.parametrize("name", OWN)
def test_filled_pages_keep_the_rules(signed_in, add_plays, name):
    add_plays(3)
    assert faults(_body(signed_in.get(reverse(name)))) == []


@pytest.mark.parametrize("kind", ["song", "artist", "album", "genre", "mood", "search"])
def test_pages_of_things_keep_the_rules(signed_in, add_plays, kind):
    song = add_plays(3)[0].song
    assert faults(_body(signed_in.get(_address(kind, song)))) == []


def _address(kind: str, song: Song) -> str:
    if kind == "search":
        return f"{reverse('search')}?q=song"
    return song.get_absolute_url() if kind == "song" else getattr(song, kind).get_absolute_url()


@pytest.mark.parametrize("signed", [True, False])
def test_a_fault_is_a_page_in_the_same_clothes(client, listener, signed):
    if signed:
        client.force_login(listener)
    html = _body(client.get("/nowhere/"), 404)
    assert faults(html) == []
    assert "Nothing here" in Page(html).texts("h1")


@pytest.mark.django_db
def test_a_fault_says_nothing_of_how_the_site_is_built(client):
    html = _body(client.get("/nowhere/"), 404)
    assert "Traceback" not in html
    assert "urlconf" not in html.lower()


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name in OWN if name != "home"])
def test_strangers_are_sent_to_log_in(client, name):
    answer = client.get(reverse(name))
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("account_login"))


def test_strangers_hear_nothing_of_songs(client, song):
    assert client.get(song.get_absolute_url()).status_code == 302


@pytest.mark.parametrize("kind", LISTS)
def test_as_many_queries_for_thirty_rows_as_for_one(signed_in, add_plays, kind):
    first = add_plays(1)[0]
    address = reverse(kind) if kind in OWN and kind != "search" else _address(kind, first.song)
    signed_in.get(address)
    with CaptureQueriesContext(connection) as one:
        signed_in.get(address)
    add_plays(29)
    signed_in.get(address)  # notes what is shown for the first time
    with CaptureQueriesContext(connection) as thirty:
        signed_in.get(address)
    assert len(thirty) == len(one)
    assert len(one) <= 14


def test_hostile_names_are_words_on_every_page(signed_in, listener, add_songs):
    artist = Artist.objects.create(name=f"Artist {HOSTILE}")
    album = Album.objects.create(title=f"Album {HOSTILE}", artist=artist)
    genre = Genre.objects.create(name=f"Genre {HOSTILE}")
    mood = Mood.objects.create(name=f"Mood {HOSTILE}")
    named = {"artist": artist, "album": album, "genre": genre, "mood": mood}
    song = add_songs(1, title=f"Title {HOSTILE}", tags=[HOSTILE], **named)[0]
    listener.display_name = HOSTILE
    listener.save()
    addresses = [_address(kind, song) for kind in ("song", "artist", "album", "genre", "mood")]
    addresses += [reverse(name) for name in ("home", "genres", "moods", "picks", "profile")]
    for address in [*addresses, f"{reverse('search')}?q=title", f"{reverse('search')}?q=%3Cscript%3Ealert(1)"]:
        html = _body(signed_in.get(address))
        assert "<script>alert" not in html
        assert faults(html) == []


def test_a_song_of_which_nothing_is_known_has_a_page(signed_in, listener):
    song = Song.objects.create()
    html = _body(signed_in.get(song.get_absolute_url()))
    assert faults(html) == []
    assert "Unknown artist" in html
    assert "Nobody has measured this song yet." in html


def test_features_of_nought_are_shown(signed_in, add_songs):
    song = add_songs(1, energy=0, valence=0, liveness=0, key=0, mode=0, loudness=0, tempo=120)[0]
    html = _body(signed_in.get(song.get_absolute_url()))
    assert "C minor" in html
    assert "0 dB" in html
    assert Page(html).texts("dt")[:3] == ["energy", "valence", "liveness"]


def _next(html: str) -> str:
    """The query of "Show more", "" on the last page."""
    more = re.search(r'class="more">.*?href="\?([^"]+)"', html, re.DOTALL)
    return more[1].replace("&amp;", "&") if more else ""


def _rows(html: str) -> list[str]:
    return re.findall(r'class="row-title" href="([^"]+)"', html)


@pytest.mark.parametrize("kind", ["artist", "album", "genre", "mood", "search"])
def test_pages_cut_by_key_show_every_song_once(signed_in, add_songs, kind):
    # Many of one popularity, and some of none: the second key must settle the order.
    songs = [*add_songs(40, popularity=50), *add_songs(25), *add_songs(10, popularity=80)]
    seen, address = [], _address(kind, songs[0])
    path = address.split("?")[0]
    while address:
        html = _body(signed_in.get(address))
        rows = _rows(html)
        assert 0 < len(rows) <= PAGE_SIZE
        seen += rows
        address = _next(html) and f"{path}?{_next(html)}"
    assert len(seen) == len(songs)
    assert set(seen) == {song.get_absolute_url() for song in songs}
    assert set(seen[:10]) == {song.get_absolute_url() for song in songs[-10:]}


def test_genres_are_cut_by_key_too(signed_in, add_songs):
    for i in range(35):
        add_songs(1 + i % 3, genre=Genre.objects.create(name=f"genre {i}"))
    first = _body(signed_in.get(reverse("genres")))
    second = _body(signed_in.get(f"{reverse('genres')}?{_next(first)}"))
    shown = [re.findall(r'class="tile"\s+href="([^"]+)"', html) for html in (first, second)]
    assert [len(tiles) for tiles in shown] == [PAGE_SIZE, 5]
    assert len({*shown[0], *shown[1]}) == 35


def test_moods_are_shown_with_their_songs_counted(signed_in, add_songs):
    fast = Mood.objects.create(name="fast, happy")
    Mood.objects.create(name="of no song")
    add_songs(2)
    add_songs(3, mood=fast)
    page = Page(_body(signed_in.get(reverse("moods"))))
    assert page.texts("strong")[:2] == ["Fast, happy", "Calm, acoustic"]
    assert "Of no song" not in page.texts("strong")
    assert {"3 songs", "2 songs"} <= set(page.texts("span"))


def test_genres_moods_and_songs_lead_to_each_other(signed_in, song):
    def leads(address):
        return {link.get("href") for link in Page(_body(signed_in.get(address))).all("a")}

    assert reverse("moods") in leads(reverse("genres"))
    assert reverse("genres") in leads(reverse("moods"))
    assert song.mood.get_absolute_url() in leads(song.get_absolute_url())
    assert song.get_absolute_url() in leads(song.mood.get_absolute_url())


def test_as_many_queries_for_many_moods_as_for_one(signed_in, add_songs):
    add_songs(1)
    with CaptureQueriesContext(connection) as one:
        signed_in.get(reverse("moods"))
    for i in range(23):
        add_songs(1, mood=Mood.objects.create(name=f"mood {i}"))
    with CaptureQueriesContext(connection) as many:
        signed_in.get(reverse("moods"))
    assert len(many) == len(one)


def test_history_goes_on_by_key(signed_in, add_plays):
    plays = add_plays(45)
    first = _body(signed_in.get(reverse("history")))
    second = _body(signed_in.get(f"{reverse('history')}?{_next(first)}"))
    assert _rows(first) + _rows(second) == [play.song.get_absolute_url() for play in plays]
    assert 'class="more"' not in second


@pytest.mark.parametrize("mark", ["nonsense", "WzFd:forged", "%00"])
def test_a_forged_page_mark_is_refused(signed_in, add_plays, mark):
    add_plays(1)
    assert "page mark" in _body(signed_in.get(f"{reverse('history')}?after={mark}"), 400)


def test_a_page_mark_of_another_list_is_refused(signed_in, add_plays, add_songs):
    add_plays(35)
    mark = _next(_body(signed_in.get(reverse("history"))))
    artist = Song.objects.first().artist
    assert signed_in.get(f"{artist.get_absolute_url()}?{mark}").status_code == 400


def test_history_shows_the_listeners_own_plays_alone(signed_in, add_plays, client, django_user_model):
    add_plays(2)
    assert len(_rows(_body(signed_in.get(reverse("history"))))) == 2
    client.force_login(django_user_model.objects.create_user("other", password="a plain word 2"))
    assert "Nothing played yet" in _body(client.get(reverse("history")))


def test_search_forgives_case_and_accents(signed_in, add_songs):
    add_songs(1, title="Café Müller")
    assert "Café Müller" in _body(signed_in.get(f"{reverse('search')}?q=CAFE+muller"))


def test_search_for_nothing_that_is(signed_in, song):
    assert signed_in.get(f"{reverse('search')}?q=%00").status_code == 200
    page = Page(_body(signed_in.get(f"{reverse('search')}?q=zzzz")))
    assert "Nothing found for “zzzz”" in page.texts("h2")
    assert "Browse the genres" in page.texts("a")


def test_search_for_a_whole_book_repeats_little_of_it(signed_in, song):
    page = Page(_body(signed_in.get(reverse("search"), {"q": "x" * 3000})))
    assert max(len(text) for text in (*page.texts("h2"), *page.texts("title"))) < 120


def test_a_song_tells_how_much_of_it_plays_here(signed_in, add_songs):
    short, same = add_songs(1, duration_ms=234_000)[0], add_songs(1, duration_ms=PIECE_SECONDS * 1000)[0]
    assert "3:54 (0:30 here)" in Page(_body(signed_in.get(short.get_absolute_url()))).texts("dd")
    assert "0:30" in Page(_body(signed_in.get(same.get_absolute_url()))).texts("dd")


@pytest.mark.parametrize(
    "address",
    [
        "/songs/999/",
        "/artists/999/",
        "/albums/999/",
        "/genres/none/",
        "/covers/s1-99.svg",
        "/genres/%00/",
        "/moods/none/",
    ],
)
def test_what_is_not_there_is_not_found(signed_in, address):
    assert "Nothing here" in _body(signed_in.get(address), 404)


def test_the_waiting_home_page_asks_again(signed_in, song):
    page = Page(_body(signed_in.get(reverse("home"))))
    lists = next(attributes for tag, attributes in page.elements if attributes.get("id") == "lists")
    assert lists["hx-trigger"] == "every 3s"
    assert "Your own list is being made" in " ".join(page.texts("p"))
    assert song.title in page.texts("a")


def test_the_home_page_asks_for_its_lists_once(signed_in, song, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as first:
        signed_in.get(reverse("home"))
    with django_capture_on_commit_callbacks() as second:
        signed_in.get(reverse("home"))
    assert (len(first), len(second)) == (1, 0)


def test_confirming_an_address(client, listener):
    address = EmailAddress.objects.create(user=listener, email=listener.email)
    page = reverse("account_confirm_email", args=[EmailConfirmationHMAC(address).key])
    assert faults(_body(client.get(page))) == []
    assert faults(_body(client.get(reverse("account_confirm_email", args=["expired"])))) == []


def test_resetting_a_lost_password(client, listener):
    sent = client.post(reverse("account_reset_password"), {"email": listener.email}, follow=True)
    assert faults(_body(sent)) == []
    link = re.search(r"http://testserver(\S+)", mail.outbox[0].body)[1]
    page = client.get(link, follow=True)
    assert faults(_body(page)) == []
    word = "another plain word 3"
    done = client.post(page.request["PATH_INFO"], {"password1": word, "password2": word}, follow=True)
    assert faults(_body(done)) == []
    assert client.login(username=listener.username, password=word)
    assert faults(_body(client.get(reverse("account_reset_password_from_key", args=["0", "stale"])))) == []
