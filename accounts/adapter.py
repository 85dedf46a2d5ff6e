import logging

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from django.urls import reverse
from django.utils.encoding import punycode

from accounts.grants import LISTENERS

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):
    """Puts whoever signs up among the Listeners."""

    def clean_email(self, email):
        try:
            punycode(email.rpartition("@")[2])
        except UnicodeError:
            # Django takes signs that no domain may have, and fails on them when it writes the first message.
            raise ValidationError(EmailValidator.message, code="invalid") from None
        return super().clean_email(email)

    def send_mail(self, template_prefix, email, context):
        try:
            super().send_mail(template_prefix, email, context)
        except OSError:
            if not template_prefix.startswith("account/email/email_confirmation"):
                raise
            # The account is made by now, and the message can be asked for again.
            logger.exception("a message to confirm an address was not sent")

    def get_password_change_redirect_url(self, request):
        return reverse("profile")

    def save_user(self, request, user, form, commit=True):
        user = super().save_user(request, user, form, commit)
        if commit:
            user.groups.add(Group.objects.get(name=LISTENERS))
        return user
