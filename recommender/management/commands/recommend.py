import json

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Listener
from quasimusic.exceptions import QuasimusicError
from recommender.engines import ENGINES
from recommender.services import lists


class Command(BaseCommand):
    help = "What a listener is recommended right now, and why."

    def add_arguments(self, parser):
        parser.add_argument("username")
        parser.add_argument("-n", type=int, default=10)
        parser.add_argument("--engine", choices=(*ENGINES, lists.HYBRID), default=lists.HYBRID)
        parser.add_argument("--json", action="store_true")

    def handle(self, *, username, n, engine, json: bool, **options):
        listener = Listener.objects.filter(username=username).first()
        if listener is None:
            raise CommandError(f"No listener {username!r}. `manage.py shell` or the admin lists those there are.")
        try:
            items = lists.recommend(listener=listener, n=n, engine=engine)
        except QuasimusicError as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(_as_json(items) if json else _as_lines(items))


def _as_json(items: list) -> str:
    rows = [
        {"song_id": song.pk, "title": song.title, "artist": str(song.artist or ""), "score": score, "reason": reason}
        for song, score, reason in items
    ]
    return json.dumps(rows, indent=2)


def _as_lines(items: list) -> str:
    return "\n".join(
        f"{rank:3} {score:7.3f}  {song} - {song.artist or 'unknown artist'}  {reason}"
        for rank, (song, score, reason) in enumerate(items, start=1)
    )
