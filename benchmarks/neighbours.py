"""Neighbours: the songs that sound alike in a large catalogue beside faiss, and the listeners alike beside irspack."""

from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
import pandas as pd
from irspack.recommenders import CosineUserKNNRecommender
from scipy import sparse

from benchmarks import machine, matrices
from benchmarks.report import Say, table
from recommender.engines import ENGINES
from recommender.engines.content import learn_content, points
from recommender.engines.nearest import Nearest, graph_of, vectors_of_middles, vectors_of_songs
from recommender.engines.tables import Tables

N = 10
CATALOGUE = 100_000
N_GENRES, N_FEATURES, SPREAD = 60, 12, 0.6  # songs of a genre lie around its middle
N_ASKED = 500
EFFORT = 256  # candidates that the indexes weigh
CROWD = (20_000, 10_000, 1_000_000)
N_SERVED = 2_048
N_NEIGHBOURS = 150
ROUNDS = 4


def measure(say: Say) -> dict[str, Any]:
    """Recall and milliseconds of finding alike songs; listeners a second served by listeners alike."""
    say(f"alike songs among {CATALOGUE:,}")
    songs = alike_songs()
    say(f"alike listeners among {CROWD[0]:,}")
    return {"songs": songs, "listeners": alike_listeners()}


def tables(figures: dict[str, Any]) -> str:
    """Songs, then listeners."""
    songs = table(
        [f"alike songs among {CATALOGUE:,}", f"recall@{N}", "ms a song, one thread", "building: s"],
        [[name, found["recall"], found["milliseconds"], found["building"]] for name, found in figures["songs"].items()],
    )
    listeners = table(
        [f"alike listeners among {CROWD[0]:,}", "listeners/s"],
        [[name, per_second] for name, per_second in figures["listeners"].items()],
    )
    return f"{songs}\n\n{listeners}"


def alike_songs() -> dict[str, dict[str, float]]:
    """Of the exact scan, our index and faiss's: recall of the ten truly nearest, and the time of one thread a query.

    Truly nearest is by our likeness; faiss has the vectors our index has, and what it finds is not weighed again.
    """
    world = catalogue()
    songs = points(world.songs, learn_content(world.songs, ENGINES["coolstart"].defaults))
    asked = np.random.default_rng(1).choice(len(songs), N_ASKED, replace=False)
    middles = [songs.rows([row]).alone() for row in asked]
    nothing = sparse.csr_array((1, len(songs)))
    nowhere = np.empty(0, dtype=np.int64)
    scan = Nearest.of(songs, None, nowhere)
    graphs: list[np.ndarray] = []
    building = machine.seconds(lambda: graphs.append(graph_of(songs)))
    index = Nearest.of(songs, graphs[0], np.arange(len(songs)))
    vectors = vectors_of_songs(songs)
    questions = [vectors_of_middles(middle, index.name_axes) for middle in middles]
    faiss.omp_set_num_threads(1)
    hnsw = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    hnsw.hnsw.efConstruction, hnsw.hnsw.efSearch = 64, EFFORT
    flat = faiss.IndexFlatIP(vectors.shape[1])
    truth = [set(scan.best(middle, N, nothing)[0][0]) for middle in middles]

    def asking(find: Callable[[int], Any], building: float) -> dict[str, float]:
        found: list[set[int]] = []
        find(0)
        seconds = machine.seconds(lambda: found.extend(set(np.ravel(find(i))) for i in range(N_ASKED)))
        recall = np.mean([len(one & other) / N for one, other in zip(found, truth, strict=True)])
        return {"recall": float(recall), "milliseconds": 1e3 * seconds / N_ASKED, "building": building}

    def filling(empty: faiss.Index) -> float:
        return machine.seconds(lambda: empty.add(vectors))

    try:
        return {
            "ours, all looked at": asking(lambda i: scan.best(middles[i], N, nothing)[0], 0.0),
            "ours, by the index": asking(lambda i: index.best(middles[i], N, nothing)[0], building),
            "faiss, flat": asking(
                lambda i: flat.search(questions[i], N)[1], machine.seconds(lambda: flat.add(vectors))
            ),
            "faiss, HNSW": asking(
                lambda i: hnsw.search(questions[i], N)[1], machine.seconds(lambda: hnsw.add(vectors))
            ),
        }
    finally:
        faiss.omp_set_num_threads(machine.N_THREADS)


def alike_listeners() -> dict[str, float]:
    """Ten songs for each of many listeners from those alike: ours, and irspack's neighbours and scores."""
    plays = matrices.plays(*CROWD)
    entries = plays.tocoo()
    history = pd.DataFrame({"user_id": entries.row, "song_id": entries.col, "repetition": entries.data})
    engine = ENGINES["user_based"].fit(
        Tables.from_frames(history=history), {"n_neighbours": N_NEIGHBOURS}, rng=np.random.default_rng(0)
    )
    listeners = engine.tables.users.ids[:N_SERVED]
    theirs = CosineUserKNNRecommender(
        sparse.csr_matrix(plays, dtype=np.float64), top_k=N_NEIGHBOURS, n_threads=machine.N_THREADS
    )
    learning = machine.seconds(theirs.learn)  # it finds everybody's neighbours at once

    def listed() -> None:
        scores = theirs.get_score_remove_seen(np.arange(N_SERVED))
        np.argpartition(-scores, N, axis=1)

    taken = machine.interleaved({"ours": lambda: engine.recommend(listeners, N), "theirs": listed}, ROUNDS)
    medians = machine.medians(taken, skip=1)
    share = N_SERVED / CROWD[0]
    return {
        "ours, neighbours of the day": N_SERVED / medians["ours"],
        "irspack, with its neighbours' finding": N_SERVED / (medians["theirs"] + share * learning),
        "irspack, neighbours found before": N_SERVED / medians["theirs"],
    }


def catalogue() -> Tables:
    """Songs with features around the middle of their genre, and one listener who heard one of them."""
    rng = np.random.default_rng(0)
    genres = rng.integers(0, N_GENRES, CATALOGUE)
    middles = rng.normal(size=(N_GENRES, N_FEATURES))
    features = middles[genres] + SPREAD * rng.normal(size=(CATALOGUE, N_FEATURES))
    songs = pd.DataFrame(features, columns=[f"feature_{i}" for i in range(N_FEATURES)])
    songs["song_id"], songs["genre"] = np.arange(CATALOGUE), genres.astype(str)
    return Tables.from_frames(songs=songs)
