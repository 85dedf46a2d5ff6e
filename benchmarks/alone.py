"""weighted_mf's kernel in a process of its own: what its first call costs, and its memory.

`python -m benchmarks.alone FILE SOLVER` runs two iterations on the matrix in FILE and writes what they took.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scipy import sparse

from benchmarks import machine, matrices
from benchmarks.objective import N_FACTORS, iterate, problem
from benchmarks.report import ROOT

TINY = (400, 300, 8_000)


def first_call(solver: str) -> dict[str, float]:
    """Seconds of the first iteration on a tiny matrix: compiling, with what was compiled found on disk, and warm."""
    with tempfile.TemporaryDirectory() as cache:
        compiling, cached = (run(matrices.plays(*TINY), solver, NUMBA_CACHE_DIR=cache) for _ in range(2))
    return {"compiling": compiling["first"], "cached": cached["first"], "warm": cached["second"]}


def memory(shape: tuple[int, int, int], solver: str) -> dict[str, float]:
    """Peak bytes of two iterations beyond those of the imported program, over the bytes of the matrix and the factors.

    The matrix is what training is given: two float32 values an entry (X and W), an index an entry, a start a row.
    """
    matrix = matrices.plays(*shape)
    needed = 2 * matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes + 4 * N_FACTORS * sum(matrix.shape)
    peak = run(matrix, solver)["peak"]
    return {"peak": peak, "needed": needed, "ratio": peak / needed}


def run(matrix: sparse.csr_array, solver: str, **environment: str) -> dict[str, Any]:
    """What `main` says of this matrix in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "matrix.npz"
        sparse.save_npz(file, matrix, compressed=False)
        command = [sys.executable, "-m", "benchmarks.alone", str(file), solver]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True, capture_output=True)
    return json.loads(done.stdout)


def main(file: str, solver: str) -> None:
    before = machine.peak_bytes()
    asked = problem(sparse.load_npz(file))
    with machine.same_threads():
        steps = iterate(asked, solver)
        first, second = machine.seconds(lambda: next(steps)), machine.seconds(lambda: next(steps))
    figures = {"first": first, "second": second, "peak": machine.peak_bytes() - before}
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
