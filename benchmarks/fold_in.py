"""Folding in: how long it takes to place a listener among songs that stand still, when they have just listened."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import machine, matrices
from benchmarks.report import Say, table
from recommender.engines import ENGINES
from recommender.engines.tables import Tables
from recommender.engines.weighted_mf.heads import ranking_head

CROWD = (10_000, 20_000, 500_000)
N_PLAYED = 200  # by each of the listeners timed
N_TIMED = 1_000
WARM = 10  # calls left out
PARAMS = {"n_factors": 64, "n_iterations": 2}  # how well it has learned does not matter to how fast it folds in


def measure(say: Say) -> dict[str, Any]:
    """Milliseconds of one listener's factors, and of their list, one after another."""
    say(f"{N_TIMED:,} listeners of {N_PLAYED} plays each")
    entries = matrices.plays(*CROWD).tocoo()
    songs = pd.DataFrame({"song_id": np.arange(CROWD[1])})
    history = pd.DataFrame({"user_id": entries.row, "song_id": entries.col, "repetition": entries.data})
    fitted = ENGINES["weighted_mf"].fit(Tables.from_frames(songs, history), PARAMS, rng=np.random.default_rng(0))
    newcomers = Tables.from_frames(songs, _newcomers())
    head = ranking_head(newcomers, fitted.params, fitted.state)
    engine, listeners = fitted.on(newcomers), newcomers.users.ids
    return {
        "their factors": _percentiles(lambda i: head.listeners(np.array([i]))),
        "their list of ten": _percentiles(lambda i: engine.recommend([listeners[i]], 10)),
    }


def tables(figures: dict[str, Any]) -> str:
    """One row a thing waited for."""
    return table(["of one listener", "p50: ms", "p99: ms"], [[name, *took.values()] for name, took in figures.items()])


def _newcomers() -> pd.DataFrame:
    """Histories of exactly as many songs each."""
    rng = np.random.default_rng(1)
    heard = [rng.choice(CROWD[1], N_PLAYED, replace=False) for _ in range(N_TIMED)]
    listeners = np.repeat(np.arange(N_TIMED), N_PLAYED)
    return pd.DataFrame({"user_id": listeners, "song_id": np.concatenate(heard), "repetition": 1})


def _percentiles(call: Callable[[int], Any]) -> dict[str, float]:
    taken = [machine.seconds(lambda i=i: call(i)) for i in range(N_TIMED)][WARM:]
    p50, p99 = 1e3 * np.percentile(taken, [50, 99])
    return {"p50": float(p50), "p99": float(p99)}
