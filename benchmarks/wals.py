"""Weighted alternating least squares beside implicit's and irspack's: same loss, same start, same threads.

The loss is that of `objective`: implicit calls c the confidence; irspack adds alpha0 = 1 itself under its ORIGINAL
loss; ours has w0 = 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from implicit.cpu import _als
from irspack.recommenders import _ials_core
from scipy import sparse

from benchmarks import alone, machine, matrices
from benchmarks.objective import (
    N_FACTORS,
    REGULARISATION,
    SOLVERS,
    Factors,
    iterate,
    lost,
    operations,
    problem,
    start,
)
from benchmarks.report import Say, shown, table
from recommender.engines.weighted_mf import wals

SIZES = {"small": (10_000, 5_000, 500_000), "large": (100_000, 20_000, 5_000_000)}
ROUNDS = {"small": 15, "large": 9}
CG_STEPS = 3
BIASED = ", with biases"


@dataclass(frozen=True)
class Contestant:
    """One implementation under way: `step` is a full iteration, `sides` the factors it stands at."""

    step: Callable[[], Any]
    sides: Callable[[], tuple[Factors, Factors]]


def measure(say: Say) -> dict[str, Any]:
    """Seconds an iteration and what they buy, at two sizes; compiling and memory apart."""
    figures: dict[str, Any] = {"n_factors": N_FACTORS, "speeds": machine.speeds(N_FACTORS), "sizes": {}}
    for name, shape in SIZES.items():
        say("{:,} listeners, {:,} songs, {:,} entries".format(*shape))
        figures["sizes"][name] = compared(*shape, rounds=ROUNDS[name])
    say("first call and memory, in processes of their own")
    figures["alone"] = {solver: alone.measured(SIZES["large"], solver) for solver in SOLVERS}
    return figures


def tables(figures: dict[str, Any]) -> str:
    """One table a size, then compiling and memory."""
    speeds = figures["speeds"]
    parts = [_compared(size) for size in figures["sizes"].values()]
    parts.append(
        f"The machine's own BLAS on as many threads: sgemm {shown(speeds['sgemm'])}, "
        f"ssyrk {shown(speeds['ssyrk'])} GFLOP/s."
    )
    shown_alone = ("compiling", "cached", "warm", "ratio")
    rows = [[solver, *(found[name] for name in shown_alone)] for solver, found in figures["alone"].items()]
    header = ["ours", "first call, compiling: s", "found on disk: s", "second: s", "peak memory / (CSR + factors)"]
    return "\n\n".join([*parts, table(header, rows)])


def compared(n_listeners: int, n_songs: int, n_entries: int, rounds: int) -> dict[str, Any]:
    """Of everybody the median seconds of an iteration, GFLOP/s, and the loss after as many iterations."""
    plays = matrices.plays(n_listeners, n_songs, n_entries)
    contestants = {name: enter(plays) for name, enter in CONTESTANTS.items()}
    taken = machine.interleaved({name: contestant.step for name, contestant in contestants.items()}, rounds)
    medians = machine.medians(taken, skip=1)  # the first iteration warms up
    flops = operations(n_listeners, n_songs, n_entries)
    asked = problem(plays)
    return {
        "shape": [n_listeners, n_songs, n_entries],
        "iterations": rounds,
        "seconds": medians,
        "gflops": {name: flops / seconds / 1e9 for name, seconds in medians.items()},
        "loss": {
            name: lost(asked, *contestant.sides())
            for name, contestant in contestants.items()
            if BIASED not in name  # that is another loss
        },
    }


def ours(plays: sparse.csr_array, solver: str, biased: bool = False) -> Contestant:
    """Our kernel."""
    steps = iterate(problem(plays, biased), solver)
    at: list[wals.Side] = []

    def step() -> None:
        at[:] = next(steps)

    return Contestant(step, lambda: (at[0].factors, at[1].factors))


def implicit(plays: sparse.csr_array, solver: Callable[..., None]) -> Contestant:
    """implicit's kernel: the two calls that its `fit` makes an iteration."""
    listening = sparse.csr_matrix(plays)
    listening.data = plays.data + 1
    listened = listening.T.tocsr()
    listeners, songs = start(*plays.shape)

    def step() -> None:
        solver(listening, listeners, songs, REGULARISATION, num_threads=machine.N_THREADS)
        solver(listened, songs, listeners, REGULARISATION, num_threads=machine.N_THREADS)

    return Contestant(step, lambda: (listeners, songs))


def irspack(plays: sparse.csr_array, solver: str) -> Contestant:
    """irspack's kernel: the one call that its `learn` makes an iteration."""
    config = _ials_core.IALSModelConfigBuilder().set_K(N_FACTORS).set_alpha0(1.0).set_reg(REGULARISATION).set_nu(0.0)
    config = config.set_loss_type(_ials_core.LossType.ORIGINAL).build()
    trainer = _ials_core.IALSTrainer(config, sparse.csr_matrix(plays))
    trainer.user, trainer.item = start(*plays.shape)
    how = _ials_core.IALSSolverConfigBuilder().set_n_threads(machine.N_THREADS).set_max_cg_steps(CG_STEPS)
    how = how.set_solver_type(getattr(_ials_core.SolverType, solver)).build()
    return Contestant(partial(trainer.step, how), lambda: (trainer.user, trainer.item))


CONTESTANTS: dict[str, Callable[[sparse.csr_array], Contestant]] = {
    **{f"ours, {solver}": partial(ours, solver=solver) for solver in SOLVERS},
    **{f"ours, {solver}{BIASED}": partial(ours, solver=solver, biased=True) for solver in SOLVERS},
    "implicit, cg": partial(implicit, solver=partial(_als.least_squares_cg, cg_steps=CG_STEPS)),
    "implicit, exact": partial(implicit, solver=_als.least_squares),
    "irspack, cg": partial(irspack, solver="CG"),
    "irspack, exact": partial(irspack, solver="CHOLESKY"),
}


def _compared(size: dict[str, Any]) -> str:
    title = "**{:,} listeners x {:,} songs, {:,} entries**, K = {}, {} iterations".format(
        *size["shape"], N_FACTORS, size["iterations"]
    )
    least = min(size["loss"].values())
    rows = [
        [
            name,
            seconds,
            seconds / size["seconds"][f"ours, {_solver(name)}"],
            size["gflops"][name],
            100 * (size["loss"][name] / least - 1) if name in size["loss"] else None,
        ]
        for name, seconds in size["seconds"].items()
    ]
    header = [
        "implementation, solver",
        "s an iteration",
        "times ours",
        "GFLOP/s of exact work",
        "loss over the least: %",
    ]
    return f"{title}\n\n{table(header, rows)}"


def _solver(name: str) -> str:
    return name.removesuffix(BIASED).rpartition(", ")[2]
