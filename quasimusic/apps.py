from django.apps import AppConfig

# Imported here rather than in the package, so that `import quasimusic.exceptions` needs neither Celery nor Django.
from quasimusic.celery import app as celery_app

__all__ = ["ProjectConfig", "celery_app"]


class ProjectConfig(AppConfig):
    name = "quasimusic"
