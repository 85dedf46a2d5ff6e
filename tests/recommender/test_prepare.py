"""What `make run` does before it serves, on a database that is there already."""

import re

import pytest
from django.core.management import call_command

from accounts.models import Listener
from accounts.services import ImportedListener, save_listeners
from recommender import cache
from recommender.engines.artefacts import FORMAT, MANIFEST
from recommender.loading import artefact_folder, models_stand
from recommender.models import TrainingRun
from recommender.services import training


@pytest.fixture
def prepared(two_camps, capsys):
    """Prepares, as often as called, and returns what was said."""

    def prepare():
        call_command("prepare")
        return capsys.readouterr().out

    return prepare


def test_logins_are_lent_once_and_nobody_who_has_a_password_loses_it(prepared, two_camps):
    Listener.objects.update(password="a hash of their own")
    save_listeners(imported=[ImportedListener("9", "newcomer")])
    said = prepared()
    lent = re.search(r"listener +(\S+) +(\S+)", said)
    assert lent[1] == "newcomer"
    assert Listener.objects.get(username="newcomer").check_password(lent[2])
    assert set(Listener.objects.filter(username__startswith="listener").values_list("password", flat=True)) == {
        "a hash of their own"
    }
    assert "Demo logins" not in prepared()


def test_lists_of_another_database_do_not_outlive_the_first_training(prepared, two_camps):
    cache.flip_to(cache.ODD)
    prepared()
    assert set(cache.stored_lists([listener.pk for listener in two_camps])) == {listener.pk for listener in two_camps}


def test_what_is_trained_and_listed_stays(prepared):
    training.train_band(seed=1)
    prepared()
    serving = cache.serving_generation()
    assert "Training" not in prepared()
    assert cache.serving_generation() == serving


def test_models_of_an_older_format_are_trained_anew(prepared):
    before = training.train_band(seed=1)
    manifest = artefact_folder(before, "relevance") / MANIFEST
    manifest.write_text(manifest.read_text().replace(f'"format": {FORMAT}', f'"format": {FORMAT - 1}'))
    assert "Training" in prepared()
    assert TrainingRun.objects.get(is_active=True) != before
    assert models_stand()
