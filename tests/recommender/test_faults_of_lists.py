"""Lists where something fails: an engine, the cache, the server behind it, the process that makes them."""

import os
import signal
import subprocess
import sys
import time

import pytest
from django.conf import settings
from django.core.cache import cache as store
from django.urls import reverse

from accounts.models import Listener
from recommender import cache
from recommender.engines import ENGINES
from recommender.engines.user_based import UserBased
from recommender.models import Failure, LastList, TrainingRun
from recommender.services import lists, training


@pytest.fixture
def served(two_camps):
    training.train_band(seed=1)
    lists.refresh_everybody()
    return two_camps


def songs_of(shelf):
    return [card.song.pk for card in shelf.cards]


def test_an_engine_that_fails_is_left_out_and_staff_are_told_once(served, monkeypatch):
    def fail(*_args, **_kwargs):
        raise ZeroDivisionError("no neighbours at all")

    monkeypatch.setattr(UserBased, "score_rows", fail)
    for _ in range(2):
        lists.refresh_everybody()
    shelves = {shelf.name: shelf for shelf in lists.home(listener=served[0]).shelves}
    assert set(shelves) == {"hybrid", *ENGINES} - {"user_based"}
    assert shelves["hybrid"].cards
    for card in shelves["hybrid"].cards:
        assert "user_based" not in card.shares
        assert sum(card.shares.values()) == pytest.approx(1, abs=0.001)
    failure = Failure.objects.get()
    assert (failure.engine, failure.note) == ("user_based", "ZeroDivisionError: no neighbours at all")


def test_a_broken_model_is_told_to_staff(served):
    fit = TrainingRun.objects.get().fits.get(engine="item_based")
    folder = training.artefact_folder(fit.run, fit.engine)
    (folder / "manifest.json").write_text("{}")
    lists.refresh_everybody()
    assert Failure.objects.get().engine == "item_based"


def test_when_the_cache_is_wiped_the_last_list_is_shown_from_the_database(served):
    before = lists.home(listener=served[0]).shelves[0]
    store.clear()
    home = lists.home(listener=served[0])
    assert home.kept
    assert not home.pending
    assert [shelf.name for shelf in home.shelves] == ["hybrid"]
    assert songs_of(home.shelves[0]) == songs_of(before)
    assert home.shelves[0].cards[0] == before.cards[0]
    lists.refresh_listeners(listener_ids=[served[0].pk])
    assert not lists.home(listener=served[0]).kept


def test_while_the_cache_is_away_the_page_shows_the_last_list(served, client, settings):
    before = songs_of(lists.home(listener=served[0]).shelves[0])
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "unix:///nowhere/valkey.sock"}}
    client.force_login(served[0])
    answer = client.get(reverse("home"))
    assert answer.status_code == 200
    assert songs_of(answer.context["home"].shelves[0]) == before
    assert "a fresh one is on its way" in answer.content.decode()


def test_the_last_list_is_kept_once_a_listener_and_not_for_who_is_gone(served):
    lists.refresh_everybody()
    assert LastList.objects.count() == len(served)
    made = cache.stored_lists([served[0].pk])
    gone = served[0].pk
    Listener.objects.filter(pk=gone).delete()
    lists.keep_last(lists=made)
    assert not LastList.objects.filter(listener=gone).exists()


@pytest.mark.django_db(transaction=True)
def test_a_refresh_killed_midway_leaves_the_old_lists_and_the_next_one_completes(served, monkeypatch, tmp_path):
    serving, before = cache.serving_generation(), cache.stored_lists([served[0].pk])
    begun = tmp_path / "begun"
    code = f"""
import pathlib, time, django
from django.conf import settings
settings.DATABASES["default"]["NAME"] = {str(settings.DATABASES["default"]["NAME"])!r}
settings.MODELS_DIR = pathlib.Path({str(settings.MODELS_DIR)!r})
django.setup()
from recommender.services import lists
lists.CHUNK = 2
def stall(done, total):
    pathlib.Path({str(begun)!r}).touch()
    time.sleep(60)
lists.refresh_everybody(progress=stall)
"""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "quasimusic.settings"}
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=settings.BASE_DIR, env=environment)
    until = time.monotonic() + 60
    while not begun.exists():
        assert worker.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert cache.serving_generation() == serving
    assert cache.stored_lists([served[0].pk]) == before
    assert lists.refresh_everybody() == len(served)
    assert cache.serving_generation() != serving
