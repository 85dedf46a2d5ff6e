"""The benchmarks' own logic; what they measure beside is not installed here, and nothing is timed."""

import json
import re

import numpy as np
import pytest

from benchmarks import machine, matrices, objective, report
from benchmarks.__main__ import NAMES, main
from recommender.engines.weighted_mf import wals

SHAPE = (300, 120, 4_000)


def test_a_matrix_has_as_many_entries_as_asked_and_is_that_of_its_seed():
    plays = matrices.plays(*SHAPE)
    assert plays.shape == SHAPE[:2]
    assert plays.nnz == SHAPE[2]
    assert plays.has_canonical_format
    assert plays.data.min() >= 1
    again, other = matrices.plays(*SHAPE), matrices.plays(*SHAPE, seed=1)
    assert np.array_equal(plays.indices, again.indices)
    assert np.array_equal(plays.data, again.data)
    assert not np.array_equal(plays.indices, other.indices)


def test_few_have_most_of_the_plays():
    plays = matrices.plays(*SHAPE)
    heard = np.sort(np.bincount(plays.indices, minlength=SHAPE[1]))[::-1]
    assert heard[: SHAPE[1] // 5].sum() > SHAPE[2] / 3
    assert np.corrcoef(np.arange(SHAPE[1]), np.bincount(plays.indices))[0, 1] < 0.3  # wherever they stand


def test_no_matrix_is_more_than_half_full():
    with pytest.raises(ValueError, match="more than half"):
        matrices.plays(10, 10, 51)


def test_the_shared_loss_is_what_the_others_state():
    plays = matrices.plays(30, 20, 200)
    rng = np.random.default_rng(0)
    listeners, songs = (rng.normal(size=(n, objective.N_FACTORS)).astype(np.float32) for n in plays.shape)
    weights = np.ones(plays.shape) + plays.toarray()
    errors = (plays.toarray() > 0) - listeners.astype(float) @ songs.T
    sizes = sum(np.sum(side.astype(float) ** 2) for side in (listeners, songs))
    expected = np.sum(weights * errors**2) + objective.REGULARISATION * sizes
    assert objective.lost(objective.problem(plays), listeners, songs) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("solver", objective.SOLVERS)
def test_iterations_lower_the_shared_loss(solver):
    asked = objective.problem(matrices.plays(*SHAPE))
    steps = objective.iterate(asked, solver)
    losses = [wals.loss(asked, *next(steps)) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]


def test_the_record_names_machine_versions_and_day():
    record = machine.record()
    assert record["cores"] >= 1
    assert record["threads"] >= 1
    assert {"python", "numpy", "numba"} <= set(record["versions"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])
    assert json.loads(json.dumps(record)) == record
    assert record["cpu"] in report.told(record)


def test_contestants_take_turns():
    order = []
    contestants = {name: lambda name=name: order.append(name) for name in "abc"}
    taken = machine.interleaved(contestants, rounds=2)
    assert order == ["a", "b", "c", "c", "b", "a"]
    assert {name: len(times) for name, times in taken.items()} == {"a": 2, "b": 2, "c": 2}
    assert machine.medians({"a": [9.0, 1.0, 3.0, 2.0]}, skip=1) == {"a": 2.0}


def test_what_was_found_is_kept(tmp_path):
    found = {"machine": {"cores": 2}, "figures": {"seconds": 0.5}}
    report.write("wals", found, folder=tmp_path / "results")
    assert json.loads((tmp_path / "results" / "wals.json").read_text()) == found


def test_a_table_shows_three_figures():
    drawn = report.table(["who", "s"], [["ours", 0.012345], ["theirs", 12345.6], ["nobody", None]])
    assert drawn.splitlines() == [
        "| who | s |",
        "| --- | ---: |",
        "| ours | 0.0123 |",
        "| theirs | 12,346 |",
        "| nobody | - |",
    ]


def test_tables_replace_what_stood_between_their_marks():
    page = "before\n<!-- wals -->\nold\n<!-- /wals -->\nafter\n"
    once = report.place(page, "wals", "new")
    assert once == "before\n<!-- wals -->\n\nnew\n\n<!-- /wals -->\nafter\n"
    assert report.place(once, "wals", "new") == once
    with pytest.raises(ValueError, match="no place for scaling"):
        report.place(page, "scaling", "new")


def test_every_benchmark_has_its_module_and_its_place_on_the_page():
    page = report.PAGE.read_text()
    for name in NAMES:
        assert (report.ROOT / "benchmarks" / f"{name}.py").exists(), name
        report.place(page, name, "")


def test_an_unknown_benchmark_is_named(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "wals", "wales"])
    with pytest.raises(SystemExit):
        main()
    assert "no benchmark wales; there are wals, scaling" in capsys.readouterr().err
