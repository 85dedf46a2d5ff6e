"""What a visitor sees of a fault: a readable page, or problem+json under /api/, never a trace."""

import logging
import sys

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from kombu.exceptions import OperationalError as QueueError
from redis.exceptions import RedisError

from quasimusic.exceptions import QuasimusicError

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
OUTAGES = (OperationalError, QueueError, RedisError)  # a server behind the site does not answer


class FaultMiddleware:
    """Answers a `QuasimusicError` with its own status, title and words."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, QuasimusicError):
            return None
        if exception.status >= 500:
            logger.error("%s: %s", type(exception).__name__, exception)
        return tell(request, exception.status, exception.title, str(exception))


def problem_body(status: int, title: str, detail: str, **extra: object) -> dict[str, object]:
    """A fault as RFC 9457 has it."""
    return {"type": "about:blank", "status": status, "title": title, "detail": detail, **extra}


def tell(request: HttpRequest, status: int, title: str, words: str) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse(problem_body(status, title, words), status=status, content_type=PROBLEM_JSON)
    # A page about our own fault asks nothing of the servers that may be the cause: not even who is looking.
    asker = request if status < 500 else None
    page = render_to_string("fault.html", {"status": status, "title": title, "words": words}, asker)
    return HttpResponse(page, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    words = "The request could not be understood. Go back, reload the page and try again."
    return tell(request, 400, "That does not work", words)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    words = "Your account has no leave to do this. If it should, ask an administrator to add you to the right group."
    return tell(request, 403, "Not yours to open", words)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    words = "The page was open too long, or cookies are off. Reload it and try again."
    return tell(request, 403, "The form went stale", words)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    words = "There is nothing at this address. Search for the song, or go home."
    return tell(request, 404, "Nothing here", words)


def server_error(request: HttpRequest) -> HttpResponse:
    if isinstance(sys.exception(), OUTAGES):
        return tell(request, 503, "Out for a moment", "A part of the site does not answer. Try again in a minute.")
    words = "The fault is ours and has been written down. Try again in a moment."
    return tell(request, 500, "Something went wrong", words)
