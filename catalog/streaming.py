"""Sends a song's sound, whole or the part asked for (RFC 9110, sections 13 and 14)."""

import logging
import os
import re
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.http import http_date, parse_http_date_safe
from django.views.decorators.http import require_safe

from catalog.audio import CONTENT_TYPES
from catalog.models import Song
from catalog.sound.pieces import piece_file

logger = logging.getLogger(__name__)

ONE_RANGE = re.compile(r"bytes=\s*([0-9]{0,100})-([0-9]{0,100})\s*", re.IGNORECASE)


@require_safe
def song_audio(request: HttpRequest, pk: int) -> HttpResponseBase:
    path = _audio_file(get_object_or_404(Song.objects.select_related("genre"), pk=pk))
    answer = _handed_over(path) if settings.X_ACCEL_REDIRECT_PREFIX else _streamed(request, path)
    answer["Cache-Control"] = "private, max-age=3600"
    return answer


def _audio_file(song: Song) -> Path:
    if not song.audio:
        return piece_file(song=song)
    path = Path(song.audio.path)
    if not path.is_file():
        logger.error("the audio file of song %s is gone: %s", song.pk, path)
        raise Http404
    return path


def _handed_over(path: Path) -> HttpResponse:
    """No body: the proxy in front sends the file, and sees to ranges and conditions."""
    inside = quote(path.relative_to(settings.DATA_DIR).as_posix())
    answer = HttpResponse(content_type=_content_type(path))
    answer["X-Accel-Redirect"] = f"{settings.X_ACCEL_REDIRECT_PREFIX.rstrip('/')}/{inside}"
    return answer


def _streamed(request: HttpRequest, path: Path) -> HttpResponseBase:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise Http404 from None
    # Asked of the open file: the name may stand for another one by now.
    facts = os.fstat(file.fileno())
    etag, modified = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"', int(facts.st_mtime)
    answer = _part_asked_for(request, file, facts.st_size, etag, modified)
    answer["Content-Type"] = _content_type(path)
    answer["Accept-Ranges"] = "bytes"
    answer["ETag"] = etag
    answer["Last-Modified"] = http_date(modified)
    return answer


def _part_asked_for(request: HttpRequest, file: BinaryIO, size: int, etag: str, modified: int) -> HttpResponseBase:
    unchanged = get_conditional_response(request, etag, modified)
    if unchanged is not None or request.method == "HEAD":
        file.close()
        return unchanged or HttpResponse(headers={"Content-Length": size})
    part = byte_range(_range_header(request, etag, modified), size)
    if part is None:
        return _sent(file, range(size))
    if not part:
        file.close()
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    answer = _sent(file, part)
    answer.status_code = 206
    answer["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return answer


def _range_header(request: HttpRequest, etag: str, modified: int) -> str:
    """The range asked for; none where If-Range says that it is of another file than the one there is."""
    condition = request.headers.get("If-Range", "").strip()
    if condition and condition != etag and parse_http_date_safe(condition) != modified:
        return ""
    return request.headers.get("Range", "")


def byte_range(header: str, size: int) -> range | None:
    """The bytes a Range header asks for; empty where there are none such, None where the whole file is to be sent.

    Several ranges at once are answered with the whole file, as RFC 9110 allows.
    """
    asked = ONE_RANGE.fullmatch(header.strip())
    first, last = asked.groups() if asked else ("", "")
    if not first and not last:
        return None
    if not first:
        return range(max(size - int(last), 0), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


def _sent(file: BinaryIO, part: range) -> FileResponse:
    file.seek(part.start)
    return FileResponse(_Part(file, len(part)), headers={"Content-Length": len(part)})


class _Part:
    """A file that ends where the part does."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self.file = file
        self.left = length

    def read(self, size: int) -> bytes:
        chunk = self.file.read(min(size, self.left))
        self.left -= len(chunk)
        return chunk

    def close(self) -> None:
        self.file.close()


def _content_type(path: Path) -> str:
    return CONTENT_TYPES.get(path.suffix.lower(), "application/octet-stream")
