"""weighted_mf trained on a cluster: a half-step is a map over blocks of rows, the other side sent to every worker.

The blocks of rows go to the workers once and stay there; each half-step sends the side that stands still and brings
back the rows solved. Kernel and blocks are those of a single machine, so the result is too. What a worker held when
it died is sent again from here, where the whole problem stands.

Imported by its dotted name, and only where DASK_SCHEDULER is set: nothing else loads the cluster's client.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from distributed import Client, Future, KilledWorker
from django.conf import settings

from quasimusic.exceptions import ClusterUnreachable
from recommender.engines.base import Params, State
from recommender.engines.tables import Tables
from recommender.engines.threads import bounded
from recommender.engines.weighted_mf import wals
from recommender.engines.weighted_mf.model import WeightedMF

logger = logging.getLogger(__name__)

PATIENCE = 5  # seconds for the scheduler to answer, and for the cluster to show a worker
RESTART = 30  # seconds a cluster may be without workers while at work: killed ones are started again
BLOCKS_A_THREAD = 4  # so that a slow worker is waited for a quarter of a share at most
ATTEMPTS = 5  # at one half-step; before each, what was lost is sent again

UNSENT = (OSError, ValueError)  # there was no worker to send to; of a broadcast to none the library says ValueError
LOST = (CancelledError, KilledWorker)  # what was held, or worked on, went with its worker
START = "start one with `dask scheduler` and workers with `dask worker ADDRESS`, or empty DASK_SCHEDULER"

_cluster: ContextVar["Cluster"] = ContextVar("cluster")  # the one that an engine is learning on


@dataclass(eq=False)
class Block:
    """Some rows of a problem, and their entries on a worker once they were sent."""

    rows: slice
    entries: Future | None = None


@dataclass(eq=False)
class Cluster:
    """Workers of so many threads, and the blocks they hold of each problem; one let go of here is let go of there."""

    client: Client
    n_threads: int
    blocks: WeakKeyDictionary[wals.Problem, list[Block]] = field(default_factory=WeakKeyDictionary)

    def half_step(self, problem: wals.Problem, columns: wals.Side, start: wals.Side, solver: str) -> wals.Side:
        """What `wals.half_step` gives. Raises ClusterUnreachable."""
        if problem not in self.blocks:
            self.blocks[problem] = self._cut(problem)
        solved = wals.Side(np.empty_like(start.factors), np.empty_like(start.biases))
        standing = wals.Standing.of(problem, columns)
        missing = self.blocks[problem]
        for _ in range(ATTEMPTS):
            asked = self._ask(problem, missing, standing, start, solver)
            missing = [block for block in missing if not self._laid(block, asked.get(block), solved)]
            if not missing:
                return solved
            logger.warning("%d blocks of rows were lost with their workers and are sent again", len(missing))
            self._wait()
        raise ClusterUnreachable(
            f"The cluster lost its work {ATTEMPTS} times on end; its workers' logs say why (memory, most often)."
        )

    def _cut(self, problem: wals.Problem) -> list[Block]:
        """The kernel's blocks, joined to a few for each thread of the workers: each is a message there and back."""
        cut = wals.cut(problem)
        n = min(len(cut), BLOCKS_A_THREAD * self.n_threads)
        marks = np.linspace(0, len(cut), n + 1).astype(int)
        return [Block(slice(cut[first].start, cut[last - 1].stop)) for first, last in pairwise(marks)]

    def _ask(
        self, problem: wals.Problem, blocks: list[Block], standing: wals.Standing, start: wals.Side, solver: str
    ) -> dict[Block, Future]:
        """Answers to come by block; without those that could not be asked for, as a worker died at that moment."""
        asked: dict[Block, Future] = {}
        with suppress(*UNSENT):
            everywhere = self._sent(standing, broadcast=True)
            for block in blocks:
                if block.entries is None:
                    block.entries = self._sent(problem.rows(block.rows))
                begun = None
                if solver == "cg":  # the other has no use for it
                    begun = self._sent(wals.Side(start.factors[block.rows], start.biases[block.rows]))
                # Not pure: asked for again, it is to be worked out again.
                asked[block] = self.client.submit(solve, block.entries, everywhere, begun, solver, pure=False)
        return asked

    def _sent(self, data: Any, broadcast: bool = False) -> Future:
        return self.client.scatter(data, broadcast=broadcast, hash=False, timeout=RESTART)

    def _laid(self, block: Block, answer: Future | None, solved: wals.Side) -> bool:
        """Whether the rows of this block came back; they are laid into `solved`."""
        if answer is None:
            return False
        try:
            side = answer.result()
        except LOST:
            block.entries = None
            return False
        solved.factors[block.rows], solved.biases[block.rows] = side.factors, side.biases
        return True

    def _wait(self) -> None:
        """Until there is a worker again."""
        try:
            self.client.wait_for_workers(1, timeout=RESTART)
        except (OSError, RuntimeError) as fault:
            raise ClusterUnreachable(f"The cluster was lost while training: {START}.") from fault


def solve(entries: wals.Problem, standing: wals.Standing, start: wals.Side | None, solver: str) -> wals.Side:
    """What a worker does: the rows of a block, on the thread that the block was given."""
    with bounded(1):
        return wals.solve_rows(entries, standing, start, solver)


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """The cluster of this scheduler. Raises ClusterUnreachable where it does not answer or has no workers."""
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as fault:
        raise ClusterUnreachable(f"No scheduler answers at {address} (DASK_SCHEDULER): {START}.") from fault
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as fault:
            raise ClusterUnreachable(f"The scheduler at {address} has no workers: {START}.") from fault
        yield Cluster(client, sum(client.nthreads().values()))


class ClusterWeightedMF(WeightedMF):
    """weighted_mf learned on the cluster of DASK_SCHEDULER; whatever else it does, it does here."""

    @classmethod
    def learn(cls, tables: Tables, params: Params, rng: np.random.Generator) -> State:
        """As WeightedMF learns. Raises ClusterUnreachable besides."""
        with connected(settings.DASK_SCHEDULER) as cluster:
            token = _cluster.set(cluster)
            try:
                return super().learn(tables, params, rng)
            finally:
                _cluster.reset(token)

    @staticmethod
    def half_step(problem: wals.Problem, columns: wals.Side, start: wals.Side, solver: str) -> wals.Side:
        return _cluster.get().half_step(problem, columns, start, solver)


def reach() -> None:
    """Raise ClusterUnreachable where the cluster of DASK_SCHEDULER cannot be trained on."""
    with connected(settings.DASK_SCHEDULER):
        pass
