"""What every template may ask about listening."""

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject


def verdicts(request: HttpRequest) -> dict:
    """`said`: the listener's verdicts in force by thing, read in one query by the pages that ask for them."""
    if not request.user.is_authenticated:
        return {"said": {}}
    return {"said": SimpleLazyObject(request.user.verdicts.by_thing)}
