from django.contrib.auth.models import AbstractUser
from django.db import models
from django_countries.fields import CountryField


class Listener(AbstractUser):
    """A person with an account. Imported listeners have no password and cannot log in until they are given one."""

    first_name = None
    last_name = None
    source_id = models.CharField(
        max_length=150,
        null=True,
        blank=True,
        unique=True,
        editable=False,
        help_text="Its user_id in the files it was imported from.",
    )
    display_name = models.CharField(max_length=60, blank=True, help_text="How the site greets you.")
    country = CountryField(blank=True, help_text="Shapes what is on top of the world near you.")

    class Meta(AbstractUser.Meta):
        db_table = "listener"
        verbose_name = "listener"
        verbose_name_plural = "listeners"

    def __str__(self):
        return self.display_name or self.username

    def get_full_name(self):
        return str(self)

    def get_short_name(self):
        return str(self)
