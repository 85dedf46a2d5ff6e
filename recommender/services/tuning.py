"""The search for hyper-parameters. Apart from training, so that neither web nor worker loads the optimiser."""

import logging
from typing import Any

from django.conf import settings

from recommender.engines.threads import bounded
from recommender.engines.weighted_mf.tuning import HyperTuner, Trial
from recommender.loading import load_tables
from recommender.services.training import Report, chance

logger = logging.getLogger(__name__)


def tune(*, tuner: HyperTuner, seed: int, report: Report = logger.info) -> dict[str, dict[str, Any]]:
    """Search weighted_mf's hyper-parameters; returns them by engine, as `train_band` takes them. Writes nothing.

    Raises TableNeeded where nobody has played or rated anything.
    """

    def tell(done: int, total: int, best: Trial) -> None:
        report(f"trial {done} of {total}: best so far {best.loss:.4f} with {best.params}")

    with bounded(settings.ENGINE_THREADS):
        best, _ = tuner.search(load_tables(), rng=chance(seed), progress=tell)
    return {"weighted_mf": best}
