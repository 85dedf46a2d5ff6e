"""How well the three losses of the rating head foretell ratings they have not seen, five folds a data set.

The slides' loss gets the best lambda of a few, found on the held-out ratings themselves: it is the one to beat, so the
choice is in its favour. The others run at their defaults.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import machine, planted
from benchmarks.report import ROOT, Say, table
from recommender.engines.metrics import estimates
from recommender.engines.splits import rating_folds
from recommender.engines.tables import Floats, RatingTable, Rows, Tables
from recommender.engines.weighted_mf.model import WeightedMF

SITUNES = ROOT.parent / "shared" / "data" / "situnes" / "ratings.csv"
SEEDS = (0, 1, 2)
N_FOLDS = 5
SLIDES = {
    f"slides, lambda {regularisation}": {"rating_loss": "slides", "rating_regularisation": float(regularisation)}
    for regularisation in (5, 10, 15)
}
LOSSES: Mapping[str, Mapping[str, Any]] = {
    **SLIDES,
    "scaled": {"rating_loss": "scaled"},
    "bayesian": {"rating_loss": "bayesian"},
}
QUICK = {"n_factors": 1, "n_iterations": 1}  # the ranking head is not asked


def measure(say: Say) -> dict[str, Any]:
    """RMSE of each loss, seconds a fit, and how much less each errs than the one before, in squared stars."""
    sets = {"planted": (planted.ratings(0), SEEDS[:1])}
    if SITUNES.exists():
        sets["situnes"] = (pd.read_csv(SITUNES)[["user_id", "song_id", "rating"]], SEEDS)
    figures = {}
    for name, (frame, seeds) in sets.items():
        say(f"{name}: {len(frame):,} ratings")
        figures[name] = compared(Tables.from_frames(ratings=frame), seeds)
    return figures


def tables(figures: dict[str, Any]) -> str:
    """One table a data set, and the differences below it."""
    parts = []
    for name, figure in figures.items():
        header = ["loss", "RMSE", "95% from", "to", "fit: s"]
        rows = [[loss, *found["rmse"], found["seconds"]] for loss, found in figure["losses"].items()]
        less = "; ".join(
            f"mean squared error of {later} less than of {former}: {by[0]:.4f} ({by[1]:.4f} to {by[2]:.4f})"
            for former, later, by in figure["less"]
        )
        size = "{:,} listeners, {:,} songs, {:,} ratings".format(*figure["size"])
        parts.append(
            f"**{name}** ({size}), {N_FOLDS} folds x {figure['seeds']} seeds\n\n{table(header, rows)}\n\n{less}."
        )
    return "\n\n".join(parts)


def compared(everything: Tables, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Every loss on the same folds."""
    cuts = [(s, *cut) for s in seeds for cut in rating_folds(everything, n_folds=N_FOLDS, rng=np.random.default_rng(s))]
    listeners = np.concatenate([held.listener_rows for _, _, held in cuts])
    errors, seconds = {}, {}
    for loss, params in LOSSES.items():
        fits = [foretold(train, held, params, seed) for seed, train, held in cuts]
        errors[loss] = np.concatenate([squares for squares, _ in fits])
        seconds[loss] = float(np.median([took for _, took in fits]))
    roots = {loss: _bounds(listeners, errors[loss], root=True) for loss in LOSSES}
    best = min(SLIDES, key=lambda loss: roots[loss][0])
    return {
        "size": [everything.n_listeners, everything.n_songs, len(everything.ratings)],
        "seeds": len(seeds),
        "losses": {loss: {"rmse": roots[loss], "seconds": seconds[loss]} for loss in LOSSES},
        "less": [
            [former, later, _bounds(listeners, errors[former] - errors[later])]
            for former, later in ((best, "scaled"), ("scaled", "bayesian"))
        ],
    }


def foretold(train: Tables, held: RatingTable, params: Mapping[str, Any], seed: int) -> tuple[Floats, float]:
    """Squared error of each held-out rating, float64 (p,), NaN where nobody else rated the song, and seconds to fit."""
    fitted: list[WeightedMF] = []
    rng = np.random.default_rng(seed)
    took = machine.seconds(lambda: fitted.append(WeightedMF.fit(train, {**QUICK, **params}, rng=rng)))
    stars = fitted[0].predict_ratings(train.users.ids[held.listener_rows], train.songs.ids[held.song_rows])
    return (stars - held.rating) ** 2, took


def _bounds(listeners: Rows, values: Floats, root: bool = False) -> list[float]:
    """The mean over ratings, or its root, with its 95% interval over listeners, who come with all their ratings."""
    there = ~np.isnan(values)
    _, places = np.unique(listeners[there], return_inverse=True)
    counts = np.bincount(places).astype(np.float64)
    found = estimates({"": np.bincount(places, values[there]) / counts}, weights=counts)[""]
    found = found.root() if root else found
    return [found.mean, found.low, found.high]
