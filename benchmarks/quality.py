"""How good the engines are on real listening, beside implicit's models on the same splits.

Ours run at their defaults. A peer gets the best parameters of a small grid, found by ndcg on a split of the first
training part, as its users would look for them. The data may not be redistributed, so it is looked for beside the
checkout; where it is absent nothing is measured, and the figures of the last time stand.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
from implicit.utils import ParameterWarning
from numpy.typing import NDArray
from scipy import sparse

from benchmarks import machine
from benchmarks.report import ROOT, Say, table
from quasimusic.exceptions import TableWarning
from recommender.engines import ENGINES
from recommender.engines.core import core
from recommender.engines.hybrid import Hybrid
from recommender.engines.metrics import Recommender, evaluate
from recommender.engines.splits import split
from recommender.engines.tables import Floats, Tables

DATA = ROOT.parent / "shared" / "data"
TABLES = ("songs", "history", "ratings", "users")
SEEDS = (0, 1, 2)
CORE = 5
NDCG_AT, RECALL_AT = 10, 20
PEERS: Mapping[str, tuple[Callable[..., Any], Mapping[str, Sequence[float]]]] = {
    "implicit ALS": (
        AlternatingLeastSquares,
        {"factors": (64, 128), "alpha": (1.0, 5.0, 20.0), "regularization": (0.1, 1.0, 5.0)},
    ),
    "implicit BPR": (
        BayesianPersonalizedRanking,
        {"factors": (32, 64), "learning_rate": (0.01, 0.05), "regularization": (0.01, 0.05)},
    ),
    "implicit item-kNN, cosine": (CosineRecommender, {"K": (20, 100, 500)}),
    "implicit item-kNN, BM25": (BM25Recommender, {"K": (20, 100, 500), "K1": (0.5, 1.2), "B": (0.2, 0.75)}),
}
OF_CHANCE = (AlternatingLeastSquares, BayesianPersonalizedRanking)  # take a seed


@dataclass(frozen=True, eq=False)
class Peer:
    """A model of implicit's, asked as an engine is."""

    tables: Tables
    model: Any

    def recommend(self, listener_ids: Sequence[Any], n: int) -> tuple[NDArray[Any], Floats]:
        rows = self.tables.listener_rows(listener_ids)
        known = sparse.csr_matrix(self.tables.known[rows])
        song_rows, scores = self.model.recommend(rows, known, N=n, filter_already_liked_items=True)
        listed = scores > np.finfo(np.float32).min / 2  # it pads with songs that scored the least there is
        return self.tables.song_ids(np.where(listed, song_rows, -1).astype(np.int64)), scores


def measure(say: Say) -> dict[str, Any] | None:
    """ndcg and recall of the engines, the hybrid and the peers on each data set, as means over the splits."""
    if not DATA.is_dir():
        say(f"left out: there is no research data in {DATA}")
        return None
    taste = read(DATA / "taste")
    sets = {"taste": taste, f"taste, {CORE}-core": core(taste, CORE), "situnes": read(DATA / "situnes")}
    figures = {}
    for name, tables_of_it in sets.items():
        say(f"{name}: {tables_of_it.n_listeners:,} listeners, {tables_of_it.n_songs:,} songs")
        figures[name] = measured_on(tables_of_it)
    return figures


def tables(figures: dict[str, Any]) -> str:
    """One table a data set, best first."""
    header = ["recommender", f"ndcg@{NDCG_AT}", f"recall@{RECALL_AT}", f"coverage@{RECALL_AT}", "fit: s"]
    parts = []
    for name, figure in figures.items():
        size = "{:,} listeners, {:,} songs, {:,} pairs".format(*figure["size"])
        rows = sorted(([who, *values.values()] for who, values in figure["found"].items()), key=lambda row: -row[2])
        parts.append(f"**{name}** ({size}), means of {len(SEEDS)} splits\n\n{table(header, rows)}")
    return "\n\n".join(parts)


def read(folder: Path) -> Tables:
    """A folder of CSV files as tables."""
    frames = {name: pd.read_csv(folder / f"{name}.csv") for name in TABLES if (folder / f"{name}.csv").exists()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)  # songs without features are known of
        return Tables.from_frames(**frames)


def measured_on(everything: Tables) -> dict[str, Any]:
    """Means over the splits of everybody's figures, and the size of the data."""
    cuts = [split(everything, rng=np.random.default_rng(seed)) for seed in SEEDS]
    chosen = {name: _best_of(kind, grid, cuts[0][0]) for name, (kind, grid) in PEERS.items()}
    splits = [
        {name: _judged(fit, held_out) for name, fit in _fits(train, seed, chosen)}
        for seed, (train, held_out) in zip(SEEDS, cuts, strict=True)
    ]
    found = {
        name: {metric: mean(of_split[name][metric] for of_split in splits) for metric in splits[0][name]}
        for name in splits[0]
    }
    size = [everything.n_listeners, everything.n_songs, int(everything.known.nnz)]
    return {"size": size, "peers": chosen, "found": found}


def _fits(
    train: Tables, seed: int, chosen: Mapping[str, Mapping[str, float]]
) -> Iterator[tuple[str, Callable[[], Recommender]]]:
    """What fits each recommender on the training part."""
    for name, engine in ENGINES.items():
        yield name, partial(engine.fit, train, rng=np.random.default_rng(seed))
    yield "hybrid", partial(Hybrid.fit, train, rng=np.random.default_rng(seed))
    for name, params in chosen.items():
        yield name, partial(_peer, PEERS[name][0], params, train)


def _judged(fit: Callable[[], Recommender], held_out: sparse.csr_array) -> dict[str, float]:
    fitted: list[Recommender] = []
    seconds = machine.seconds(lambda: fitted.append(fit()))
    wide = evaluate(fitted[0], held_out, RECALL_AT)
    ndcg = evaluate(fitted[0], held_out, NDCG_AT).ndcg.mean
    return {"ndcg": ndcg, "recall": wide.recall.mean, "coverage": wide.coverage, "seconds": seconds}


def _best_of(kind: Callable[..., Any], grid: Mapping[str, Sequence[float]], train: Tables) -> dict[str, float]:
    """The point of the grid with the best ndcg on a split of this training part."""
    inner, held_out = split(train, rng=np.random.default_rng(0))
    points = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    return max(points, key=lambda point: evaluate(_peer(kind, point, inner), held_out, NDCG_AT).ndcg.mean)


def _peer(kind: Callable[..., Any], params: Mapping[str, float], train: Tables) -> Peer:
    chance = {"random_state": 0} if kind in OF_CHANCE else {}
    model = kind(**params, **chance, num_threads=machine.N_THREADS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ParameterWarning)  # of what it converts within itself
        model.fit(sparse.csr_matrix(train.known, dtype=np.float32), show_progress=False)
    return Peer(train, model)
