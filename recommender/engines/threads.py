"""How many threads the engines use, and work spread over them.

Kernels are serial and free of the interpreter's lock; what can be cut into blocks is mapped over a pool here. The
blocks never depend on the number of threads, and so neither does a result.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # the package has no types

from quasimusic.exceptions import ParameterOutOfRange

Block = TypeVar("Block")
Result = TypeVar("Result")

_bound: ContextVar[int] = ContextVar("threads", default=0)


def n_threads() -> int:
    """How many threads `mapped` uses here: those of the nearest `bounded`, else as many as there are cores."""
    return _bound.get() or _cores()


@contextmanager
def bounded(n: int = 0) -> Iterator[None]:
    """Let the engines use at most n threads, 0 for a thread a core, and BLAS one in each of them.

    The number holds for the caller's context; BLAS is pinned for the process, until the first of several that
    overlap ends. Raises ParameterOutOfRange where n is negative.
    """
    if n < 0:
        raise ParameterOutOfRange(f"the engines are given {n} threads; give 1 or more, or 0 for a thread a core")
    before = _bound.set(n)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        _bound.reset(before)


def mapped(function: Callable[[Block], Result], blocks: Iterable[Block]) -> list[Result]:
    """`function` of each block, in their order, worked out over the threads allowed here.

    What a block raises is raised here. One block, or one thread, is worked in the caller's own; what a block maps
    in turn is worked in the block's.
    """
    waiting = list(blocks)
    n = min(n_threads(), len(waiting))
    if n <= 1:
        return [function(block) for block in waiting]
    with ThreadPoolExecutor(n, initializer=_bound.set, initargs=(1,)) as pool:
        return list(pool.map(function, waiting))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
