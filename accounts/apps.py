from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self):
        from accounts.grants import write_grants  # noqa: PLC0415 - it needs the auth models, which load after this module

        post_migrate.connect(write_grants)
