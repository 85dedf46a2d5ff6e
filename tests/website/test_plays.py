"""The player's reports: written down once, and refused in words where they are wrong."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from listening.models import History, Impression, Play


@pytest.fixture
def report(song):
    started_at = timezone.now() - timedelta(minutes=1)
    return {
        "song": song.pk,
        "key": str(uuid4()),
        "started_at": started_at.isoformat(),
        "seconds_heard": 16.5,
        "source": "song",
        "listener": "for the browser's own use",
    }


def _send(client, report):
    return client.post(reverse("plays"), json.dumps(report), content_type="application/json")


def test_a_play_that_counts_is_history(signed_in, listener, song, report):
    answer = _send(signed_in, report)
    assert answer.status_code == 201
    assert answer.json() == {"key": report["key"], "counted": True}
    assert listener.history.get(song=song).repetition == 1


def test_a_form_does_as_well(signed_in, song, report):
    assert signed_in.post(reverse("plays"), report).status_code == 201
    assert Play.objects.get().source == Play.Source.SONG


def test_two_reports_of_one_play_count_once(signed_in, listener, report):
    assert _send(signed_in, {**report, "seconds_heard": 3}).json()["counted"] is False
    assert _send(signed_in, {**report, "seconds_heard": 20}).json()["counted"] is True
    assert _send(signed_in, {**report, "seconds_heard": 30}).json()["counted"] is True
    assert Play.objects.get().seconds_heard == 30
    assert History.objects.get(listener=listener).repetition == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "not a key"},
        {"key": None},
        {"source": "nowhere"},
        {"seconds_heard": -1},
        {"seconds_heard": "nan"},
        {"seconds_heard": "many"},
        {"started_at": "yesterday"},
        {"started_at": "2999-01-01T00:00:00Z"},
        {"song": "abc"},
        {"song": None},
        {"song": []},
        {"impression": 10**6},
        {"impression": "abc"},
    ],
)
def test_a_wrong_report_is_refused_and_nothing_is_written(signed_in, report, wrong):
    answer = _send(signed_in, report | wrong)
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert not Play.objects.exists()


@pytest.mark.parametrize("body", ["{", "[]", "7", b"\xff\xfe", "null"])
def test_what_is_no_report_is_refused(signed_in, body):
    answer = signed_in.post(reverse("plays"), body, content_type="application/json")
    assert answer.status_code == 400
    assert "JSON object" in answer.json()["detail"]


def test_an_unknown_song_is_not_found(signed_in, report):
    answer = _send(signed_in, report | {"song": 10**9})
    assert answer.status_code == 404
    assert "no such song" in answer.json()["detail"]


def test_a_number_no_database_holds_is_refused(signed_in, report):
    assert _send(signed_in, report | {"song": 10**30}).status_code == 404


def _shown(listener, song):
    return Impression.objects.create(
        listener=listener, song=song, list_id="x", rank=1, shares={}, run_number=1, shown_at=timezone.now()
    )


def test_somebody_elses_impression_is_refused(signed_in, django_user_model, song, report):
    shown = _shown(django_user_model.objects.create_user("other"), song)
    assert _send(signed_in, report | {"impression": shown.pk}).status_code == 400
    assert not Play.objects.exists()


def test_a_play_is_credited_to_what_was_shown(signed_in, listener, song, report):
    shown = _shown(listener, song)
    assert _send(signed_in, report | {"impression": shown.pk}).status_code == 201
    assert shown.plays.get().song == song


def test_strangers_and_those_without_leave_report_nothing(client, django_user_model, report):
    assert _send(client, report).status_code == 302
    client.force_login(django_user_model.objects.create_user("guest"))
    assert _send(client, report).status_code == 403
    assert not Play.objects.exists()


def test_a_report_from_another_site_is_refused(listener, report):

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(listener)
    assert _send(strict, report).status_code == 403


def test_reports_are_posted(signed_in):
    assert signed_in.get(reverse("plays")).status_code == 405


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("started_at", 5),
        ("started_at", float("inf")),
        ("started_at", []),
        ("seconds_heard", 10**400),
        ("seconds_heard", float("nan")),
        ("seconds_heard", True),
        ("song", 1.5),
        ("source", "import"),
        ("source", {}),
        ("impression", {}),
        ("key", 5),
    ],
)
def test_a_field_of_another_kind(signed_in, report, field, value):
    answer = _send(signed_in, {**report, field: value})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    assert not Play.objects.exists()


def test_a_report_nested_without_end(signed_in):
    answer = signed_in.post(reverse("plays"), "[" * 100_000, content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/json")
