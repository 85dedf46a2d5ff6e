"""The admin as the four groups see it: pages open, lists stay quick, nobody sees or does more than they may."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.files.base import ContentFile
from django.urls import reverse
from django.utils import timezone

from accounts.grants import ADMINISTRATORS, ANALYSTS, EDITORS
from accounts.models import Listener
from catalog.models import Album, Artist, Genre, Mood, Song
from listening.models import History, Impression, Play, Rating, Verdict
from recommender.models import Curve, DailyReward, Failure, Tuning, Weights

pytestmark = pytest.mark.django_db

CATALOGUE = (Artist, Album, Genre, Song)
RECORDS = (Play, History, Rating, Verdict, Impression)


@pytest.fixture
def staff(client):
    """Logs in a fresh member of staff of a group."""

    def log_in(group, **facts):
        listener = Listener.objects.create_user(f"staff-{uuid4()}", is_staff=True, **facts)
        listener.groups.add(Group.objects.get(name=group))
        client.force_login(listener)
        return listener

    return log_in


@pytest.fixture(autouse=True)
def storage(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


def fill(start, end):
    """Rows of every kind, each hanging on an artist, an album, a genre and a listener of its own."""
    now = timezone.now()
    for i in range(start, end):
        artist = Artist.objects.create(name=f"Artist {i}", country="IT")
        album = Album.objects.create(title=f"Album {i}", artist=artist)
        genre = Genre.objects.create(name=f"Genre {i}")
        mood = Mood.objects.create(name=f"mood {i}")
        song = Song.objects.create(title=f"Song {i}", artist=artist, album=album, genre=genre, mood=mood, year=1990)
        listener = Listener.objects.create_user(f"listener{i}", country="IT")
        Play.objects.create(
            listener=listener, song=song, key=uuid4(), started_at=now, seconds_heard=20, counted=True, source="home"
        )
        History.objects.create(listener=listener, song=song, repetition=1, last_played_at=now)
        Rating.objects.create(listener=listener, song=song, rating=4, rated_at=now)
        Verdict.objects.create(listener=listener, artist=artist, kind="no", said_at=now)
        Impression.objects.create(
            listener=listener, song=song, list_id="l", shelf="home", rank=1, shares={}, run_number=1, shown_at=now
        )


def page(model, name, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


@pytest.mark.parametrize("model", [*CATALOGUE, Mood, *RECORDS, Listener])
def test_a_list_of_thirty_costs_no_more_queries_than_a_list_of_one(client, staff, model, django_assert_max_num_queries):
    staff(ADMINISTRATORS)
    fill(0, 1)
    address = page(model, "changelist")
    client.get(address)
    with django_assert_max_num_queries(50) as first:
        assert client.get(address).status_code == 200
    fill(1, 30)
    with django_assert_max_num_queries(len(first)):
        answer = client.get(address)
    assert len(answer.context["cl"].result_list) >= 30


@pytest.mark.parametrize("model", [*CATALOGUE, Listener])
def test_an_administrator_opens_every_page(client, staff, model):
    staff(ADMINISTRATORS)
    fill(0, 1)
    row = model.objects.first()
    for address in (page(model, "add"), page(model, "change", row.pk), page(model, "delete", row.pk)):
        assert client.get(address).status_code == 200
    assert client.get(page(model, "changelist"), {"q": "1"}).status_code == 200


@pytest.mark.parametrize("model", RECORDS)
def test_records_are_read_by_analysts_and_written_by_nobody(client, staff, model):
    staff(ANALYSTS)
    fill(0, 1)
    row = model.objects.get()
    assert client.get(page(model, "changelist"), {"q": "listener0"}).status_code == 200
    assert client.get(page(model, "change", row.pk)).status_code == 200
    for address in (page(model, "add"), page(model, "delete", row.pk)):
        assert client.get(address).status_code == 403
    assert client.post(page(model, "change", row.pk), {}).status_code == 403


def test_an_editor_keeps_the_catalogue_and_sees_no_listening(client, staff):
    staff(EDITORS)
    fill(0, 1)
    for model in (*CATALOGUE, Mood):
        assert client.get(page(model, "changelist")).status_code == 200
    for model in (*RECORDS, Listener):
        assert client.get(page(model, "changelist")).status_code == 403
    index = client.get(reverse("admin:index")).content.decode()
    assert page(Song, "changelist") in index
    assert page(Play, "changelist") not in index


def test_every_model_of_ours_with_pages_is_covered():
    ours = {model for model in admin.site._registry if model._meta.app_label in ("accounts", "catalog", "listening")}
    assert ours == {*CATALOGUE, Mood, *RECORDS, Listener}


def test_moods_are_renamed_and_deleted_but_not_made_by_hand(client, staff):
    staff(EDITORS)
    fill(0, 1)
    mood = Mood.objects.get()
    assert client.get(page(Mood, "add")).status_code == 403
    assert client.post(page(Mood, "change", mood.pk), {"name": "Sunday morning"}).status_code == 302
    slug = mood.slug
    mood.refresh_from_db()
    assert (mood.name, mood.slug) == ("Sunday morning", slug)
    assert client.post(page(Mood, "delete", mood.pk), {"post": "yes"}).status_code == 302
    assert Song.objects.get().mood is None


@pytest.fixture
def search():
    """A stored search for parameters of two trials."""
    tried = [
        ({"rating_regularisation": 0.25, "rating_factors": 20}, 0.93),
        ({"rating_regularisation": 1.0, "rating_factors": 33}, 0.891),
    ]
    return Tuning.objects.create(
        engine="weighted_mf",
        made_at=timezone.now(),
        seed=1,
        best=tried[1][0],
        trials=[{"params": params, "loss": loss} for params, loss in tried],
        convergence="<svg xmlns='http://www.w3.org/2000/svg' id='c'/>",
        dependence="<svg xmlns='http://www.w3.org/2000/svg' id='d'/>",
    )


def picture_of(search, name):
    return reverse("admin:recommender_tuning_picture", args=[search.pk, name])


@pytest.mark.parametrize("group", [ANALYSTS, ADMINISTRATORS])
def test_a_search_for_parameters_is_shown_with_its_pictures_and_trials(client, staff, search, group):
    staff(group)
    listed = client.get(page(Tuning, "changelist")).content.decode()
    for shown in ("weighted_mf, 2 trials", "0.8910", "rating_factors 33"):
        assert shown in listed
    opened = client.get(page(Tuning, "change", search.pk)).content.decode()
    for name, mark in (("convergence", b"id='c'"), ("dependence", b"id='d'")):
        assert f'src="{picture_of(search, name)}"' in opened
        answer = client.get(picture_of(search, name))
        assert answer["Content-Type"] == "image/svg+xml"
        assert answer["Content-Security-Policy"].startswith("default-src 'none'")
        assert mark in answer.content
    for cell in ("0.9300", "0.25", "0.8910 (best)"):
        assert cell in opened


def test_nobody_writes_a_search(client, staff, search):
    staff(ADMINISTRATORS)
    assert client.get(page(Tuning, "add")).status_code == 403
    assert client.get(page(Tuning, "delete", search.pk)).status_code == 403
    assert client.post(page(Tuning, "change", search.pk), {}).status_code == 403


def test_pictures_of_a_search_are_for_those_who_may_see_it(client, staff, search):
    assert client.get(picture_of(search, "convergence")).status_code == 302
    staff(EDITORS)
    assert client.get(picture_of(search, "convergence")).status_code == 403
    assert client.get(page(Tuning, "change", search.pk)).status_code in (302, 403)
    staff(ANALYSTS)
    assert client.get(picture_of(search, "engine")).status_code == 404
    gone = picture_of(search, "convergence")
    search.delete()
    assert client.get(gone).status_code == 404


def test_a_list_of_searches_reads_no_picture(client, staff, search, django_assert_max_num_queries):
    staff(ANALYSTS)
    with django_assert_max_num_queries(50) as queries:
        client.get(page(Tuning, "changelist"))
    assert not [query for query in queries.captured_queries if "convergence" in query["sql"]]


def test_search_finds_as_the_site_does(client, staff):
    staff(EDITORS)
    Song.objects.create(title="Ágætis", artist=Artist.objects.create(name="Þór"))
    Song.objects.create(title="Another")
    answer = client.get(page(Song, "changelist"), {"q": "agaetis ÞÓR".replace("ae", "æ")})
    assert [song.title for song in answer.context["cl"].result_list] == ["Ágætis"]
    found = client.get(
        reverse("admin:autocomplete"),
        {"app_label": "catalog", "model_name": "song", "field_name": "artist", "term": "þór"},
    )
    assert [result["text"] for result in found.json()["results"]] == ["Þór"]


@pytest.mark.parametrize(
    ("decade", "titles"), [("1990", {"new"}), ("earlier", {"old"}), ("nonsense", {"new", "old", "unknown"})]
)
def test_songs_are_filtered_by_decade(client, staff, decade, titles):
    staff(EDITORS)
    for title, year in (("new", 1999), ("old", 1949), ("unknown", None)):
        Song.objects.create(title=title, year=year)
    answer = client.get(page(Song, "changelist"), {"decade": decade})
    assert {song.title for song in answer.context["cl"].result_list} == titles


def act(client, action, songs, **more):
    chosen = {"action": action, "_selected_action": [song.pk for song in songs], **more}
    return client.post(page(Song, "changelist"), chosen, follow=True)


def test_a_genre_is_given_to_the_selected_songs_alone(client, staff):
    staff(EDITORS)
    fill(0, 3)
    genre = Genre.objects.create(name="dream pop")
    *chosen, other = Song.objects.order_by("pk")
    asked = act(client, "choose_genre", chosen)
    assert "2 songs" in asked.content.decode()
    assert not Song.objects.filter(genre=genre).exists()
    act(client, "choose_genre", chosen, chosen="yes", genre=genre.pk)
    assert set(Song.objects.filter(genre=genre)) == set(chosen)
    act(client, "choose_genre", [other], chosen="yes", genre="", select_across="1")
    assert not Song.objects.exclude(genre=None).exists()


def test_popularity_is_forgotten(client, staff):
    staff(EDITORS)
    songs = [Song.objects.create(title="a", popularity=50), Song.objects.create(title="b", popularity=50)]
    act(client, "drop_popularity", songs[:1])
    assert list(Song.objects.order_by("pk").values_list("popularity", flat=True)) == [None, 50]


def test_an_audio_file_goes_from_row_and_disk(client, staff, django_capture_on_commit_callbacks):
    staff(EDITORS)
    song = Song.objects.create(title="a", audio_ms=1000)
    song.audio.save("a.mp3", ContentFile(b"not looked at here"))
    storage, name = song.audio.storage, song.audio.name
    with django_capture_on_commit_callbacks(execute=True):
        act(client, "drop_audio", [song])
    song.refresh_from_db()
    assert not song.audio
    assert song.audio_ms is None
    assert not storage.exists(name)


def test_an_upload_that_is_no_audio_is_refused(client, staff):
    staff(EDITORS)
    song = Song.objects.create(title="a")
    sent = {"title": "a", "tags": "[]", "other_features": "{}", "audio": ContentFile(b"just words", name="a.mp3")}
    answer = client.post(page(Song, "change", song.pk), sent)
    assert "This is not audio" in answer.content.decode()
    song.refresh_from_db()
    assert not song.audio


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tags", '"rock"'),
        ("tags", "[1]"),
        ("tags", '{"rock": 1}'),
        ("other_features", "[1]"),
        ("other_features", '{"mood": "sad"}'),
        ("other_features", '{"mood": true}'),
        ("other_features", '{"mood": Infinity}'),
        ("other_features", '{"mood": NaN}'),
        ("other_features", f'{{"mood": {"9" * 400}}}'),
        ("other_features", f'{{"mood": {"9" * 5000}}}'),
        ("other_features", '{"\\u0000": 1}'),
        ("tags", '["\\u0000"]'),
        ("tags", '["\\ud800"]'),
        ("tags", "[" * 100_000),
        ("tags", "["),
    ],
)
def test_tags_are_words_and_further_features_numbers(client, staff, field, value):
    staff(EDITORS)
    song = Song.objects.create(title="a", tags=["rock"], other_features={"mood": 1})
    sent = {"title": "b", "tags": '["rock"]', "other_features": '{"mood": 1}', field: value}
    answer = client.post(page(Song, "change", song.pk), sent)
    assert list(answer.context["adminform"].errors) == [field]
    song.refresh_from_db()
    assert (song.title, song.tags, song.other_features) == ("a", ["rock"], {"mood": 1})


def test_a_song_may_have_neither_tags_nor_further_features(client, staff):
    staff(EDITORS)
    song = Song.objects.create(title="a", tags=["rock"], other_features={"mood": 1})
    assert (
        client.post(page(Song, "change", song.pk), {"title": "a", "tags": "", "other_features": ""}).status_code == 302
    )
    song.refresh_from_db()
    assert (song.tags, song.other_features) == ([], {})


def test_a_new_name_is_found_in_songs_and_albums(client, staff):
    staff(EDITORS)
    fill(0, 1)
    artist = Artist.objects.get()
    answer = client.post(page(Artist, "change", artist.pk), {"name": "Brand New", "country": "IT"})
    assert answer.status_code == 302
    assert Song.objects.search("brand new song 0").count() == 1
    assert Album.objects.search("brand new album 0").count() == 1
    client.post(page(Album, "change", Album.objects.get().pk), {"title": "Renamed", "artist": artist.pk})
    assert Song.objects.search("renamed").count() == 1


def test_genres_whose_slugs_fall_together_can_both_be_added(client, staff):
    staff(EDITORS)
    for name in ("R&B", "RB"):
        assert client.post(page(Genre, "add"), {"name": name}).status_code == 302
    assert Genre.objects.values("slug").distinct().count() == 2


def test_deleting_a_listener_takes_their_records_along(client, staff):
    staff(ADMINISTRATORS)
    fill(0, 1)
    listener = Listener.objects.get(username="listener0")
    assert client.post(page(Listener, "delete", listener.pk), {"post": "yes"}).status_code == 302
    assert not Play.objects.exists()
    assert Song.objects.exists()


def test_an_administrator_adds_a_listener(client, staff):
    staff(ADMINISTRATORS)
    word = "four correct horses"
    sent = {"username": "new", "password1": word, "password2": word, "usable_password": "true"}
    assert client.post(page(Listener, "add"), sent).status_code == 302
    assert Listener.objects.get(username="new").check_password(word)


def test_an_administrator_makes_and_touches_no_superuser(client, staff):
    me = staff(ADMINISTRATORS)
    root = Listener.objects.create_superuser("root", password="before")
    sent = {"username": me.username, "is_active": "on", "is_staff": "on", "is_superuser": "on", "user_permissions": [1]}
    client.post(page(Listener, "change", me.pk), sent)
    me.refresh_from_db()
    assert not me.is_superuser
    assert not me.user_permissions.exists()
    assert client.post(page(Listener, "change", root.pk), {"username": "mine"}).status_code == 403
    assert client.get(reverse("admin:auth_user_password_change", args=[root.pk])).status_code == 403
    assert client.post(page(Listener, "delete", root.pk), {"post": "yes"}).status_code == 403
    client.post(
        page(Listener, "changelist"), {"action": "delete_selected", "_selected_action": [root.pk], "post": "yes"}
    )
    assert Listener.objects.filter(pk=root.pk, username="root").exists()


def test_groups_are_read_by_administrators_and_written_by_superusers_alone(client, staff):
    group = Group.objects.get(name=EDITORS)
    staff(ADMINISTRATORS)
    assert client.get(page(Group, "change", group.pk)).status_code == 200
    assert client.post(page(Group, "change", group.pk), {"name": "mine"}).status_code == 403
    client.force_login(Listener.objects.create_superuser("root"))
    assert client.get(page(Group, "changelist")).status_code == 200
    assert client.get(page(Group, "change", group.pk)).status_code == 200


def test_a_listener_has_no_admin(client):
    client.force_login(Listener.objects.create_user("plain"))
    assert client.get(page(Song, "changelist")).status_code == 302


def test_the_curve_is_changed_by_a_new_row_that_says_who_and_when(client, staff):
    keeper = staff(ADMINISTRATORS)
    form = client.get(page(Curve, "add"))
    given = {name: field for name, field in form.context["adminform"].form.initial.items() if field is not None}
    assert given["rated_4"] == Curve().rated_4
    assert client.post(page(Curve, "add"), {**given, "rated_4": 0.7}).status_code == 302
    curve = Curve.objects.get()
    assert (curve.rated_4, curve.made_by) == (0.7, keeper)
    assert client.get(page(Curve, "add")).context["adminform"].form.initial["rated_4"] == 0.7
    refused = client.post(page(Curve, "add"), {**given, "rated_4": 0.2})
    assert "must not earn less" in refused.content.decode()
    assert client.post(page(Curve, "change", curve.pk), given).status_code == 403
    assert client.get(page(Curve, "delete", curve.pk)).status_code == 403


def test_analysts_read_the_curve_and_what_failed_and_change_nothing(client, staff):
    staff(ANALYSTS)
    Failure.objects.create(engine="user_based", failed_at=timezone.now(), note="no neighbours at all")
    assert "no neighbours at all" in client.get(page(Failure, "changelist")).content.decode()
    assert client.get(page(Curve, "changelist")).status_code == 200
    assert client.get(page(Curve, "add")).status_code == 403


def test_weights_are_drawn_over_time_for_each_engine(client, staff):
    staff(ANALYSTS)
    now = timezone.now()
    for days, weight in ((2, 0.4), (1, 0.6)):
        Weights.objects.create(made_at=now - timedelta(days=days), strategy="thompson", values={"relevance": weight})
    DailyReward.objects.create(
        day=timezone.localdate(now), engine="relevance", impressions=2, plays=1, credit=2, reward=1
    )
    charts = client.get(page(Weights, "changelist")).context["charts"]
    drawn = json.loads(charts["On top of the world"])
    assert [line["data"] for line in drawn["datasets"]] == [[40, 60, None], [None, None, 50]]
