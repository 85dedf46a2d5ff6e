from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.models import Group

from accounts.grants import LISTENERS


class AccountAdapter(DefaultAccountAdapter):
    """Puts whoever signs up among the Listeners."""

    def save_user(self, request, user, form, commit=True):
        user = super().save_user(request, user, form, commit)
        if commit:
            user.groups.add(Group.objects.get(name=LISTENERS))
        return user
