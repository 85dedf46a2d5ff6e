from django.core.management.base import BaseCommand

from recommender.services.replaying import replay_rewards


class Command(BaseCommand):
    help = "Give the kept impressions anew the rewards of the curve in force, and the engines the difference."

    def handle(self, **options):
        self.stdout.write(f"{replay_rewards()} rewards changed.")
