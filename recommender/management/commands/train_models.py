from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from quasimusic.exceptions import QuasimusicError
from recommender.engines import ENGINES
from recommender.engines.weighted_mf.tuning import HyperTuner
from recommender.models import TrainingRun
from recommender.services import training, tuning

RANGES = (("regularisation", float, "lambda"), ("n_factors", int, "K"), ("n_iterations", int, "iteration counts"))


class Command(BaseCommand):
    help = "Train the band, measure it, and let it serve if it is not worse than what serves now."

    def add_arguments(self, parser):
        parser.add_argument(
            "--engine", action="append", default=[], metavar="NAME", help=f"one of {', '.join(ENGINES)}"
        )
        parser.add_argument("--seed", type=int, default=settings.TRAIN_SEED)
        parser.add_argument("--tune", action="store_true", help="search weighted_mf's hyper-parameters first")
        parser.add_argument("--trials", type=int, default=HyperTuner.n_trials, help="points the search tries")
        parser.add_argument("--folds", type=int, default=HyperTuner.n_folds, help="folds each of them is judged on")
        for name, kind, what in RANGES:
            usual = getattr(HyperTuner, name)
            parser.add_argument(
                f"--{name.replace('_', '-')}", nargs=2, type=kind, default=usual, metavar=("LEAST", "MOST"),
                help=f"range of {what} the search looks in (default: {usual[0]} {usual[1]})",
            )  # fmt: skip

    def handle(self, *, engine, seed, tune, **options):
        try:
            params = self._tuned(options, seed) if tune else None
            run = training.train_band(seed=seed, engines=engine, params=params, report=self.stdout.write)
        except QuasimusicError as fault:
            raise CommandError(str(fault)) from fault
        if run.state == TrainingRun.State.FAILED:
            raise CommandError(run.note)

    def _tuned(self, options, seed):
        found = tuning.tune(tuner=_tuner(**options), seed=seed, report=self.stdout.write)
        return {found.engine: found.best}


def _tuner(*, trials, folds, **options):
    ranges = {name: tuple(options[name]) for name, _, _ in RANGES}
    return HyperTuner(n_trials=trials, n_random=min(HyperTuner.n_random, trials), n_folds=folds, **ranges)
