from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from quasimusic.exceptions import QuasimusicError
from recommender.engines import ENGINES
from recommender.engines.weighted_mf.tuning import HyperTuner
from recommender.models import TrainingRun
from recommender.services import training, tuning


class Command(BaseCommand):
    help = "Train the band, measure it, and let it serve if it is not worse than what serves now."

    def add_arguments(self, parser):
        parser.add_argument(
            "--engine", action="append", default=[], metavar="NAME", help=f"one of {', '.join(ENGINES)}"
        )
        parser.add_argument("--seed", type=int, default=settings.TRAIN_SEED)
        parser.add_argument("--tune", action="store_true", help="search weighted_mf's hyper-parameters first")
        parser.add_argument("--trials", type=int, default=HyperTuner.n_trials, help="points the search tries")

    def handle(self, *, engine, seed, tune, trials, **options):
        try:
            params = self._tuned(trials, seed) if tune else None
            run = training.train_band(seed=seed, engines=engine, params=params, report=self.stdout.write)
        except QuasimusicError as fault:
            raise CommandError(str(fault)) from fault
        if run.state == TrainingRun.State.FAILED:
            raise CommandError(run.note)

    def _tuned(self, trials, seed):
        found = tuning.tune(tuner=_tuner(trials), seed=seed, report=self.stdout.write)
        return {found.engine: found.best}


def _tuner(n_trials: int) -> HyperTuner:
    return HyperTuner(n_trials=n_trials, n_random=min(HyperTuner.n_random, n_trials))
