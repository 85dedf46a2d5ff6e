"""weighted_mf on a cluster of two processes: the same result, whatever becomes of a worker."""

import logging
import os
import signal
import threading
import time
from itertools import islice

import numpy as np
import pytest
from distributed import LocalCluster
from scipy import sparse

from quasimusic.exceptions import ClusterUnreachable
from recommender import cluster
from recommender.engines.weighted_mf import wals
from recommender.loading import load_engine, load_tables
from recommender.models import TrainingRun
from recommender.services import training


def processes(n):
    """A cluster of n processes on this machine, as quiet as it can be."""
    return LocalCluster(
        n_workers=n, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0", silence_logs=logging.CRITICAL
    )


@pytest.fixture(scope="module")
def two_workers():
    with processes(2) as workers:
        yield workers


@pytest.fixture
def address(two_workers, settings):
    two_workers.wait_for_workers(2)
    settings.DASK_SCHEDULER = two_workers.scheduler_address
    return settings.DASK_SCHEDULER


@pytest.fixture(scope="module")
def problem():
    """Large enough that a half-step takes a while: 60,000 entries."""
    rng = np.random.default_rng(0)
    shape = (3000, 800)
    cells = np.sort(rng.choice(shape[0] * shape[1], 60_000, replace=False))
    plays = sparse.csr_array((np.ones(len(cells), dtype=np.float32), np.divmod(cells, shape[1])), shape=shape)
    weights = plays.copy()
    weights.data = rng.uniform(0.5, 4.0, plays.nnz).astype(np.float32)
    return wals.Problem(plays, weights, w0=0.1, regularisation=0.5, mean=0.02)


def iterations(problem, half_step, solver="exact"):
    """Both sides after each of three iterations."""
    return list(islice(wals.iterate(problem, 32, np.random.default_rng(1), solver, half_step), 3))


def alike(found, expected):
    for (_, side), (_, other) in zip(found, expected, strict=True):
        np.testing.assert_allclose(side.factors, other.factors, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(side.biases, other.biases, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("solver", wals.SOLVERS)
def test_half_steps_give_what_one_machine_gives(address, problem, solver):
    with cluster.connected(address) as workers:
        found = iterations(problem, workers.half_step, solver)
    alike(found, iterations(problem, wals.half_step, solver))


def test_entries_are_sent_once_and_let_go_of_with_their_problem(address, problem):
    some = problem.rows(slice(0, 500))
    songs = wals.Side.random(some.values.shape[1], 8, np.random.default_rng(0))
    start = wals.Side.random(500, 8, np.random.default_rng(1))
    with cluster.connected(address) as workers:
        workers.half_step(some, songs, start, "exact")
        sent = [block.entries.key for block in workers.blocks[some]]
        workers.half_step(some, songs, start, "exact")
        assert [block.entries.key for block in workers.blocks[some]] == sent
        del some
        assert not workers.blocks


def test_a_worker_killed_at_work_neither_stops_nor_changes_anything(address, problem, caplog):
    with cluster.connected(address) as workers:
        victim = next(iter(workers.client.run(os.getpid).values()))

        def kill_at_work():
            while not any(workers.client.processing().values()):
                time.sleep(0.001)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill_at_work)
        killer.start()
        found = iterations(problem, workers.half_step)
        killer.join()
        assert victim not in workers.client.run(os.getpid).values()
    assert "were lost with their workers" in caplog.text
    alike(found, iterations(problem, wals.half_step))


def test_a_run_trained_on_the_cluster_is_the_run_trained_here(address, two_camps, settings):
    on_cluster = training.train_band(seed=1, engines=["weighted_mf"])
    settings.DASK_SCHEDULER = ""
    here = training.train_band(seed=1, engines=["weighted_mf"])
    songs, others = (load_engine(run, "weighted_mf", load_tables()).state["song_factors"] for run in (on_cluster, here))
    np.testing.assert_allclose(songs, others, atol=1e-5)


def test_without_a_scheduler_nothing_is_begun_and_the_old_models_serve(two_camps, settings, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    before = training.train_band(seed=1, engines=["relevance"])
    settings.DASK_SCHEDULER = "tcp://127.0.0.1:9"  # nobody listens there
    with pytest.raises(ClusterUnreachable, match=r"tcp://127\.0\.0\.1:9 .*dask scheduler"):
        training.train_band(seed=2, engines=["weighted_mf"])
    assert list(TrainingRun.objects.all()) == [before]


def test_a_cluster_lost_on_the_way_ends_the_run_and_the_old_models_serve(two_camps, settings, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    before = training.train_band(seed=1, engines=["relevance"])
    with processes(1) as going:
        settings.DASK_SCHEDULER = going.scheduler_address
        with pytest.raises(ClusterUnreachable):
            training.train_band(seed=2, engines=["relevance", "weighted_mf"], report=lambda line: going.close())
    assert TrainingRun.objects.get(is_active=True) == before
    assert TrainingRun.objects.latest("pk").state == TrainingRun.State.FAILED


def test_an_address_that_is_none_is_named(settings):
    with pytest.raises(ClusterUnreachable, match="nonsense"), cluster.connected("nonsense"):
        pass


def test_a_scheduler_without_workers_is_told(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with (
        processes(0) as nobody,
        pytest.raises(ClusterUnreachable, match="no workers"),
        cluster.connected(nobody.scheduler_address),
    ):
        pass


def test_workers_that_go_and_do_not_come_back_are_told(problem, monkeypatch):
    monkeypatch.setattr(cluster, "RESTART", 1)
    with processes(1) as workers, cluster.connected(workers.scheduler_address) as going:
        workers.scale(0)
        with pytest.raises(ClusterUnreachable, match="lost while training"):
            iterations(problem, going.half_step)


def test_a_scheduler_that_goes_is_told(problem, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with processes(1) as workers, cluster.connected(workers.scheduler_address) as going:
        workers.close()
        with pytest.raises(ClusterUnreachable, match="lost while training"):
            iterations(problem, going.half_step)
