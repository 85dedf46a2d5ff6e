"""Uploads are judged by their content: what cannot be played is refused in words."""

import contextlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile

from catalog.audio import clean_audio
from catalog.models import Song


def recording(format_, subtype=None, seconds=1.5):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (int(48000 * seconds), 2))
    memory = io.BytesIO()
    soundfile.write(memory, samples, 48000, format=format_, subtype=subtype)
    return memory.getvalue()


def nested(depth):
    """An M4A file of nothing but atoms, each in another."""
    shell = b"".join(struct.pack(">I4s", 8 * (depth - i), b"moov") for i in range(depth))
    return atom(b"ftyp", b"M4A ", bytes(4), b"M4A mp42") + shell


def atom(name, *contents):
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), name) + content


def m4a(milliseconds):
    """The frame of an M4A file: one sound track of this length, no samples in it."""
    handler = atom(b"hdlr", bytes(8), b"soun", bytes(13))
    length = atom(b"mdhd", bytes(12), struct.pack(">II", 1000, milliseconds), bytes(4))
    sound = struct.pack(">6xH8xHHHHI", 1, 2, 16, 0, 0, 48000 << 16)
    # AAC of low complexity, 48 kHz, two channels: three descriptors, one in another.
    aac = b"\x05\x02\x11\x90"
    decoder = b"\x04\x11\x40\x15" + bytes(11) + aac
    stream = atom(b"esds", bytes(4), b"\x03\x19" + bytes(3) + decoder + b"\x06\x01\x02")
    kinds = atom(b"stsd", bytes(4), struct.pack(">I", 1), atom(b"mp4a", sound, stream))
    track = atom(b"trak", atom(b"mdia", length, handler, atom(b"minf", atom(b"stbl", kinds))))
    return atom(b"ftyp", b"M4A ", bytes(4), b"M4A mp42") + atom(b"moov", track) + atom(b"mdat")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.mp3", recording("MP3")),
        ("a.ogg", recording("OGG", "VORBIS")),
        ("a.ogg", recording("OGG", "OPUS")),
        ("a.opus", recording("OGG", "OPUS")),
        ("A.FLAC", recording("FLAC")),
        ("a.m4a", m4a(1500)),
    ],
    ids=["mp3", "vorbis", "opus in ogg", "opus", "flac", "m4a"],
)
def test_length_of_every_kind(name, content):
    file = SimpleUploadedFile(name, content)
    assert clean_audio(file) == pytest.approx(1500, abs=60)
    assert file.read() == content


def test_a_file_too_large_for_memory_is_read_from_disk():
    file = TemporaryUploadedFile("long.flac", "audio/flac", 0, None)
    file.write(recording("FLAC"))
    file.size = file.tell()
    assert clean_audio(file) == 1500


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty.mp3", b"", "audio_kind"),
        ("text.mp3", b"This is no music. " * 100, "audio_kind"),
        ("noise.mp3", np.random.default_rng(0).bytes(200_000), "audio_kind"),
        ("page.ogg", b"<script>alert(1)</script>" * 50, "audio_kind"),
        ("cut.flac", recording("FLAC")[:30], "audio_kind"),
        ("cut.m4a", m4a(1500)[:60], "audio_kind"),
        ("nested.m4a", nested(5000), "audio_kind"),
        ("wave.ogg", recording("WAV"), "audio_kind"),
        ("zeros.mp3", bytes(50_000), "audio_kind"),
        ("named.ogg", recording("FLAC"), "audio_name"),
        ("nameless", recording("FLAC"), "audio_name"),
        ("vorbis.opus", recording("OGG", "VORBIS"), "audio_name"),
        ("nothing.m4a", m4a(0), "audio_length"),
        ("years.m4a", m4a(4_000_000_000), "audio_length"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_played_is_refused(name, content, code):
    with pytest.raises(ValidationError) as refused:
        clean_audio(SimpleUploadedFile(name, content))
    assert refused.value.code == code


@pytest.mark.parametrize("format_", ["MP3", "OGG", "FLAC"])
def test_damaged_headers_are_refused_or_read_but_never_burst(format_):
    dice, sound = np.random.default_rng(7), recording(format_, seconds=0.2)
    for _ in range(150):
        damaged = bytearray(sound)
        for place in dice.integers(min(300, len(sound)), size=4):
            damaged[place] = dice.integers(256)
        with contextlib.suppress(ValidationError):
            assert clean_audio(SimpleUploadedFile(f"a.{format_.lower()}", bytes(damaged))) > 0


def test_the_size_is_bounded(settings):
    content = recording("FLAC")
    settings.AUDIO_UPLOAD_MAX_BYTES = len(content)
    clean_audio(SimpleUploadedFile("a.flac", content))
    settings.AUDIO_UPLOAD_MAX_BYTES = len(content) - 1
    with pytest.raises(ValidationError) as refused:
        clean_audio(SimpleUploadedFile("a.flac", content))
    assert refused.value.code == "audio_size"


@pytest.mark.django_db(transaction=True)
def test_an_upload_that_no_song_holds_any_more_is_deleted(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    song = Song.objects.create(title="Twice recorded", audio=ContentFile(b"first", name="first.ogg"))
    first = Path(song.audio.path)
    song.audio = ContentFile(b"second", name="second.ogg")
    song.save()
    second = Path(song.audio.path)
    assert (first.exists(), second.exists()) == (False, True)
    song.delete()
    assert not second.exists()
