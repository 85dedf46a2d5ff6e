"""Training the band: fit, measure on what was held out, store, pass the gate, serve."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from scipy import sparse

from quasimusic.exceptions import ClusterUnreachable, InputFault, ParameterOutOfRange, TableNeeded, UnknownEngine
from recommender.engines import ENGINES
from recommender.engines.artefacts import save
from recommender.engines.base import Engine
from recommender.engines.hybrid import Hybrid, learned_weights
from recommender.engines.metrics import evaluate
from recommender.engines.splits import split
from recommender.engines.tables import Tables
from recommender.engines.threads import bounded
from recommender.engines.weighing import Uniform
from recommender.engines.weighted_mf.model import WeightedMF
from recommender.loading import artefact_folder, load_engine, load_tables
from recommender.models import EngineFit, TrainingRun, Weights

logger = logging.getLogger(__name__)

CLUSTER = "recommender.cluster"  # by name: it loads the cluster's client
HELD_OUT = 0.2
K = 10
MOST_SEED = 2**63 - 1  # what a row can hold
ABANDONED_AFTER = timedelta(hours=6)
STORED = (TrainingRun.State.READY, TrainingRun.State.REFUSED)  # their models are there

Report = Callable[[str], None]


def train_band(
    *,
    seed: int,
    engines: Sequence[str] = (),
    params: Mapping[str, Mapping[str, Any]] | None = None,
    report: Report = logger.info,
) -> TrainingRun:
    """Train the named engines (all of them by default) into a new run, and let it serve if it passes the gate.

    Engines not named are kept from the active run. One without its table is left out by name, one that fails is told
    and left out; the others go on. params: overrides by engine; by default those the active run was tuned to.
    report: called with a line at each step. Raises UnknownEngine, ParameterOutOfRange,
    ClusterUnreachable before anything is written.
    """
    wanted = list(engines) or list(ENGINES)
    unknown = sorted(set(wanted) - set(ENGINES))
    if unknown:
        raise UnknownEngine(f"No engine {', '.join(unknown)}; the band is {', '.join(ENGINES)}.")
    chance(seed)
    if settings.DASK_SCHEDULER:
        import_string(f"{CLUSTER}.reach")()
    _close_abandoned_runs()
    active = TrainingRun.objects.filter(is_active=True).first()
    if params is None:
        params = active.tuned if active else {}
    run = TrainingRun.objects.create(started_at=timezone.now(), seed=seed, tuned=params)
    try:
        with bounded(settings.ENGINE_THREADS):
            _fit_all(run, active, wanted, report)
    except BaseException as fault:
        _finish(run, TrainingRun.State.FAILED, note=f"{type(fault).__name__}: {fault}")
        raise
    _pass_gate(run, active, report)
    _prune_runs()
    return run


def chance(seed: int) -> np.random.Generator:
    if not 0 <= seed <= MOST_SEED:
        raise ParameterOutOfRange(f"seed is {seed}; it must be a whole number from 0 to {MOST_SEED}")
    return np.random.default_rng(seed)


def activate_run(*, run: TrainingRun) -> None:
    """Let a run's models serve, in place of the active one's: publishing and rolling back are the same act."""
    with transaction.atomic():
        TrainingRun.objects.hold()
        TrainingRun.objects.filter(is_active=True).update(is_active=False)
        # Asked again in the UPDATE: its models may have been deleted since it was looked at.
        publishable = TrainingRun.objects.filter(pk=run.pk, state__in=STORED)
        if not publishable.update(is_active=True, state=TrainingRun.State.READY):
            run.refresh_from_db()
            raise InputFault(f"{run} cannot serve: it is {run.get_state_display()}.")
        Weights.objects.create(made_at=timezone.now(), strategy=settings.WEIGHTS_STRATEGY, values=run.weights)
    run.refresh_from_db()


def _fit_all(
    run: TrainingRun,
    active: TrainingRun | None,
    wanted: Sequence[str],
    report: Report,
) -> None:
    tables = load_tables()
    train, held_out = split(tables, fraction=HELD_OUT, rng=chance(run.seed))
    measured: dict[str, Engine] = {}
    for name in ENGINES:
        if name not in wanted and active is None:
            continue
        fit = EngineFit(run=run, engine=name)
        began = time.perf_counter()
        with _going_on(fit):
            if name in wanted:
                measured[name] = _fit_one(fit, tables, train, held_out, run.tuned.get(name))
            else:
                measured[name] = _keep_one(fit, active, tables, train, held_out)
        fit.seconds = time.perf_counter() - began
        fit.save()
        report(_told(fit))
    run.weights = _weights(measured, train, run)
    if measured and held_out.nnz:
        run.metrics = evaluate(Hybrid(measured, run.weights), held_out, K).to_dict()


@contextmanager
def _going_on(fit: EngineFit) -> Iterator[None]:
    """One engine's fault must not silence the band: it is noted for staff, and the others go on."""
    try:
        yield
    except ClusterUnreachable:
        raise  # no fault of the engine's: the models before go on serving, this engine among them
    except TableNeeded as fault:
        fit.state, fit.note = EngineFit.State.LEFT_OUT, str(fault)
    except Exception as fault:
        logger.exception("%s could not be trained", fit.engine)
        fit.state, fit.note = EngineFit.State.FAILED, f"{type(fault).__name__}: {fault}"


def _engine(name: str) -> type[Engine]:
    """The engine of this name; weighted_mf learns on the cluster where there is one."""
    if name == WeightedMF.name and settings.DASK_SCHEDULER:
        engine: type[Engine] = import_string(f"{CLUSTER}.ClusterWeightedMF")
        return engine
    return ENGINES[name]


def _fit_one(
    fit: EngineFit, tables: Tables, train: Tables, held_out: sparse.csr_array, params: Mapping[str, Any] | None
) -> Engine:
    """Fit on the training part for the metrics and on everything for service; the former is returned."""
    measured = _measure(fit, train, held_out, params, fit.run.seed)
    serving = _engine(fit.engine).fit(tables, params, rng=chance(fit.run.seed))
    save(artefact_folder(fit.run, fit.engine), serving)
    fit.state, fit.params = EngineFit.State.FITTED, dict(serving.params)
    return measured


def _measure(
    fit: EngineFit, train: Tables, held_out: sparse.csr_array, params: Mapping[str, Any] | None, seed: int
) -> Engine:
    """The engine fitted on the training part; its metrics are noted where anything is held out to be found."""
    measured = _engine(fit.engine).fit(train, params, rng=chance(seed))
    if held_out.nnz:
        fit.metrics = evaluate(measured, held_out, K).to_dict()
    return measured


def _keep_one(fit: EngineFit, active: TrainingRun, tables: Tables, train: Tables, held_out: sparse.csr_array) -> Engine:
    """Carry an engine's arrays over from the active run; its metrics are taken anew, on this run's split."""
    before = active.fits.filter(engine=fit.engine, state__in=EngineFit.SERVING).first()
    if before is None:
        raise TableNeeded(f"{active} has none to keep")
    save(artefact_folder(fit.run, fit.engine), load_engine(active, fit.engine, tables))
    measured = _measure(fit, train, held_out, before.params, active.seed)
    fit.state, fit.params = EngineFit.State.KEPT, before.params
    return measured


def _weights(engines: Mapping[str, Engine], train: Tables, run: TrainingRun) -> dict[str, float]:
    """Weights of the engines that could be trained: equal ones, or as learned on the training part alone, so that what
    is held out judges a blend that has not seen it."""
    alike = dict.fromkeys(engines, 1.0 / max(len(engines), 1))
    if Uniform.name == settings.WEIGHTS_STRATEGY or not engines:
        return alike
    params = {name: engine.params for name, engine in engines.items()}
    learned = learned_weights(train, rng=chance(run.seed), params=params, names=list(engines))
    return alike if learned is None else learned


def _told(fit: EngineFit) -> str:
    if fit.metrics and not fit.note:
        ndcg, recall = fit.metrics["ndcg"]["mean"], fit.metrics["recall"]["mean"]
        figures = f"ndcg@{K} {ndcg:.3f}, recall@{K} {recall:.3f}"
        return f"{fit.engine}: {fit.get_state_display()} in {fit.seconds:.1f} s, {figures}"
    return f"{fit.engine}: {fit.get_state_display()} ({fit.note})"


def _pass_gate(run: TrainingRun, active: TrainingRun | None, report: Report) -> None:
    """Serve the run unless it is clearly worse than the active one."""
    if not run.weights:
        _finish(run, TrainingRun.State.FAILED, note="No engine could be trained; see the engines of the run.")
    elif active is not None and _is_worse(run.metrics, active.metrics):
        shown = (f"{metrics['ndcg']['mean']:.4f}" for metrics in (run.metrics, active.metrics))
        note = f"ndcg@{K} {' against '.join(shown)} of {active}, which goes on serving."
        _finish(run, TrainingRun.State.REFUSED, note=note)
    else:
        _finish(run, TrainingRun.State.READY)
        activate_run(run=run)
    report(f"{run}: {run.get_state_display()}{', active' if run.is_active else ''}. {run.note}".strip())


def _is_worse(metrics: dict[str, Any], active: dict[str, Any]) -> bool:
    """Whether even the upper end of the 95% interval of ndcg falls short of the active run's by the tolerance."""
    if not metrics or not active:
        return False
    return metrics["ndcg"]["high"] < active["ndcg"]["mean"] * (1 - settings.GATE_TOLERANCE)


def _finish(run: TrainingRun, state: TrainingRun.State, note: str = "") -> None:
    run.state, run.note, run.finished_at = state, note, timezone.now()
    run.save()


def _close_abandoned_runs() -> None:
    """A run whose process was killed never said so itself."""
    abandoned = TrainingRun.objects.filter(
        state=TrainingRun.State.RUNNING, started_at__lt=timezone.now() - ABANDONED_AFTER
    )
    note = "The process ended before the training did."
    abandoned.update(state=TrainingRun.State.FAILED, finished_at=timezone.now(), note=note)


def _prune_runs() -> None:
    """Delete the models of all but the newest runs; the active run and the rows stay."""
    newest = TrainingRun.objects.filter(state__in=STORED).values_list("pk", flat=True)[: settings.RUNS_KEPT]
    for run in TrainingRun.objects.filter(state__in=STORED, is_active=False).exclude(pk__in=list(newest)):
        # Asked again in the UPDATE: staff may have published it meanwhile.
        if TrainingRun.objects.filter(pk=run.pk, is_active=False).update(state=TrainingRun.State.PRUNED):
            shutil.rmtree(artefact_folder(run), ignore_errors=True)
    for run in TrainingRun.objects.filter(state=TrainingRun.State.FAILED):
        shutil.rmtree(artefact_folder(run), ignore_errors=True)
