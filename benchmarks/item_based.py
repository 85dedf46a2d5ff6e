"""The linear autoencoder in its three forms, beside irspack's closed form and implicit's item neighbours."""

from collections.abc import Callable
from typing import Any

import numpy as np
from implicit.nearest_neighbours import CosineRecommender
from irspack.recommenders import DenseSLIMRecommender
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks import machine, matrices
from benchmarks.report import Say, table
from recommender.engines.autoencoder import dual, primal, sparse_weights
from recommender.engines.item_based import ItemBased

SHAPES = {  # what each form is for
    "primal": (20_000, 4_000, 600_000),
    "dual": (2_000, 6_000, 100_000),
    "sparse": (40_000, 25_000, 1_000_000),
}
PENALTY = 100.0
N_COMPANIONS = ItemBased.defaults["n_companions"]


def measure(say: Say) -> dict[str, Any]:
    """Seconds of fitting each form on a matrix it is for, and of the others that can take it."""
    figures = {}
    for form, shape in SHAPES.items():
        say("{}: {:,} listeners, {:,} songs, {:,} plays".format(form, *shape))
        played = matrices.plays(*shape)
        played.data = np.ones_like(played.data, dtype=np.float64)
        with threadpool_limits(machine.N_THREADS, user_api="blas"):  # one large inverse: here BLAS has the threads
            seconds = {who: machine.best(fit, times=1) for who, fit in _fits(form, played).items()}
        figures[form] = {"shape": list(shape), "seconds": seconds}
    return figures


def tables(figures: dict[str, Any]) -> str:
    """One row a form and implementation."""
    rows = [
        ["{:,} x {:,}".format(*figure["shape"]), who, seconds]
        for figure in figures.values()
        for who, seconds in figure["seconds"].items()
    ]
    return table(["listeners x songs", "model", "fit: s"], rows)


def _fits(form: str, played: sparse.csr_array) -> dict[str, Callable[[], Any]]:
    """A call that fits, by whose it is; the closed form of songs x songs is out of reach of the large catalogue."""
    penalty = np.full(played.shape[1], PENALTY)
    theirs = sparse.csr_matrix(played)
    closed: dict[str, Callable[[], Any]] = {
        "primal": lambda: primal(played, penalty),
        "dual": lambda: dual(played, penalty),
    }
    fits = {"ours, sparse": lambda: sparse_weights(played, penalty, N_COMPANIONS)}
    if form in closed:
        fits[f"ours, {form}"] = closed[form]
        fits["irspack, EASE (float32)"] = lambda: DenseSLIMRecommender(theirs, reg=PENALTY).learn()
    neighbours = CosineRecommender(N_COMPANIONS, num_threads=machine.N_THREADS)
    return {**fits, "implicit, item-kNN (cosine)": lambda: neighbours.fit(theirs, show_progress=False)}
