"""What every API route shares: how pages are cut, how faults are told (RFC 9457 problem+json)."""

import json
from http import HTTPStatus

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db.models import ProtectedError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.response import Response
from rest_framework.views import exception_handler

from quasimusic.exceptions import QuasimusicError
from quasimusic.faults import PROBLEM_JSON, problem_body


class Pages(CursorPagination):
    """Pages cut by key, so that page 1,000 costs what page 1 does."""

    ordering = "pk"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def decode_cursor(self, request):
        cursor = super().decode_cursor(request)
        if cursor and cursor.position is not None and not cursor.position.isdecimal():
            raise exceptions.NotFound(self.invalid_cursor_message)
        return cursor


class StorableJSON(JSONParser):
    """JSON that can be stored and told back: of sane depth, of whole characters."""

    def parse(self, stream, media_type=None, parser_context=None):
        try:
            read = super().parse(stream, media_type, parser_context)
            json.dumps(read, ensure_ascii=False).encode()
        except RecursionError:
            raise exceptions.ParseError("The JSON is nested too deeply.") from None
        except UnicodeEncodeError:
            raise exceptions.ParseError("The JSON holds half a surrogate pair, which is no character.") from None
        return read


def problem(status: int, title: str, detail: str, **extra) -> Response:
    """An RFC 9457 answer."""
    return Response(problem_body(status, title, detail, **extra), status=status, content_type=PROBLEM_JSON)


def problem_json(fault: Exception, context: dict) -> Response | None:
    """DRF's exception handler: every fault as problem+json; None lets a real bug surface as a 500."""
    if isinstance(fault, QuasimusicError):
        return problem(fault.status, fault.title, str(fault))
    if isinstance(fault, exceptions.ValidationError):
        return problem(400, "That does not work", "Some fields are not right.", errors=fault.detail)
    if isinstance(fault, ProtectedError):
        return problem(409, "Still in use", "Other rows name this one; change or delete those first.")
    if isinstance(fault, RequestDataTooBig):
        return problem(413, "Too large", "The body is larger than any this route takes.")
    if isinstance(fault, Http404):
        fault = exceptions.NotFound()
    elif isinstance(fault, PermissionDenied):
        fault = exceptions.PermissionDenied()
    answer = exception_handler(fault, context)
    if answer is None:
        return None
    told = problem(answer.status_code, HTTPStatus(answer.status_code).phrase, str(fault.detail))
    for header in ("WWW-Authenticate", "Retry-After"):
        if header in answer.headers:
            told[header] = answer.headers[header]
    return told
