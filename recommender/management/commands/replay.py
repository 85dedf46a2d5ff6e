from django.core.management.base import BaseCommand, CommandError

from quasimusic.exceptions import QuasimusicError
from recommender.engines.weighing import STRATEGIES
from recommender.services.replaying import replay_strategy


class Command(BaseCommand):
    help = "Say what a strategy would have earned on the mixed lists that were shown, before it goes live."

    def add_arguments(self, parser):
        parser.add_argument("--strategy", choices=list(STRATEGIES), required=True)

    def handle(self, *, strategy, **options):
        try:
            found = replay_strategy(name=strategy)
        except QuasimusicError as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(
            f"{strategy}: mean reward {found.mean:.4f}, standard error {found.error:.4f}, "
            f"as good as {found.n_effective:.0f} impressions."
        )
