"""Measuring the band: every protocol from the command to the page that shows it."""

import json
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.urls import reverse

from accounts.grants import ANALYSTS, EDITORS
from accounts.models import Listener
from catalog.models import Song
from listening.models import History, Rating
from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines import ENGINES
from recommender.management.commands.evaluate_models import Command
from recommender.models import Evaluation
from recommender.services import evaluation, training

DOCS = Path(__file__).parents[2] / "docs" / "evaluation.md"
ACCURATE = ("user_based", "weighted_mf", "item_based", "hybrid")


def printed(capsys, **options):
    call_command("evaluate_models", verbosity=0, **options)
    return capsys.readouterr().out


def test_a_table_is_printed_a_file_written_and_a_row_kept(two_camps, tmp_path, capsys):
    file = tmp_path / "figures.json"
    shown = printed(capsys, json=str(file))
    figures = json.loads(file.read_text())
    assert set(figures) == {*ENGINES, "hybrid"}
    for row in figures.values():
        for name in evaluation.ACCURACY:
            assert 0 <= row[name]["low"] <= row[name]["mean"] <= row[name]["high"] <= 1
        assert 0 < row["coverage"] <= 1
        assert 0 <= row["gini"] <= 1
        assert row["novelty"]["mean"] > 0
        assert 0 <= row["diversity"]["mean"] <= 2
    for name in ACCURATE:
        assert figures[name]["ndcg"]["mean"] > 1.3 * figures["relevance"]["ndcg"]["mean"]
    assert figures["weighted_mf"]["rmse"]["mean"] >= figures["weighted_mf"]["mae"]["mean"] >= 0
    assert "rmse" not in figures["item_based"]
    assert Evaluation.objects.get().results == figures
    for name in (*ENGINES, "hybrid"):
        assert re.search(rf"^{name} +0\.\d\d\d .*\d", shown, re.MULTILINE)
    assert max(map(len, shown.splitlines())) <= 120


def test_the_difference_to_the_best_engine_is_taken_listener_by_listener(two_camps):
    results = evaluation.evaluate_band(seed=0).results
    best = evaluation.best_engine(results)
    assert results[best]["less_best"]["ndcg"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    for row in results.values():
        difference = row["less_best"]["ndcg"]
        assert difference["mean"] == pytest.approx(row["ndcg"]["mean"] - results[best]["ndcg"]["mean"])
        assert difference["low"] <= difference["mean"] <= difference["high"]


def test_nothing_but_the_figures_goes_to_standard_output_where_they_are_asked_for(two_camps, capsys):
    assert set(json.loads(printed(capsys, json="-"))) == {*ENGINES, "hybrid"}


@pytest.mark.parametrize("split", evaluation.SPLITS)
def test_every_split_is_measured_and_named(two_camps, split):
    call_command("evaluate_models", split=split, k=5, seed=3, verbosity=0)
    stored = Evaluation.objects.get()
    assert (stored.protocol, stored.k, stored.seed) == (split, 5, 3)
    assert stored.results["hybrid"]["n_listeners"] == len(two_camps)


def test_the_more_newcomers_tell_the_better_they_are_served(two_camps, capsys):
    shown = printed(capsys, cold=True)
    stored = Evaluation.objects.get()
    assert stored.protocol == "cold"
    assert list(stored.results) == ["0", "1", "3", "5", "10"]
    at_first, at_last = stored.results["0"], stored.results["10"]
    assert at_first["item_based"]["ndcg"]["mean"] == 0.0  # it knows nothing of them, and says nothing
    assert at_first["relevance"]["ndcg"]["mean"] > 0.0
    for name in ACCURATE:
        assert at_last[name]["recall"]["mean"] > at_first["relevance"]["recall"]["mean"]
    assert "After 1 song:" in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_the_core_is_measured_alone(two_camps):
    History.objects.filter(listener=two_camps[0]).delete()
    Rating.objects.filter(listener=two_camps[0]).delete()
    call_command("evaluate_models", core=2, verbosity=0)
    stored = Evaluation.objects.get()
    assert stored.protocol == "random, 2-core"
    assert stored.results["hybrid"]["n_listeners"] == len(two_camps) - 1


def test_tuned_parameters_are_measured_and_told_unless_defaults_are_asked_for(two_camps, capsys):
    training.train_band(seed=1, params={"relevance": {"columns": ["plays"]}})
    tuned, defaults = printed(capsys), printed(capsys, defaults=True)
    assert "was tuned: relevance" in tuned
    assert "was tuned" not in defaults
    without, with_tuning = (row.results["relevance"]["recall"]["mean"] for row in Evaluation.objects.all())
    assert without != with_tuning


def test_weights_by_accuracy_are_learned_before_the_test(two_camps, settings):
    settings.WEIGHTS_STRATEGY = "accuracy"
    weights = evaluation.evaluate_band(seed=0).results["hybrid"]["weights"]
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["relevance"] < 0.5


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"k": 0}, "k is 0"),
        ({"k": 5000}, "k is 5000"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**63}, "seed is"),
        ({"core": 0}, "core is of 0"),
        ({"core": 70}, "70-core is empty"),
    ],
)
def test_what_cannot_be_measured_is_told_and_keeps_nothing(two_camps, options, fault):
    with pytest.raises(CommandError, match=fault):
        call_command("evaluate_models", verbosity=0, **options)
    assert not Evaluation.objects.exists()


def test_an_unknown_protocol_is_told(two_camps):
    with pytest.raises(ParameterOutOfRange, match="no protocol 'best'; there are random, one, last, time, cold"):
        evaluation.evaluate_band(seed=0, protocol="best")


def test_by_time_needs_to_know_when(two_camps):
    History.objects.update(last_played_at=None)
    Rating.objects.all().delete()
    with pytest.raises(CommandError, match="neither last_played_at"):
        call_command("evaluate_models", split="time", verbosity=0)


def test_nobody_with_two_songs_is_told(two_camps):
    Rating.objects.all().delete()
    for listener in two_camps:
        first = History.objects.filter(listener=listener).first()
        History.objects.filter(listener=listener).exclude(pk=first.pk).delete()
    with pytest.raises(CommandError, match="two songs"):
        call_command("evaluate_models", verbosity=0)
    with pytest.raises(CommandError, match="two listeners who know more than 10 songs"):
        call_command("evaluate_models", cold=True, verbosity=0)


def test_without_ratings_there_are_no_errors_of_ratings(two_camps):
    Rating.objects.all().delete()
    results = evaluation.evaluate_band(seed=0).results
    assert "rmse" not in results["weighted_mf"]


def test_an_engine_without_its_table_is_left_out_by_name(two_camps, capsys, client):
    Song.objects.update(genre=None, energy=None, acousticness=None, tempo=None)
    assert "coolstart   left out: " in printed(capsys)
    staff(client, ANALYSTS)
    opened = client.get(page("change", Evaluation.objects.get().pk)).content.decode()
    assert "coolstart is left out" in opened


def staff(client, group):
    listener = Listener.objects.create_user(f"staff of {group}", is_staff=True)
    listener.groups.add(Group.objects.get(name=group))
    client.force_login(listener)


def page(name, *args):
    return reverse(f"admin:recommender_evaluation_{name}", args=args)


@pytest.mark.parametrize("protocol", ["random", "cold"])
def test_analysts_read_the_figures_as_tables(two_camps, client, protocol):
    stored = evaluation.evaluate_band(seed=0, protocol=protocol)
    staff(client, ANALYSTS)
    listed = client.get(page("changelist")).content.decode()
    last = list(evaluation.stages(stored).values())[-1]
    best = evaluation.best_engine(last)
    assert f"{best} {last[best]['ndcg']['mean']:.3f}" in listed
    assert f"{last['hybrid']['ndcg']['mean']:.3f}" in listed
    opened = client.get(page("change", stored.pk)).content.decode()
    for figures in evaluation.stages(stored).values():
        for row in figures.values():
            interval = row["recall"]
            assert f"{interval['low']:.3f} to {interval['high']:.3f}" in opened
    assert ("After 3 songs" in opened) == (protocol == "cold")


def test_evaluations_are_written_by_nobody_and_seen_by_those_who_analyse(two_camps, client):
    stored = evaluation.evaluate_band(seed=0)
    staff(client, ANALYSTS)
    for address in (page("add"), page("delete", stored.pk)):
        assert client.get(address).status_code == 403
    assert client.post(page("change", stored.pk), {}).status_code == 403
    staff(client, EDITORS)
    assert client.get(page("changelist")).status_code == 403


def test_a_list_of_many_evaluations_costs_as_many_queries_as_one_of_one(
    two_camps, client, django_assert_max_num_queries
):
    stored = evaluation.evaluate_band(seed=0)
    staff(client, ANALYSTS)
    client.get(page("changelist"))
    with django_assert_max_num_queries(50) as first:
        client.get(page("changelist"))
    for _ in range(20):
        stored.pk = None
        stored.save()
    with django_assert_max_num_queries(len(first)):
        assert client.get(page("changelist")).status_code == 200


def test_the_docs_tell_every_option_split_and_metric():
    told = re.findall(r"^\| `([\w-]+)", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    ours = Command().create_parser("manage.py", "evaluate_models")._actions
    plain = Command.__base__().create_parser("manage.py", "any")._actions
    options = {action.option_strings[-1] for action in ours} - {action.option_strings[-1] for action in plain}
    metrics = (*evaluation.ACCURACY, *evaluation.BEYOND, *evaluation.STARS)
    assert sorted(told) == sorted([*options, *evaluation.SPLITS, *metrics])
