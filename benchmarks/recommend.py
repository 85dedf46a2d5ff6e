"""Lists for everybody and for one: listeners a second beside implicit, faiss and the bare products of the scores.

`python -m benchmarks.recommend` prints the figures alone.
"""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import faiss
import numpy as np
import pandas as pd
from implicit.cpu.topk import topk
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks import machine, matrices
from benchmarks.report import Say, table
from recommender.engines import ENGINES
from recommender.engines.base import BATCH, Engine
from recommender.engines.hybrid import Hybrid
from recommender.engines.ranking import TILE, Singles, best_products
from recommender.engines.tables import Tables
from recommender.engines.threads import mapped

N = 10  # songs in a list
N_FACTORS = 64
HEARD = 100  # songs a listener has heard, on average: none of them may be listed
SIZES = {20_000: 8192, 100_000: 2048}  # songs: listeners served
ROUNDS = 7
ALONE = {"n_listeners": 20_000, "n_songs": 100_000, "n_entries": 2_000_000}
N_ALONE = 300  # listeners served one by one
BLENDED = {"n_listeners": 5_000, "n_songs": 20_000, "n_entries": 500_000}
N_BLENDED = 500
PARAMS = {"weighted_mf": {"n_iterations": 1}}  # how well it has learned does not matter to how fast it lists

SCORES, OURS, WHOLE = "the scores alone", "ours, factors to lists", "ours, plays to lists"


def measure(say: Say) -> dict[str, Any]:
    """Listeners a second of everybody at both sizes, milliseconds for one listener, and where a blend's time goes."""
    batches = []
    for n_songs, n_listeners in SIZES.items():
        say(f"{n_listeners:,} listeners at {n_songs:,} songs")
        batches.append(batch(n_songs, n_listeners))
    say("one listener at {n_songs:,} songs".format(**ALONE))
    one_by_one = alone(**ALONE)
    say("the whole band at {n_songs:,} songs".format(**BLENDED))
    return {
        "batch": batches,
        "alone": {"shape": ALONE, **one_by_one},
        "blended": {"shape": BLENDED} | blended(**BLENDED),
    }


def tables(figures: Mapping[str, Any]) -> str:
    """Batches, then one listener, then the band."""
    batches = table(
        ["implementation", *(f"listeners/s at {size['n_songs']:,} songs" for size in figures["batch"])],
        [
            [name, *(size["listeners_per_second"][name] for size in figures["batch"])]
            for name in figures["batch"][0]["listeners_per_second"]
        ],
    )
    one_by_one = table(
        ["engine, one listener at {n_songs:,} songs".format(**figures["alone"]["shape"]), "p50: ms", "p99: ms"],
        [[name, each["p50"], each["p99"]] for name, each in figures["alone"]["engines"].items()],
    )
    band = table(
        ["at {n_songs:,} songs".format(**figures["blended"]["shape"]), "scores: microseconds", "lists: listeners/s"],
        [
            [name, each.get("score_us"), each["listeners_per_second"]]
            for name, each in figures["blended"]["engines"].items()
        ],
    )
    return "\n\n".join([batches, one_by_one, band])


def batch(n_songs: int, n_listeners: int) -> dict[str, Any]:
    """Listeners a second, each the median of several rounds taken in turns: top 10 of K = 64, heard songs left out.

    faiss finds the top 10 without leaving anything out. The scores alone are sgemm into a reused tile, the fastest
    way to have them found here. Ours is measured from factors, as implicit is, and from plays: folded in, listed,
    ids given.
    """
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=(n, N_FACTORS)).astype(np.float32) for n in (n_listeners, n_songs))
    plays = matrices.plays(n_listeners, n_songs, HEARD * n_listeners)
    heard = sparse.csr_matrix(plays)
    index = faiss.IndexFlatIP(N_FACTORS)
    index.add(right)
    engine = factorised(plays, right)
    listeners = engine.tables.users.ids
    contestants: dict[str, Callable[[], Any]] = {
        SCORES: lambda: products(left, right),
        OURS: lambda: best_products(left, right, N, plays),
        WHOLE: lambda: engine.recommend(listeners, N),
        "implicit": lambda: topk(right, left, N, filter_query_items=heard, num_threads=machine.N_THREADS),
        "faiss, flat, nothing left out": lambda: searched(index, left),
    }
    medians = machine.medians(machine.interleaved(contestants, ROUNDS), skip=1)  # the first round warms up
    per_second = {name: n_listeners / seconds for name, seconds in medians.items()}
    return {"n_songs": n_songs, "n_listeners": n_listeners, "listeners_per_second": per_second}


def searched(index: faiss.IndexFlatIP, left: Singles) -> None:
    """faiss's search, whose products are spread over threads by BLAS itself."""
    with threadpool_limits(machine.N_THREADS):
        index.search(left, N)


def products(left: Singles, right: Singles) -> None:
    """All products, a tile at a time, each overwriting the last."""
    rows, columns = TILE

    def block(start: int) -> None:
        part = left[start : start + rows]
        room = np.empty(len(part) * columns, dtype=np.float32)
        for first in range(0, len(right), columns):
            others = right[first : first + columns]
            np.dot(part, others.T, out=room[: len(part) * len(others)].reshape(len(part), len(others)))

    mapped(block, range(0, len(left), rows))


def alone(n_listeners: int, n_songs: int, n_entries: int) -> dict[str, Any]:
    """Milliseconds of `recommend([listener], 10)` for one listener after another, warm, by engine."""
    world = catalogue(n_listeners, n_songs, n_entries)
    listeners = np.random.default_rng(1).choice(world.users.ids.to_numpy(), N_ALONE + 5)
    found = {}
    for name, engine in ENGINES.items():
        fitted = engine.fit(world, PARAMS.get(name), rng=np.random.default_rng(0))
        taken = [machine.seconds(lambda one=one, fitted=fitted: fitted.recommend([one], N)) for one in listeners]
        p50, p99 = 1e3 * np.percentile(taken[5:], [50, 99])
        found[name] = {"p50": float(p50), "p99": float(p99)}
    return {"engines": found}


def blended(n_listeners: int, n_songs: int, n_entries: int) -> dict[str, Any]:
    """Listeners a second of each engine and of the hybrid of them all, and what an engine's scores cost: microseconds
    a listener on one thread."""
    world = catalogue(n_listeners, n_songs, n_entries)
    listeners = world.users.ids[:N_BLENDED]
    engines = {
        name: engine.fit(world, PARAMS.get(name), rng=np.random.default_rng(0)) for name, engine in ENGINES.items()
    }
    found = {name: {"score_us": score_us(engine)} | lists(engine, listeners) for name, engine in engines.items()}
    found["hybrid"] = lists(Hybrid(engines), listeners)
    return {"engines": found}


def score_us(engine: Engine) -> float:
    """Microseconds of one thread that an engine needs for one listener's scores, in blocks as the hybrid asks them."""
    step = BATCH // 8
    taken = [
        machine.seconds(lambda start=start: engine.score_rows(np.arange(start, start + step)))
        for start in range(0, N_BLENDED - step, step)
    ]
    return 1e6 * float(np.median(taken)) / step


def lists(engine: Engine | Hybrid, listeners: pd.Index) -> dict[str, float]:
    """Lists a second."""
    return {"listeners_per_second": len(listeners) / machine.best(lambda: engine.recommend(listeners, N), times=2)}


def factorised(plays: sparse.csr_array, song_factors: Singles) -> Engine:
    """The factor engine on these plays with these song factors, not learned: that would not change its speed."""
    entries = plays.tocoo()
    history = pd.DataFrame({"user_id": entries.row, "song_id": entries.col, "repetition": entries.data})
    songs = pd.DataFrame({"song_id": np.arange(plays.shape[1])})
    world = Tables.from_frames(songs=songs, history=history)
    fitted = ENGINES["weighted_mf"].fit(world, PARAMS["weighted_mf"], rng=np.random.default_rng(0))
    learned = fitted.state["song_factors"]
    factors = song_factors[np.asarray(fitted.state["song_ids"])].astype(learned.dtype)
    return type(fitted)(world, fitted.params, {**fitted.state, "song_factors": factors})


def catalogue(n_listeners: int, n_songs: int, n_entries: int) -> Tables:
    """Seeded tables: songs with artist, genre, popularity and five features, and plays."""
    rng = np.random.default_rng(0)
    entries = matrices.plays(n_listeners, n_songs, n_entries).tocoo()
    songs = pd.DataFrame(rng.random((n_songs, 5)), columns=["energy", "valence", "acousticness", "tempo", "loudness"])
    songs["song_id"] = np.arange(n_songs)
    songs["artist"] = rng.integers(0, n_songs // 8, n_songs).astype(str)
    songs["genre"] = rng.integers(0, 40, n_songs).astype(str)
    songs["popularity"] = rng.integers(0, 101, n_songs)
    history = pd.DataFrame({"user_id": entries.row, "song_id": entries.col, "repetition": entries.data})
    return Tables.from_frames(songs=songs, history=history, users=pd.DataFrame({"user_id": np.arange(n_listeners)}))


if __name__ == "__main__":
    with machine.same_threads():
        json.dump(measure(lambda line: print(line, file=sys.stderr)), sys.stdout, indent=2)  # noqa: T201 - progress
