"""weighted_mf's kernel in a process of its own: what its first call costs, and how much memory it takes.

`python -m benchmarks.alone FILE SOLVER` is that process: it writes what it found about the matrix in FILE.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scipy import sparse

from benchmarks import machine, matrices
from benchmarks.objective import N_FACTORS, iterate, problem
from benchmarks.report import ROOT

TINY = (400, 300, 8_000)


def measured(shape: tuple[int, int, int], solver: str) -> dict[str, float]:
    """Seconds of a first iteration on a tiny matrix, compiling and with what was compiled found on disk, and of a
    second; and the peak bytes of two iterations on a matrix of this shape over those of the matrix and the factors.

    The peak is beyond that of the program with everything compiled. The matrix is what training is given: two float32
    an entry (X and W) and its column, and where each row starts.
    """
    plays = matrices.plays(*shape)
    needed = 2 * plays.data.nbytes + plays.indices.nbytes + plays.indptr.nbytes + 4 * N_FACTORS * sum(plays.shape)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "plays.npz"
        sparse.save_npz(file, plays, compressed=False)
        compiling, cached = (_run(file, solver, folder) for _ in range(2))
    return {
        "compiling": compiling["first"],
        "cached": cached["first"],
        "warm": cached["second"],
        "peak": cached["peak"],
        "needed": needed,
        "ratio": cached["peak"] / needed,
    }


def _run(file: Path, solver: str, cache: str) -> dict[str, Any]:
    """What a fresh process finds that keeps what it compiles in `cache`."""
    command = [sys.executable, "-m", "benchmarks.alone", str(file), solver]
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return json.loads(done.stdout)


def main(file: str, solver: str) -> None:
    """Write the findings of one process as JSON."""
    with machine.same_threads():
        tiny = iterate(problem(matrices.plays(*TINY)), solver)
        first, second = machine.seconds(lambda: next(tiny)), machine.seconds(lambda: next(tiny))
        before = machine.peak_bytes()
        steps = iterate(problem(sparse.load_npz(file)), solver)
        for _ in range(2):
            next(steps)
    found = {"first": first, "second": second, "peak": machine.peak_bytes() - before}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
