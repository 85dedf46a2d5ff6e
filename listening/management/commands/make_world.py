from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from listening.world.plan import DAYS, N_LISTENERS, N_SONGS, SEED, plan_world
from listening.world.writing import write_world
from quasimusic.exceptions import QuasimusicError


class Command(BaseCommand):
    help = "Fill an empty catalogue with a demo world: artists, songs, listeners, plays and ratings from a seed."

    def add_arguments(self, parser):
        parser.add_argument("--seed", type=int, default=SEED, help="The same seed and sizes give the same world.")
        parser.add_argument("--songs", type=int, default=N_SONGS)
        parser.add_argument("--listeners", type=int, default=N_LISTENERS)
        parser.add_argument("--days", type=int, default=DAYS, help="Days of listening, ending now.")

    def handle(self, *args, seed, songs, listeners, days, **options):
        try:
            world = plan_world(seed, songs, listeners, days)
            written = write_world(world=world, until=timezone.now())
        except QuasimusicError as fault:
            raise CommandError(str(fault)) from fault
        if not written:
            self.stdout.write(f"{world.name} is here already; nothing was changed.")
            return
        self.stdout.write(
            f"{world.name}: {len(world.catalogue)} songs, {len(world.people)} listeners, {len(world.plays)} plays, "
            f"{len(world.ratings)} ratings."
        )
