import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from listening.models import History, Rating
from quasimusic.exceptions import ArtefactBroken, InputFault, UnknownEngine
from recommender.engines import ENGINES
from recommender.engines.weighted_mf.tuning import HyperTuner
from recommender.loading import artefact_folder, load_band, load_engine, load_tables
from recommender.models import EngineFit, TrainingRun, Tuning, Weights
from recommender.services import training, tuning


def states(run):
    return {fit.engine: fit.state for fit in run.fits.all()}


def test_a_first_run_fits_every_engine_and_serves(two_camps):
    run = training.train_band(seed=1)
    assert states(run) == dict.fromkeys(ENGINES, "fitted")
    assert run.is_active
    assert run.metrics["ndcg"]["mean"] > 0.1
    assert sum(run.weights.values()) == pytest.approx(1)
    assert Weights.objects.first().values == run.weights


def test_stored_engines_answer_as_the_fitted_ones(two_camps):
    run = training.train_band(seed=1)
    tables = load_tables()
    for name, engine in ENGINES.items():
        fitted = engine.fit(tables, rng=np.random.default_rng(1))
        ids, scores = fitted.recommend(tables.users.ids, 10)
        stored_ids, stored_scores = load_engine(run, name, tables).recommend(tables.users.ids, 10)
        assert (ids == stored_ids).all()
        np.testing.assert_array_equal(scores, stored_scores)


def test_engines_without_their_tables_are_left_out_by_name_and_the_band_plays_on(two_camps):
    History.objects.all().delete()
    Rating.objects.all().delete()
    run = training.train_band(seed=1)
    playing = {"relevance", "coolstart"}
    assert {name for name, state in states(run).items() if state == "fitted"} == playing
    assert set(run.weights) == playing
    assert run.is_active
    assert "history" in run.fits.get(engine="weighted_mf").note
    with pytest.raises(CommandError, match="two songs"):
        call_command("evaluate_models", verbosity=0)


def test_a_catalogue_of_nothing_trains_nothing_and_says_so(db):
    with pytest.raises(CommandError, match="No engine could be trained"):
        call_command("train_models", verbosity=0)
    assert TrainingRun.objects.get().state == "failed"


def test_an_unknown_engine_is_refused_before_anything_is_written(two_camps):
    with pytest.raises(UnknownEngine, match=r"nonesuch.*weighted_mf"):
        training.train_band(seed=1, engines=["nonesuch"])
    assert not TrainingRun.objects.exists()


@pytest.mark.parametrize("command", ["train_models", "evaluate_models"])
def test_a_seed_below_zero_is_refused_before_anything_is_written(two_camps, command):
    with pytest.raises(CommandError, match="seed is -1"):
        call_command(command, seed=-1, verbosity=0)
    assert not TrainingRun.objects.exists()


def test_figures_that_cannot_be_written_are_told_so(two_camps, tmp_path):
    with pytest.raises(CommandError, match="could not be written"):
        call_command("evaluate_models", json=str(tmp_path / "absent" / "figures.json"), verbosity=0)


def test_training_one_engine_keeps_the_others(two_camps):
    first = training.train_band(seed=1)
    second = training.train_band(seed=1, engines=["weighted_mf"])
    assert states(second) == {**dict.fromkeys(ENGINES, "kept"), "weighted_mf": "fitted"}
    assert second.is_active
    tables = load_tables()
    kept, before = (load_engine(run, "item_based", tables) for run in (second, first))
    np.testing.assert_array_equal(kept.recommend(tables.users.ids, 5)[0], before.recommend(tables.users.ids, 5)[0])


def test_the_gate_refuses_a_run_that_is_worse(two_camps):
    good = training.train_band(seed=1)
    TrainingRun.objects.filter(pk=good.pk).update(metrics={**good.metrics, "ndcg": {"mean": 1.5}})
    worse = training.train_band(seed=1)
    good.refresh_from_db()
    assert worse.state == "refused"
    assert "1.5" in worse.note
    assert good.is_active
    assert not worse.is_active


def test_rolling_back_lets_the_earlier_run_serve(two_camps):
    first = training.train_band(seed=1)
    training.train_band(seed=2)
    training.activate_run(run=first)
    assert load_band(load_tables())[0] == first
    assert TrainingRun.objects.filter(is_active=True).count() == 1


def test_a_failed_run_cannot_be_activated(two_camps):
    run = TrainingRun.objects.create(state="failed", started_at="2026-01-01T00:00Z", seed=0)
    with pytest.raises(InputFault, match="cannot serve"):
        training.activate_run(run=run)


def test_models_of_old_runs_go_and_their_rows_stay(two_camps, settings):
    settings.RUNS_KEPT = 2
    runs = [training.train_band(seed=1) for _ in range(4)]
    for run in runs:
        run.refresh_from_db()
    assert [run.state for run in runs] == ["pruned", "pruned", "ready", "ready"]
    assert [artefact_folder(run).exists() for run in runs] == [False, False, True, True]


def test_a_broken_artefact_is_left_out_and_the_band_plays_on(two_camps, caplog):
    run = training.train_band(seed=1)
    (artefact_folder(run, "weighted_mf") / "arrays.npz").write_bytes(b"not an archive")
    _, band = load_band(load_tables())
    assert set(band.engines) == set(ENGINES) - {"weighted_mf"}
    assert "weighted_mf" in caplog.text
    with pytest.raises(ArtefactBroken):
        load_engine(run, "weighted_mf", load_tables())


def test_a_broken_artefact_cannot_be_kept_and_the_others_go_on(two_camps, caplog):
    first = training.train_band(seed=1)
    (artefact_folder(first, "item_based") / "arrays.npz").write_bytes(b"not an archive")
    second = training.train_band(seed=1, engines=["weighted_mf"])
    assert states(second) == {**dict.fromkeys(ENGINES, "kept"), "weighted_mf": "fitted", "item_based": "failed"}
    assert second.is_active
    assert "item_based" not in second.weights


def test_models_left_by_another_database_are_in_nobodys_way(two_camps):
    left = training.train_band(seed=1)
    assert artefact_folder(left, "relevance").exists()
    namesake = TrainingRun(pk=left.pk, started_at=timezone.now())
    assert not artefact_folder(namesake).exists()


def test_a_run_whose_models_were_deleted_meanwhile_cannot_be_published(two_camps):
    first = training.train_band(seed=1)
    second = training.train_band(seed=1)
    TrainingRun.objects.filter(pk=first.pk).update(state="pruned")
    with pytest.raises(InputFault, match="models deleted"):
        training.activate_run(run=first)
    second.refresh_from_db()
    assert second.is_active


def test_an_engine_that_fails_is_told_and_left_out(two_camps, caplog):
    run = training.train_band(seed=1, params={"weighted_mf": {"n_factors": -5}})
    fit = run.fits.get(engine="weighted_mf")
    assert fit.state == EngineFit.State.FAILED
    assert "n_factors" in fit.note
    assert run.is_active
    assert "weighted_mf" not in run.weights


def test_tuned_hyper_parameters_are_used_and_handed_on(two_camps):
    tuner = HyperTuner(n_factors=(2, 5), n_iterations=(2, 4), n_trials=3, n_random=2)
    tuned = tuning.tune(tuner=tuner, seed=1)
    found = tuned.best
    assert 0.01 <= found["rating_regularisation"] <= 1
    assert 2 <= found["rating_factors"] <= 5
    training.train_band(seed=1, params={tuned.engine: found})
    nightly = training.train_band(seed=1)
    assert nightly.tuned == {"weighted_mf": found}
    assert found.items() <= nightly.fits.get(engine="weighted_mf").params.items()


def test_a_search_is_stored_whole_and_told_trial_by_trial(two_camps):
    told = []
    tuner = HyperTuner(n_factors=(2, 5), n_iterations=(2, 4), n_trials=3, n_random=2)
    stored = Tuning.objects.get(pk=tuning.tune(tuner=tuner, seed=1, report=told.append).pk)
    assert len(stored.trials) == 3
    assert stored.best == min(stored.trials, key=lambda trial: trial["loss"])["params"]
    assert (stored.engine, stored.seed) == ("weighted_mf", 1)
    assert "</svg>" in stored.convergence
    assert "</svg>" in stored.dependence
    assert [line.partition(":")[0] for line in told[:3]] == [f"trial {i} of 3" for i in (1, 2, 3)]


def test_the_command_shows_the_search(two_camps, capsys):
    ranges = ["--regularisation", "2", "3", "--n-factors", "2", "4", "--n-iterations", "1", "3"]
    call_command("train_models", "--engine=weighted_mf", "--tune", "--trials=1", "--folds=2", *ranges)
    assert "trial 1 of 1" in capsys.readouterr().out
    tried = Tuning.objects.get().best
    assert 2 <= tried["rating_regularisation"] <= 3
    assert 2 <= tried["rating_factors"] <= 4
    assert 1 <= tried["rating_iterations"] <= 3


@pytest.mark.parametrize("option", ["--folds=1", "--trials=0"])
def test_a_search_that_cannot_be_is_refused_before_anything_is_written(two_camps, option):
    with pytest.raises(CommandError, match=r"two folds|n_trials is 0"):
        call_command("train_models", "--tune", option, verbosity=0)
    assert not TrainingRun.objects.exists()
    assert not Tuning.objects.exists()
