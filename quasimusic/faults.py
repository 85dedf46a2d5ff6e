"""What a visitor sees when something is raised on purpose: a readable page, never a trace."""

import logging

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from quasimusic.exceptions import QuasimusicError

logger = logging.getLogger(__name__)


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
        context = {"status": exception.status, "title": exception.title, "words": str(exception)}
        return render(request, "fault.html", context, status=exception.status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    words = "The request could not be understood. Go back, reload the page and try again."
    return render(request, "fault.html", {"status": 400, "title": "That does not work", "words": words}, status=400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    words = "Your account has no leave to do this. If it should, ask an administrator to add you to the right group."
    return render(request, "fault.html", {"status": 403, "title": "Not yours to open", "words": words}, status=403)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    words = "The page was open too long, or cookies are off. Reload it and try again."
    return render(request, "fault.html", {"status": 403, "title": "The form went stale", "words": words}, status=403)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    words = "There is nothing at this address. Search for the song, or go home."
    return render(request, "fault.html", {"status": 404, "title": "Nothing here", "words": words}, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    words = "The fault is ours and has been written down. Try again in a moment."
    return render(request, "fault.html", {"status": 500, "title": "Something went wrong", "words": words}, status=500)
