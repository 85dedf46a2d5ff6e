"""The simulation, run as staff run it: in worlds of its own, and never on the database of the house."""

import json

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from quasimusic.exceptions import DatabaseFault
from recommender.services.simulating import simulate_days

SIZES = ("--listeners=8", "--days=2", "--songs=60")


def house():
    """Every file of the data folder but the server's own, with its size and when it was written."""
    files = (path for path in settings.DATA_DIR.rglob("*") if path.is_file() and "valkey" not in path.parts)
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def simulated(*options):
    """Without the `db` fixture: a query of the database of the house would fail."""
    call_command("simulate", *SIZES, *options)


def test_a_simulation_adds_up_and_comes_out_alike_without_the_house_knowing(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    before = house()
    simulated("--json", str(tmp_path / "one.json"))
    assert house() == before
    said = capfd.readouterr().out
    one = json.loads((tmp_path / "one.json").read_text())
    assert set(one["worlds"]) == {"thompson", "uniform"}
    for world in one["worlds"].values():
        lost = 0.0
        for day in world["days"]:
            lost += day["best"] - day["reward"]
            assert day["regret"] == pytest.approx(lost, abs=1e-5)
            assert 0 <= day["reward"] <= 1
        assert len(world["days"]) == 2
        assert sum(group["listeners"] for group in world["groups"].values()) == 8
    alike = one["worlds"]["uniform"]
    assert {weight for group in alike["groups"].values() for weight in group["weights"]} == {0.2}
    assert f"{one['worlds']['thompson']['days'][-1]['regret']:.3f}" in said

    monkeypatch.setenv("PYTHONHASHSEED", "2")
    again = tmp_path / "again.json"
    simulated("--strategy=uniform", "--json", str(again))
    assert json.loads(again.read_text())["worlds"]["uniform"] == alike


@pytest.mark.parametrize(
    ("nonsense", "named"), [("--listeners=0", "listeners is 0"), ("--days=0", "days is 0"), ("--seed=-1", "seed is -1")]
)
def test_nonsense_is_refused(nonsense, named):
    with pytest.raises(CommandError, match=named):
        call_command("simulate", nonsense)


def test_a_database_that_is_in_use_is_left_alone(two_camps):
    with pytest.raises(DatabaseFault, match="of its own"):
        simulate_days(n_listeners=8, n_days=1, n_songs=60, seed=0)


def test_figures_that_cannot_be_written_are_refused_before_anything_is_simulated(tmp_path):
    with pytest.raises(CommandError, match="could not be written"):
        call_command("simulate", "--json", str(tmp_path / "nowhere" / "figures.json"))
