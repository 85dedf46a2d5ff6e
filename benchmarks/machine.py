"""What the figures were measured on, and on how many threads."""

import datetime
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import blas
from threadpoolctl import threadpool_limits

from recommender.engines.threads import bounded

LIBRARIES = ("numpy", "scipy", "numba", "usearch", "implicit", "irspack", "faiss-cpu", "scikit-optimize", "distributed")
N_THREADS = int(os.environ.get("BENCH_THREADS", "0")) or len(os.sched_getaffinity(0))


def record() -> dict[str, Any]:
    """The machine, the versions and the day, as plain values."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": N_THREADS,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | _versions(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


@contextmanager
def same_threads() -> Iterator[None]:
    """N_THREADS for everybody: ours by `bounded`, which pins BLAS to one in each, and OpenMP's by its own limit.

    What starts threads in another way is told N_THREADS.
    """
    with threadpool_limits(N_THREADS, user_api="openmp"), bounded(N_THREADS):
        yield


def speeds(n_factors: int) -> dict[str, float]:
    """GFLOP/s of the machine's own BLAS in float32, its best of a few: a large sgemm, and ssyrk at this width."""
    rng = np.random.default_rng(0)
    square = rng.random((2048, 2048), dtype=np.float32)
    tall = np.asfortranarray(rng.random((n_factors, 16384), dtype=np.float32))
    with threadpool_limits(N_THREADS, user_api="blas"):
        sgemm = 2 * 2048**3 / best(lambda: square @ square)
        ssyrk = n_factors * (n_factors + 1) * tall.shape[1] / best(lambda: blas.ssyrk(1.0, tall))
    return {"sgemm": sgemm / 1e9, "ssyrk": ssyrk / 1e9}


def best(work: Callable[[], Any], times: int = 5) -> float:
    """Least seconds of several calls, after one unmeasured."""
    work()
    return min(seconds(work) for _ in range(times))


def interleaved(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every call of each contestant, who take turns, so that a slow moment of the machine meets all.

    The order is turned about from round to round: nobody always follows the same one.
    """
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    for _ in range(rounds):
        for name in order:
            taken[name].append(seconds(contestants[name]))
        order.reverse()
    return taken


def medians(taken: Mapping[str, list[float]], skip: int = 0) -> dict[str, float]:
    """The median of each contestant's seconds, the first `skip` left out."""
    return {name: statistics.median(times[skip:]) for name, times in taken.items()}


def seconds(work: Callable[[], Any]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_bytes() -> int:
    """The most memory this process ever had resident, since it became this program."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says is never less than the parent had
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # not every benchmark needs every library
    return found
