"""What an uploaded audio file really is: told by its content, never by its name."""

import struct
from pathlib import Path

import mutagen
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.template.defaultfilters import filesizeformat
from mutagen.flac import FLAC
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

KINDS = {
    MP3: (".mp3",),
    OggVorbis: (".ogg",),
    OggOpus: (".ogg", ".opus"),
    OggFLAC: (".ogg",),
    FLAC: (".flac",),
    MP4: (".m4a",),
}
CONTENT_TYPES = {
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
}
# What mutagen lets slip, beside its own errors, where a header is damaged.
DAMAGED = (LookupError, ValueError, ArithmeticError, RecursionError, struct.error)
LONGEST_MS = 24 * 3600 * 1000


def clean_audio(file: File) -> int:
    """Length of an uploaded file in milliseconds. Raises ValidationError where it cannot be played."""
    _check_size(file.size)
    audio = _opened(file)
    suffix = Path(file.name).suffix.lower()
    if suffix not in KINDS[type(audio)]:
        right = " or ".join(KINDS[type(audio)])
        raise ValidationError(
            f"The file's name ends in {suffix or 'nothing'}, but what it holds is {right}.", "audio_name"
        )
    length_ms = round(audio.info.length * 1000)
    if not 0 < length_ms <= LONGEST_MS:
        raise ValidationError("The file does not say how long it is, or is longer than a day.", "audio_length")
    return length_ms


def _check_size(size: int) -> None:
    most = settings.AUDIO_UPLOAD_MAX_BYTES
    if size > most:
        words = f"The file has {filesizeformat(size)}; the most there may be is {filesizeformat(most)}."
        raise ValidationError(words, "audio_size")


def _opened(file: File) -> mutagen.FileType:
    file.seek(0)
    try:
        audio = mutagen.File(file, options=list(KINDS))
    except (mutagen.MutagenError, *DAMAGED):
        audio = None
    finally:
        file.seek(0)
    # Of noise mutagen says that it might be MP3: a guess is no audio.
    if audio is None or getattr(audio.info, "sketchy", False):
        raise ValidationError("This is not audio in MP3, Ogg, FLAC or M4A, or it is damaged.", "audio_kind")
    return audio
