import secrets

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count

from accounts.models import Listener
from accounts.services import make_staff
from catalog.models import Mood, Song
from quasimusic.faults import OUTAGES
from recommender import cache
from recommender.loading import models_stand


class Command(BaseCommand):
    help = "Bring a checkout to where it can serve: database, static files, music, logins, models, lists."

    def add_arguments(self, parser):
        parser.add_argument("--dataset", metavar="DIR", help="import this folder instead of making the demo world")

    def handle(self, *, dataset, **options):
        try:
            self._prepare(dataset)
        except OUTAGES as fault:
            raise CommandError(f"A server does not answer; look at DATABASE_URL and REDIS_URL. {fault}") from fault

    def _prepare(self, dataset):
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        self._fill(dataset)
        self._lend_logins()
        try:
            self._train()
        except CommandError as fault:
            self.stderr.write(f"{fault} The site serves without the band until the nightly training.")
        try:
            self._find_moods()
        except CommandError as fault:
            self.stderr.write(f"{fault} The site serves without moods until there are any.")

    def _train(self):
        trained = models_stand()
        if not trained:
            self.stdout.write("Training the band ...")
            call_command("train_models")
        # Lists that are there before the first training are of another database, which the cache served last.
        if not trained or cache.serving_generation() is None:
            call_command("refresh_recommendations")

    def _find_moods(self):
        if not Mood.objects.exists():
            call_command("refresh_moods")

    def _fill(self, dataset):
        n_songs = Song.objects.count()
        if n_songs and dataset:
            self.stdout.write(f"There are {n_songs} songs already; to add more: manage.py import_dataset {dataset}")
        elif dataset:
            call_command("import_dataset", dataset)
        elif not n_songs:
            call_command("make_world")

    def _lend_logins(self):
        """A staff member, and of those who have no password the listener who has heard most; both shown this once."""
        if Listener.objects.filter(is_staff=True).exists():
            return
        staff_password = secrets.token_urlsafe(9)
        taken = Listener.objects.filter(username="staff").exists()
        staff = make_staff(username=f"staff-{secrets.token_hex(3)}" if taken else "staff", password=staff_password)
        self.stdout.write("\nDemo logins, shown this once:")
        self.stdout.write(f"  staff     {staff.username}  {staff_password}  (also /admin/)")
        imported = Listener.objects.filter(password__startswith=UNUSABLE_PASSWORD_PREFIX)
        listener = imported.annotate(heard=Count("history")).order_by("-heard", "pk").first()
        if listener is not None:
            password = secrets.token_urlsafe(9)
            listener.set_password(password)
            listener.save(update_fields=["password"])
            self.stdout.write(f"  listener  {listener.username}  {password}")
        self.stdout.write("")
