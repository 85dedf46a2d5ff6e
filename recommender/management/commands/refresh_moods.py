from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from quasimusic.exceptions import QuasimusicError
from recommender.services import moods


class Command(BaseCommand):
    help = "Find the moods of the catalogue anew; those that stand keep their names."

    def add_arguments(self, parser):
        parser.add_argument("--seed", type=int, default=settings.TRAIN_SEED)

    def handle(self, *, seed, **options):
        try:
            moods.refresh_moods(seed=seed, report=self.stdout.write)
        except QuasimusicError as fault:
            raise CommandError(str(fault)) from fault
