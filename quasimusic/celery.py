"""The Celery app and what beat starts when."""

import os

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "quasimusic.settings")

app = Celery("quasimusic")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "train": {"task": "recommender.train", "schedule": crontab(hour=settings.TRAIN_HOUR, minute=0)},
    "refresh": {"task": "recommender.refresh", "schedule": settings.REFRESH_MINUTES * 60.0},
    "learn": {
        "task": "recommender.learn",
        "schedule": float(settings.LEARN_SECONDS),
        # A backlog after a pause is one lesson, not many.
        "options": {"expires": float(settings.LEARN_SECONDS)},
    },
}


@setup_logging.connect
def _keep_django_logging(**_kwargs: object) -> None:
    """Celery would put its own handlers in place of Django's; connecting is enough to stop it."""
