"""Keeps the synthesised pieces: made when first asked for, one file a song, made anew when its features change."""

import hashlib
import os
from dataclasses import astuple
from pathlib import Path
from uuid import uuid4

import soundfile
from django.conf import settings

from catalog.features import FEATURES
from catalog.models import PIECE_SECONDS, Song
from catalog.sound.composition import Traits, compose, traits_of
from catalog.sound.synthesis import SAMPLE_RATE, Samples, render

BAND = 1  # raise it when the same features shall sound otherwise: every piece is then made anew
COMPRESSION = 0.87  # libsndfile's scale from 0 (512 kbit/s) to 1 (12); this is near 78 kbit/s
SONGS_A_FOLDER = 1000


def piece_file(*, song: Song) -> Path:
    """The Ogg Opus file of this song's piece, made now if it is not there yet."""
    traits = song_traits(song)
    folder = settings.AUDIO_CACHE_DIR / str(song.pk // SONGS_A_FOLDER)
    path = folder / f"{song.pk}-{_digest(traits)}.ogg"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, render(compose(traits, PIECE_SECONDS)))
        for other in folder.glob(f"{song.pk}-*.ogg"):
            if other != path:
                other.unlink(missing_ok=True)
    return path


def song_traits(song: Song) -> Traits:
    """What this song's piece is written from."""
    features = {name: getattr(song, name) for name in FEATURES}
    return traits_of(features, genre=song.genre.name if song.genre else "", seed=_seed(song))


def _seed(song: Song) -> int:
    """A number of the song's own, the same wherever its dataset is imported."""
    name = song.source_id or f"song {song.pk}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


def _digest(traits: Traits) -> str:
    return hashlib.sha256(repr((BAND, astuple(traits))).encode()).hexdigest()[:16]


def _write(path: Path, samples: Samples) -> None:
    """Whole or not at all; who comes at the same moment writes the same piece, and the last one stays."""
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        soundfile.write(unfinished, samples, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
