"""How a song looks: its cover, its play button, its features drawn."""

import math
from dataclasses import dataclass

from django import template
from django.urls import reverse
from django.utils.translation import gettext as _

from catalog.covers import cover_code
from catalog.features import FEATURES
from catalog.models import Album, Artist, Genre, Mood, Song

register = template.Library()

KEYS = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
LETTERS = {Album: "a", Artist: "r", Genre: "g", Mood: "m", Song: "s"}
RADAR = ("energy", "danceability", "valence", "liveness", "acousticness", "instrumentalness", "speechiness")


@register.filter
def cover(thing: Song | Album | Artist | Genre | Mood) -> str:
    """Address of the cover. A song wears its album's motif in the colours of its own sound."""
    if isinstance(thing, Song) and thing.album_id:
        code = cover_code("a", thing.album_id, thing)
    else:
        code = cover_code(LETTERS[type(thing)], thing.pk, thing)
    return reverse("cover", args=code.split("-"))


@register.inclusion_tag("catalog/_play.html")
def play_button(song: Song, source: str, impression: int | None = None, look: str = "") -> dict:
    """The button the player reads; the songs of one data-queue follow each other."""
    return {"song": song, "source": source, "impression": impression, "look": look}


@register.filter
def clock(seconds: float) -> str:
    """Seconds as 3:05 or 1:02:05."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@register.filter
def facts(song: Song) -> list[tuple[str, str]]:
    """Tempo, key, year and length in words, those that are known."""
    rows = [
        (_("Tempo"), song.tempo and _("%(bpm)d bpm") % {"bpm": song.tempo}),
        (_("Key"), _key_words(song)),
        (_("Metre"), song.time_signature and _("%(beats)d beats") % {"beats": song.time_signature}),
        (_("Loudness"), song.loudness is not None and _("%(loudness).0f dB") % {"loudness": song.loudness}),
        (_("Year"), song.year and str(song.year)),
        (_("Length"), _length_words(song)),
    ]
    return [(name, value) for name, value in rows if value]


def _length_words(song: Song) -> str:
    """How long the recording is; beside it what plays here, where that is another length."""
    if not song.duration_ms:
        return ""
    recording, here = clock(song.duration_ms / 1000), clock(song.audible_seconds)
    if here == recording:
        return recording
    return _("%(recording)s (%(here)s here)") % {"recording": recording, "here": here}


def _key_words(song: Song) -> str:
    if song.key is None:
        return ""
    scale = {1: _("major"), 0: _("minor")}.get(song.mode, "")
    return f"{KEYS[song.key]} {scale}".strip()


@dataclass(frozen=True)
class Spoke:
    name: str
    meaning: str
    percent: int
    x: float
    y: float
    rim_x: float
    rim_y: float


@register.inclusion_tag("catalog/_radar.html")
def radar(song: Song) -> dict:
    """The features from 0 to 1 as a star, with the same numbers as a list; empty where fewer than three are known."""
    names = [name for name in RADAR if getattr(song, name) is not None]
    if len(names) < 3:
        return {"spokes": []}
    spokes = [_spoke(song, name, 2 * math.pi * i / len(names)) for i, name in enumerate(names)]
    return {"spokes": spokes, "shape": " ".join(f"{spoke.x},{spoke.y}" for spoke in spokes)}


def _spoke(song: Song, name: str, angle: float) -> Spoke:
    value = getattr(song, name)
    across, up = math.sin(angle), -math.cos(angle)
    reach = 8 + 82 * value
    x, y, rim_x, rim_y = (round(part, 1) for part in (reach * across, reach * up, 90 * across, 90 * up))
    return Spoke(name, FEATURES[name].meaning, round(100 * value), x, y, rim_x, rim_y)
