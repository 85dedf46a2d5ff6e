"""The search for hyper-parameters: against random search of the same budget, and how long the default one takes.

A random search is the same search with every trial at random, so both see the same folds, and the same points until
the Gaussian process takes over. `python -m benchmarks.tuner` prints the figures alone.
"""

import json
import sys
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import machine, planted
from benchmarks.ratings import SITUNES
from benchmarks.report import Say, table
from recommender.engines.tables import Tables
from recommender.engines.weighted_mf.tuning import HyperTuner, Search

SEEDS = range(10)
WORLD = {"n_listeners": 100, "n_songs": 150, "n_ratings": 3_000}
# The ranges of the slides but for the iterations, which change nothing that long after the loss has settled.
SLIDES = HyperTuner(n_iterations=(5, 10), n_counts=2, n_folds=3)
# The best lambda lies at the edge of the slides' range and within the wide one.
SEARCHES = {"lambda 0.01 to 1": SLIDES, "lambda 0.01 to 100": replace(SLIDES, regularisation=(0.01, 100.0))}


def measure(say: Say) -> dict[str, Any]:
    """The best loss of both searches on planted worlds, a seed each; and the default search on the SiTunes ratings."""
    figures: dict[str, Any] = {"against_random": {}}
    for name, tuner in SEARCHES.items():
        say(name)
        figures["against_random"][name] = against_random(tuner, say)
    if SITUNES.exists():
        say("the default search on the SiTunes ratings")
        figures["default"] = default_search()
    return figures


def tables(figures: dict[str, Any]) -> str:
    """One table, and the time of the default search."""
    header = ["range", "guided: median best RMSE", "at random", "seeds won", "seeds lost"]
    rows = [
        [name, found["guided"]["median"], found["random"]["median"], found["guided"]["won"], found["random"]["won"]]
        for name, found in figures["against_random"].items()
    ]
    text = f"{SLIDES.n_trials} trials on planted worlds, {len(SEEDS)} seeds\n\n{table(header, rows)}"
    if "default" in figures:
        default = figures["default"]
        text += f"\n\n{default['trials']} trials of {default['folds']} folds on SiTunes: {default['seconds']:.0f} s"
    return text


def against_random(tuner: HyperTuner, say: Say) -> dict[str, Any]:
    """Best RMSE after the whole budget by seed, the median of them, and how many seeds each search won."""
    lost: dict[str, list[float]] = {"guided": [], "random": []}
    searches = {"guided": tuner, "random": replace(tuner, n_random=tuner.n_trials)}
    for seed in SEEDS:
        world = Tables.from_frames(ratings=planted.ratings(seed, **WORLD))
        for name, search in searches.items():
            lost[name].append(search.search(world, rng=np.random.default_rng(seed)).best.loss)
        say(f"seed {seed}: {lost['guided'][-1]:.4f} guided, {lost['random'][-1]:.4f} at random")
    won = np.subtract(lost["random"], lost["guided"])
    wins = {"guided": int((won > 0).sum()), "random": int((won < 0).sum())}
    return {name: {"by_seed": values, "median": median(values), "won": wins[name]} for name, values in lost.items()}


def default_search() -> dict[str, Any]:
    """Seconds and outcome of HyperTuner as it comes."""
    ratings = Tables.from_frames(ratings=pd.read_csv(SITUNES)[["user_id", "song_id", "rating"]])
    tuner, searches = HyperTuner(), list[Search]()
    took = machine.seconds(lambda: searches.append(tuner.search(ratings, rng=np.random.default_rng(0))))
    best = searches[0].best
    return {
        "trials": tuner.n_trials,
        "folds": tuner.n_folds,
        "seconds": took,
        "best": {"params": best.params, "loss": best.loss},
    }


if __name__ == "__main__":
    with machine.same_threads():
        json.dump(measure(lambda line: print(line, file=sys.stderr)), sys.stdout, indent=2)  # noqa: T201 - progress
