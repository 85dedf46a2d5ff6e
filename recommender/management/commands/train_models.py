from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from quasimusic.exceptions import QuasimusicError
from recommender.engines import ENGINES
from recommender.models import TrainingRun
from recommender.services import training


class Command(BaseCommand):
    help = "Train the band, measure it, and let it serve if it is not worse than what serves now."

    def add_arguments(self, parser):
        parser.add_argument(
            "--engine", action="append", default=[], metavar="NAME", help=f"one of {', '.join(ENGINES)}"
        )
        parser.add_argument("--seed", type=int, default=settings.TRAIN_SEED)
        parser.add_argument("--tune", action="store_true", help="search weighted_mf's hyper-parameters first")

    def handle(self, *, engine, seed, tune, **options):
        try:
            params = training.tune(seed=seed, report=self.stdout.write) if tune else {}
            run = training.train_band(seed=seed, engines=engine, params=params, report=self.stdout.write)
        except QuasimusicError as fault:
            raise CommandError(str(fault)) from fault
        if run.state == TrainingRun.State.FAILED:
            raise CommandError(run.note)
