"""The search for hyper-parameters. Apart from training, so that neither web nor worker loads the optimiser."""

import logging
from collections.abc import Sequence
from dataclasses import asdict

from django.conf import settings
from django.utils import timezone

from recommender.engines.threads import bounded
from recommender.engines.weighted_mf.model import WeightedMF
from recommender.engines.weighted_mf.tuning import HyperTuner, Trial, best_of
from recommender.loading import load_tables
from recommender.models import Tuning
from recommender.services.training import Report, chance

logger = logging.getLogger(__name__)


def tune(*, tuner: HyperTuner, seed: int, report: Report = logger.info) -> Tuning:
    """Search weighted_mf's hyper-parameters and store what was tried, with its pictures.

    report: called with a line a trial. Raises TableNeeded where nobody has played or rated anything, or too little
    to hold any of it out.
    """

    def tell(trials: Sequence[Trial]) -> None:
        best = best_of(trials)
        report(f"trial {len(trials)} of {tuner.n_trials}: {_shown(trials[-1])}; best {best.loss:.4f}")

    with bounded(settings.ENGINE_THREADS):
        search = tuner.search(load_tables(), rng=chance(seed), progress=tell)
    tuning = Tuning.objects.create(
        engine=WeightedMF.name,
        made_at=timezone.now(),
        seed=seed,
        best=search.best.params,
        trials=[asdict(trial) for trial in search.trials],
        convergence=search.convergence,
        dependence=search.dependence,
    )
    report(f"best of {tuning}: {_shown(search.best)}")
    return tuning


def _shown(trial: Trial) -> str:
    params = ", ".join(f"{name} {value:.4g}" for name, value in trial.params.items())
    return f"{params}: {trial.loss:.4f}"
