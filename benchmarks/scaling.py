"""How an iteration of weighted_mf grows with the entries: measured from half a million to 25 million."""

from typing import Any

import matplotlib as mpl
import numpy as np
from distributed import LocalCluster
from matplotlib.figure import Figure

from benchmarks import machine, matrices
from benchmarks.objective import N_FACTORS, SOLVERS, iterate, problem
from benchmarks.report import ROOT, Say, table
from recommender.cluster import connected
from recommender.engines.weighted_mf import wals

ENTRIES = (500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000)
ENTRIES_A_LISTENER = 50
N_SONGS = 20_000
ON_CLUSTER = 5_000_000
SOLVER = SOLVERS[-1]
PICTURE = ROOT / "docs" / "pictures" / "scaling.svg"


def measure(say: Say) -> dict[str, Any]:
    """Seconds of an iteration at each size, the slope through them on log scales, and a picture."""
    seconds = []
    for n_entries in ENTRIES:
        seconds.append(_iteration(n_entries))
        say(f"{n_entries:,} entries: {seconds[-1]:.2f} s an iteration")
    slope, level = np.polyfit(np.log(ENTRIES), np.log(seconds), 1)
    draw(np.array(ENTRIES), np.array(seconds), slope, level)
    say(f"{ON_CLUSTER:,} entries on a cluster of {machine.N_THREADS} processes")
    return {
        "solver": SOLVER,
        "entries": list(ENTRIES),
        "seconds": seconds,
        "slope": float(slope),
        "seconds_for_a_billion": float(np.exp(level) * 1e9**slope),
        "on_cluster": {"entries": ON_CLUSTER, "seconds": _on_cluster()},
    }


def tables(figures: dict[str, Any]) -> str:
    """Sizes, seconds and what an entry costs."""
    rows = [
        [f"{n:,}", f"{n // ENTRIES_A_LISTENER:,}", seconds, 1e9 * seconds / n]
        for n, seconds in zip(figures["entries"], figures["seconds"], strict=True)
    ]
    header = ["entries", "listeners", "s an iteration", "ns an entry"]
    on_cluster = figures["on_cluster"]
    line = (
        f"Slope on log scales {figures['slope']:.2f} (1: twice the entries, twice the time); 10^9 entries would take "
        f"{figures['seconds_for_a_billion']:.0f} s an iteration by this line. On a Dask cluster of as many processes "
        f"of one machine {on_cluster['entries']:,} entries take {on_cluster['seconds']:.2f} s."
    )
    return f"{table(header, rows)}\n\n{line}"


def draw(entries: np.ndarray, seconds: np.ndarray, slope: float, level: float) -> None:
    """Seconds over entries on log scales, with the line through them; the same figures give the same file."""
    with mpl.rc_context({"svg.hashsalt": "scaling", "font.size": 9}):
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.loglog(entries, np.exp(level) * entries**slope, color="0.7", label=f"slope {slope:.2f}")
        axes.loglog(entries, seconds, "o", color="black", label=f"measured ({SOLVER}, K = {N_FACTORS})")
        axes.set_xlabel("entries (a listener and a song)")
        axes.set_ylabel("seconds an iteration")
        axes.grid(visible=True, which="major", color="0.9")
        axes.legend(frameon=False)
        figure.savefig(PICTURE, metadata={"Date": None})


def _iteration(n_entries: int, half_step: wals.HalfStep = wals.half_step) -> float:
    """The quicker of the second and the third; the first lays out the other side and sends entries to a cluster."""
    plays = matrices.plays(n_entries // ENTRIES_A_LISTENER, N_SONGS, n_entries)
    steps = iterate(problem(plays), SOLVER, half_step)
    next(steps)
    return min(machine.seconds(lambda: next(steps)) for _ in range(2))


def _on_cluster() -> float:
    """Nothing is won on one machine: what it takes longer than threads is the price of messages."""
    with (
        LocalCluster(n_workers=machine.N_THREADS, threads_per_worker=1, dashboard_address=":0") as processes,
        connected(processes.scheduler_address) as workers,
    ):
        return _iteration(ON_CLUSTER, workers.half_step)
