import sys

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from quasimusic.exceptions import QuasimusicError
from recommender.services import lists


class Command(BaseCommand):
    help = "Make everybody's lists anew from the active models."

    def handle(self, **options):
        with tqdm(unit=" listeners", file=sys.stderr, disable=None) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            try:
                n_listeners = lists.refresh_everybody(progress=show)
            except QuasimusicError as fault:
                raise CommandError(str(fault)) from fault
        self.stdout.write(f"Lists made for {n_listeners} listeners.")
