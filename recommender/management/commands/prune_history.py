from django.core.management.base import BaseCommand

from recommender.services.impressions import prune_history


class Command(BaseCommand):
    help = "Delete impressions that were learned from and are older than IMPRESSION_DAYS, and what else is as old."

    def handle(self, **options):
        deleted = prune_history()
        self.stdout.write(f"Deleted: {', '.join(f'{count} {kind}' for kind, count in deleted.items())}.")
