"""A song's sound over HTTP: whole, in part, unchanged, refused (RFC 9110)."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from django.core.files.base import ContentFile
from django.urls import reverse

from accounts.models import Listener
from catalog.models import Song
from catalog.streaming import byte_range


@pytest.fixture(autouse=True)
def storage(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.AUDIO_CACHE_DIR = tmp_path / "audio"


@pytest.fixture
def fetch(client, db):
    """What a listener's browser gets; the body, read to its end, is `body`."""
    client.force_login(Listener.objects.create(username="ada"))

    def get(url, headers=None, method="get"):
        answer = getattr(client, method)(url, headers=headers)
        answer.body = b"".join(answer)
        return answer

    return get


def noise(format_, subtype=None, seconds=1.0):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (int(48000 * seconds), 2))
    memory = io.BytesIO()
    soundfile.write(memory, samples, 48000, format=format_, subtype=subtype)
    return memory.getvalue()


def uploaded(name, content):
    song = Song.objects.create(title="A file of its own")
    song.audio.save(name, ContentFile(content))
    return song


@pytest.fixture
def song(db):
    """A song whose file holds the bytes 0..255 four times over."""
    return uploaded("plain.mp3", bytes(range(256)) * 4)


class TestWhole:
    def test_the_whole_file_and_what_is_said_of_it(self, fetch, song):
        answer = fetch(song.audio_url)
        assert answer.status_code == 200
        assert answer.body == bytes(range(256)) * 4
        assert answer["Content-Length"] == "1024"
        assert answer["Accept-Ranges"] == "bytes"
        assert answer["Content-Type"] == "audio/mpeg"
        assert "private" in answer["Cache-Control"]
        assert answer["ETag"]
        assert answer["Last-Modified"]

    def test_head_tells_the_same_without_the_body(self, fetch, song):
        whole, head = fetch(song.audio_url), fetch(song.audio_url, {"Range": "bytes=0-1"}, method="head")
        assert head.status_code == 200
        assert head.body == b""
        for header in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges", "Last-Modified"):
            assert head[header] == whole[header]

    @pytest.mark.parametrize(
        ("name", "format_", "subtype", "content_type"),
        [
            ("a.mp3", "MP3", None, "audio/mpeg"),
            ("a.ogg", "OGG", "VORBIS", "audio/ogg"),
            ("a.opus", "OGG", "OPUS", "audio/ogg"),
            ("A.FLAC", "FLAC", None, "audio/flac"),
        ],
    )
    def test_uploads_of_every_kind_arrive_as_they_were(self, fetch, name, format_, subtype, content_type):
        content = noise(format_, subtype)
        answer = fetch(uploaded(name, content).audio_url)
        assert answer["Content-Type"] == content_type
        assert answer.body == content

    def test_m4a_is_called_mp4(self, fetch):
        assert fetch(uploaded("a.m4a", b"not looked into when served").audio_url)["Content-Type"] == "audio/mp4"

    def test_a_song_without_a_file_plays_for_thirty_seconds(self, fetch):
        answer = fetch(Song.objects.create(title="Nobody recorded it").audio_url)
        content = answer.body
        assert answer["Content-Type"] == "audio/ogg"
        assert int(answer["Content-Length"]) == len(content)
        assert soundfile.info(io.BytesIO(content)).duration == pytest.approx(30, abs=0.1)


class TestRange:
    @pytest.mark.parametrize(
        ("asked", "first", "last"),
        [
            ("bytes=0-1", 0, 1),
            ("bytes=0-0", 0, 0),
            ("bytes=100-", 100, 1023),
            ("bytes=-500", 524, 1023),
            ("bytes=-5000", 0, 1023),
            ("bytes=1000-5000", 1000, 1023),
            ("Bytes=1-2", 1, 2),
        ],
    )
    def test_the_part_asked_for(self, fetch, song, asked, first, last):
        answer = fetch(song.audio_url, {"Range": asked})
        assert answer.status_code == 206
        assert answer["Content-Range"] == f"bytes {first}-{last}/1024"
        assert answer["Content-Length"] == str(last - first + 1)
        assert answer.body == (bytes(range(256)) * 4)[first : last + 1]

    @pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=5000-6000", "bytes=-0", "bytes=" + "9" * 60 + "-"])
    def test_a_part_that_is_not_there(self, fetch, song, asked):
        answer = fetch(song.audio_url, {"Range": asked})
        assert answer.status_code == 416
        assert answer["Content-Range"] == "bytes */1024"
        assert answer.body == b""

    @pytest.mark.parametrize(
        "asked",
        ["bytes=5-2", "bytes=-", "bytes=a-b", "bytes=0-1,4-5", "lines=0-1", "0-1", "", "bytes=٣-٤", "bytes=1--2"],
    )
    def test_what_cannot_be_read_is_answered_with_the_whole(self, song, asked):
        assert byte_range(asked, 1024) is None

    def test_several_parts_are_answered_with_the_whole(self, fetch, song):
        answer = fetch(song.audio_url, {"Range": "bytes=0-1,4-5"})
        assert answer.status_code == 200
        assert len(answer.body) == 1024

    def test_parts_joined_are_the_file(self, fetch):
        song = uploaded("long.mp3", os.urandom(300_000))
        parts = [
            fetch(song.audio_url, {"Range": f"bytes={start}-{start + 99_999}"}).body
            for start in range(0, 300_000, 100_000)
        ]
        assert b"".join(parts) == Path(song.audio.path).read_bytes()


class TestConditions:
    def test_unchanged_is_not_sent_again(self, fetch, song):
        first = fetch(song.audio_url)
        for header, value in (("If-None-Match", first["ETag"]), ("If-Modified-Since", first["Last-Modified"])):
            answer = fetch(song.audio_url, {header: value})
            assert answer.status_code == 304
            assert answer["ETag"] == first["ETag"]
            assert answer.body == b""

    def test_a_changed_file_has_another_etag(self, fetch, song):
        before = fetch(song.audio_url)["ETag"]
        Path(song.audio.path).write_bytes(b"another recording")
        answer = fetch(song.audio_url, {"If-None-Match": before})
        assert answer.status_code == 200
        assert answer.body == b"another recording"

    def test_if_range_gives_the_part_of_the_same_file_only(self, fetch, song):
        first = fetch(song.audio_url)
        for same in (first["ETag"], first["Last-Modified"]):
            assert fetch(song.audio_url, {"Range": "bytes=0-1", "If-Range": same}).status_code == 206
        for other in ('"another"', f"W/{first['ETag']}", "Mon, 01 Jan 2001 00:00:00 GMT", "nonsense"):
            answer = fetch(song.audio_url, {"Range": "bytes=0-1", "If-Range": other})
            assert answer.status_code == 200
            assert len(answer.body) == 1024


class TestBehindAProxy:
    @pytest.fixture(autouse=True)
    def proxy(self, settings):
        settings.X_ACCEL_REDIRECT_PREFIX = "/protected"

    def test_uploads_are_handed_over_by_quoted_path(self, fetch, settings):
        song = Song.objects.create(title="Ünquoted")
        song.audio.name = "songs/50% ü?.flac"
        song.save()
        path = settings.MEDIA_ROOT / song.audio.name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
        answer = fetch(song.audio_url, {"Range": "bytes=0-0"})
        assert answer["X-Accel-Redirect"] == "/protected/media/songs/50%25%20%C3%BC%3F.flac"
        assert answer["Content-Type"] == "audio/flac"
        assert answer.status_code == 200
        assert answer.body == b""

    def test_pieces_are_made_and_handed_over(self, fetch, settings):
        answer = fetch(Song.objects.create(title="No file").audio_url)
        inside = answer["X-Accel-Redirect"].removeprefix("/protected/")
        assert (settings.DATA_DIR / inside).is_file()


class TestRefused:
    def test_strangers_are_sent_to_log_in(self, client, song):
        answer = client.get(song.audio_url)
        assert answer.status_code == 302
        assert reverse("account_login") in answer["Location"]

    def test_an_unknown_song(self, fetch):
        assert fetch(reverse("song-audio", args=[10**12])).status_code == 404

    def test_only_reading(self, fetch, song):
        assert fetch(song.audio_url, method="post").status_code == 405

    def test_a_file_that_is_gone(self, fetch, song):
        Path(song.audio.path).unlink()
        assert fetch(song.audio_url).status_code == 404

    def test_a_name_that_leads_outside_is_not_followed(self, fetch, song, settings):
        (settings.DATA_DIR / "secret").write_text("secret")
        Song.objects.filter(pk=song.pk).update(audio="../secret")
        assert fetch(song.audio_url).status_code == 400
