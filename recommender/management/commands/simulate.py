import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from quasimusic.embedded import valkey_server, valkey_socket
from quasimusic.exceptions import QuasimusicError
from recommender.engines.weighing import STRATEGIES, Uniform
from recommender.services import simulating

SIZES = ("listeners", "days", "songs", "seed")


class Command(BaseCommand):
    help = (
        "Let planted listeners live with the music manager for some days, by a strategy and by uniform weights, each "
        "in a throw-away database: do the weights come to the engine that serves each best, and what is lost by then?"
    )

    def add_arguments(self, parser):
        parser.add_argument("--listeners", type=int, default=1000)
        parser.add_argument("--days", type=int, default=30)
        parser.add_argument("--songs", type=int, default=2000)
        parser.add_argument("--seed", type=int, default=0, help="The same seed and sizes give the same figures.")
        parser.add_argument("--strategy", choices=list(STRATEGIES), default=settings.WEIGHTS_STRATEGY)
        parser.add_argument("--json", metavar="FILE", help="write the figures there; - for standard output")
        # How the command starts itself in the world it made: where the figures go, and the place of its bar.
        parser.add_argument("--within", nargs=2, help=argparse.SUPPRESS)

    def handle(self, *, json: str | None, strategy, within, **options):
        sizes = {name: options[name] for name in SIZES}
        try:
            _check(sizes)
            if within:
                _simulate(Path(within[0]), int(within[1]), strategy, sizes)
                return
            _check_target(json)
            figures = _simulate_apart(dict.fromkeys((strategy, Uniform.name)), sizes)
        except QuasimusicError as fault:
            raise CommandError(str(fault)) from fault
        (self.stderr if json == "-" else self.stdout).write(_table(figures, strategy))
        if json == "-":
            self.stdout.write(_dumps(figures))
        elif json:
            Path(json).write_text(_dumps(figures) + "\n")


def _check(sizes: dict) -> None:
    simulating.check_sizes(
        n_listeners=sizes["listeners"], n_days=sizes["days"], n_songs=sizes["songs"], seed=sizes["seed"]
    )


def _check_target(json: str | None) -> None:
    """Before anything is simulated, whether the figures can be kept."""
    if json and json != "-":
        try:
            Path(json).touch()
        except OSError as fault:
            raise CommandError(f"The figures could not be written: {fault}") from fault


def _simulate(figures: Path, place: int, strategy: str, sizes: dict) -> None:
    """Live through the days on the database at hand."""
    call_command("migrate", verbosity=0)
    with tqdm(total=sizes["days"], desc=strategy, unit="day", position=place, file=sys.stderr, disable=None) as bar:
        found = simulating.simulate_days(
            n_listeners=sizes["listeners"],
            n_days=sizes["days"],
            n_songs=sizes["songs"],
            seed=sizes["seed"],
            progress=lambda done: bar.update(done - bar.n),
        )
    figures.write_text(_dumps(found))


def _simulate_apart(strategies, sizes: dict) -> dict:
    """Each strategy in a process, a database and a cache of its own, in a folder that goes when it ends."""
    with tempfile.TemporaryDirectory(prefix="quasimusic-simulation-") as name, ExitStack() as stack:
        running = {}
        for place, strategy in enumerate(strategies):
            folder = Path(name) / strategy
            folder.mkdir()
            stack.enter_context(valkey_server(folder / "valkey", valkey_socket(folder)))
            running[strategy] = stack.enter_context(_started(folder, place, strategy, sizes))
        broken = [strategy for strategy, process in running.items() if process.wait()]
        if broken:
            raise CommandError(f"The world of {' and '.join(broken)} came to no end; it said above why.")
        worlds = {strategy: json.loads((Path(name) / strategy / "figures.json").read_text()) for strategy in running}
    thompson = {"exploration": settings.EXPLORATION, "shrinkage": settings.SHRINKAGE}
    return {**sizes, **thompson, "half_life_days": settings.REWARD_HALF_LIFE_DAYS, "worlds": worlds}


def _started(folder: Path, place: int, strategy: str, sizes: dict) -> subprocess.Popen:
    command = [sys.executable, settings.BASE_DIR / "manage.py", "simulate", "--strategy", strategy]
    command += [f"--{name}={size}" for name, size in sizes.items()]
    own = {"DATA_DIR": str(folder), "DATABASE_URL": "", "REDIS_URL": "", "WEIGHTS_STRATEGY": strategy}
    quiet = {"DASK_SCHEDULER": "", "LOG_LEVEL": "WARNING"}
    return subprocess.Popen(
        [*command, "--within", folder / "figures.json", str(place)],
        env=os.environ | own | quiet,
        stdout=subprocess.DEVNULL,
    )


def _dumps(figures: dict) -> str:
    return json.dumps(figures, indent=2)


def _table(figures: dict, strategy: str) -> str:
    """A line a day: mean reward of a song on the mixed shelf and on that of the planted best, and the loss so far."""
    days, alike = (figures["worlds"][name]["days"] for name in (strategy, Uniform.name))
    head = (
        f"{'day':>4}{'reward':>9}{'best':>9}{'weight':>9}{'found':>8}{'regret':>9}{'uniform: reward':>18}{'regret':>9}"
    )
    lines = [
        f"{number:>4}{day['reward']:>9.3f}{day['best']:>9.3f}{day['weight']:>9.3f}{day['found']:>8.0%}"
        f"{day['regret']:>9.3f}{other['reward']:>18.3f}{other['regret']:>9.3f}"
        for number, (day, other) in enumerate(zip(days, alike, strict=True), start=1)
    ]
    note = (
        "reward: of a song on the mixed shelf, best: on that of the engine planted best for the listener; "
        "weight: of that engine;\nfound: listeners whose heaviest engine it is; regret: best less reward, summed."
    )
    return "\n".join([f"{strategy} beside {Uniform.name}", head, *lines, "", note])
