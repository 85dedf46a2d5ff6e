"""The Celery app and what beat starts when."""

import os

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quasimusic.settings")

DAY = 24 * 3600.0

app = Celery("quasimusic")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def _every(seconds: float, task: str) -> dict:
    """A beat. What no worker has begun by the next one expires, so that a backlog after a pause is done once."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


def _nightly(task: str, minute: int) -> dict:
    return {
        "task": task,
        "schedule": crontab(hour=settings.TRAIN_HOUR, minute=minute),
        "options": {"expires": DAY},
    }


app.conf.beat_schedule = {
    "train": _nightly("recommender.train", minute=0),
    "refresh_moods": _nightly("recommender.refresh_moods", minute=30),
    "prune": _nightly("recommender.prune", minute=45),
    "refresh": _every(settings.REFRESH_MINUTES * 60.0, "recommender.refresh"),
    "learn": _every(float(settings.LEARN_SECONDS), "recommender.learn"),
}


@setup_logging.connect
def _keep_django_logging(**_kwargs: object) -> None:
    """Celery would put its own handlers in place of Django's; connecting is enough to stop it."""
