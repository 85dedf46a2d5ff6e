"""The tasks through a real worker and a real broker."""

import time

import pytest
from celery.contrib.testing.worker import start_worker

from accounts.models import Listener
from catalog.models import Song
from listening.services import rate_song
from quasimusic.celery import app
from recommender import cache, tasks
from recommender.models import TrainingRun
from recommender.services import lists, training

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker(two_camps):
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=30):
        yield


def wait_for(fact, seconds=30):
    until = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < until, "the worker did not get there"
        time.sleep(0.1)


def test_the_nightly_task_trains_and_refreshes(worker, two_camps):
    tasks.train.delay()
    wait_for(lambda: cache.serving_generation() is not None)
    assert TrainingRun.objects.get().is_active
    assert not lists.home(listener=two_camps[0]).pending


def test_learning_makes_new_lists_for_whoever_has_listened(worker, two_camps):
    training.train_band(seed=1)
    lists.refresh_everybody()
    active, idle = two_camps[:2]
    before = cache.stored_lists([active.pk, idle.pk])
    rate_song(listener=active, song=Song.objects.first(), rating=5)
    tasks.learn.delay()
    wait_for(lambda: cache.stored_lists([active.pk]) != {active.pk: before[active.pk]})
    assert cache.stored_lists([idle.pk])[idle.pk] == before[idle.pk]


def test_a_list_asked_for_twice_is_made_once_and_arrives(worker):
    training.train_band(seed=1)
    lists.refresh_everybody()
    newcomer = Listener.objects.create_user("newcomer")
    tasks.ask_for_lists(newcomer.pk)
    assert not cache.first_to_ask(newcomer.pk, tasks.ASK_SECONDS)
    wait_for(lambda: cache.stored_lists([newcomer.pk]))
