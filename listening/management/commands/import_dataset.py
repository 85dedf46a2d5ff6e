import sys
import warnings
from functools import partial
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from listening.importing import FILES, import_dataset
from quasimusic.exceptions import QuasimusicError, QuasimusicWarning


class Command(BaseCommand):
    help = f"Import a data set: a folder with {', '.join(FILES)}, or some of them. Twice changes nothing."

    def add_arguments(self, parser):
        parser.add_argument("folder", type=Path)

    def handle(self, *args, folder: Path, **options):
        bar = partial(tqdm, file=sys.stderr, unit_scale=True, disable=options["verbosity"] == 0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", QuasimusicWarning)
            try:
                outcomes = import_dataset(folder=folder, bar=bar)
            except QuasimusicError as fault:
                raise CommandError(str(fault)) from fault
            finally:
                self._tell(caught)
        for outcome in outcomes:
            self.stdout.write(str(outcome))

    def _tell(self, caught):
        for warning in caught:
            self.stderr.write(self.style.WARNING(f"{type(warning.message).__name__}: {warning.message}"))
