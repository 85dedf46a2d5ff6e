"""Cover art drawn from how the music sounds: the address of a cover says all there is to draw.

A cover's code is `<kind><number>-<sound>`: what it belongs to, and one digit for each feature of `SOUND` (x where
unknown). So the picture needs no query, never changes, and may be cached for ever.
"""

import math
import random
from dataclasses import dataclass
from itertools import pairwise

SOUND = {"energy": (0, 1), "valence": (0, 1), "acousticness": (0, 1), "danceability": (0, 1), "tempo": (60, 180)}
SIZE = 300


def cover_code(kind: str, number: int, sounding: object) -> str:
    """kind : "s" song, "a" album, "r" artist, "g" genre, "m" mood.
    sounding : has the features of `SOUND`, or lacks them.
    """
    digits = (_digit(getattr(sounding, name, None), *limits) for name, limits in SOUND.items())
    return f"{kind}{number}-{''.join(digits)}"


def _digit(value: float | None, low: float, high: float) -> str:
    if value is None:
        return "x"
    return str(min(9, max(0, int((value - low) / (high - low) * 10))))


@dataclass(frozen=True)
class Colours:
    ground: str
    deep: str
    main: str
    other: str
    light: str


class Cover:
    """One picture. The name before the dash draws the motif, the sound after it the colours and the movement."""

    def __init__(self, name: str, sound: str) -> None:
        self.dice = random.Random(name)  # noqa: S311 - a picture, no secret
        chance = random.Random(f"{name} unknown")  # noqa: S311 - likewise
        levels = ((chance.random() if digit == "x" else int(digit) / 9) for digit in sound)
        self.energy, self.valence, self.acousticness, self.danceability, self.tempo = levels
        self.colours = self._colours()

    def _colours(self) -> Colours:
        # Sad is blue, happy is amber, by way of magenta; acoustic is muted, loud is bright.
        hue = 225 + 175 * self.valence + self.dice.uniform(-30, 30)
        away = hue + self.dice.choice((-1, 1)) * self.dice.uniform(45, 130)
        strength = 48 + 34 * self.energy - 24 * self.acousticness
        return Colours(
            ground=_hsl(hue - 14, strength * 0.75, 14 + 9 * self.valence),
            deep=_hsl(hue + 12, strength * 0.9, 33),
            main=_hsl(hue, strength + 16, 54 + 6 * self.energy),
            other=_hsl(away, strength + 14, 60),
            light=_hsl(away + 24, strength * 0.8, 86),
        )

    def svg(self) -> str:
        motif = self.dice.choice((_rings, _waves, _sunset, _tiles, _bars, _petals, _moons))
        ground = f'<rect width="{SIZE}" height="{SIZE}" fill="{self.colours.ground}"/>'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" width="{SIZE}" height="{SIZE}">'
        return f"{head}{ground}{motif(self)}</svg>"


def _hsl(hue: float, saturation: float, lightness: float) -> str:
    return f"hsl({hue % 360:.0f} {min(95, max(8, saturation)):.0f}% {lightness:.0f}%)"


def _circle(x: float, y: float, radius: float, fill: str, more: str = "") -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{fill}" {more}/>'


def _rings(cover: Cover) -> str:
    x, y = cover.dice.uniform(60, 240), cover.dice.uniform(60, 240)
    step = 34 - 18 * cover.tempo
    colours = (cover.colours.main, cover.colours.deep, cover.colours.other, cover.colours.ground)
    count = int(300 / step)
    rings = (_circle(x, y, (count - i) * step, colours[i % len(colours)]) for i in range(count))
    return "".join(rings) + _circle(x, y, step * 0.6, cover.colours.light)


def _waves(cover: Cover) -> str:
    length = 300 / (1 + round(3 * cover.tempo))
    height = 8 + 30 * cover.energy
    colours = (cover.colours.deep, cover.colours.main, cover.colours.other, cover.colours.light)
    return "".join(_wave(90 + 48 * i, length, height, cover.dice.uniform(0, 6), fill) for i, fill in enumerate(colours))


def _wave(level: float, length: float, height: float, phase: float, fill: str) -> str:
    points = [(x, level + height * math.sin(2 * math.pi * x / length + phase)) for x in range(0, SIZE + 1, 6)]
    line = " ".join(f"L{x} {y:.1f}" for x, y in points)
    return f'<path d="M0 {SIZE} {line} L{SIZE} {SIZE}Z" fill="{fill}"/>'


def _sunset(cover: Cover) -> str:
    y = 190 - 70 * cover.valence
    radius = 70 + 35 * cover.energy
    sun = _circle(150, y, radius, cover.colours.main)
    stripes = 4 + round(4 * cover.tempo)
    heights = [y + radius * i / stripes for i in range(stripes + 1)]
    cut = "".join(
        f'<rect x="0" y="{top:.1f}" width="300" height="{(bottom - top) * (0.2 + 0.6 * i / stripes):.1f}"'
        f' fill="{cover.colours.ground}"/>'
        for i, (top, bottom) in enumerate(pairwise(heights))
    )
    moon = _circle(cover.dice.uniform(30, 270), cover.dice.uniform(30, 80), 9, cover.colours.light)
    shore = _wave(262, 300 / (1 + round(2 * cover.danceability)), 12, cover.dice.uniform(0, 6), cover.colours.deep)
    return sun + cut + moon + shore


def _tiles(cover: Cover) -> str:
    count = 3 + round(2 * cover.tempo)
    side = SIZE / count
    return "".join(_tile(cover, column * side, row * side, side) for row in range(count) for column in range(count))


def _tile(cover: Cover, x: float, y: float, side: float) -> str:
    fills = (cover.colours.main, cover.colours.other, cover.colours.deep, cover.colours.light)
    back, front = cover.dice.sample(fills, 2)
    place = f'x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}"'
    # The thin rim closes the seams between neighbours when the picture is made smaller.
    square = f'<rect {place} fill="{back}" stroke="{back}" stroke-width="0.8"/>'
    if cover.dice.random() < 0.3 * cover.acousticness + 0.15:
        return square
    corners = ((x, y, 1), (x + side, y, 2), (x + side, y + side, 3), (x, y + side, 4))
    left, top, corner = cover.dice.choice(corners)
    ends = {1: (side, 0, 0, side), 2: (0, side, -side, 0), 3: (-side, 0, 0, -side), 4: (0, -side, side, 0)}[corner]
    start = f"M{left:.1f} {top:.1f} L{left + ends[0]:.1f} {top + ends[1]:.1f}"
    arc = f"A{side:.1f} {side:.1f} 0 0 1 {left + ends[2]:.1f} {top + ends[3]:.1f}Z"
    return f'{square}<path d="{start} {arc}" fill="{front}"/>'


def _bars(cover: Cover) -> str:
    count = 7 + round(6 * cover.danceability)
    width = 250 / count
    swing, phase = 1 + 3 * cover.tempo, cover.dice.uniform(0, 6)
    colours = (cover.colours.main, cover.colours.other, cover.colours.light)
    bars = []
    for i in range(count):
        shape = 0.5 + 0.5 * math.sin(phase + swing * math.pi * i / count)
        height = 30 + (70 + 130 * cover.energy) * shape * cover.dice.uniform(0.75, 1.15)
        bars.append(
            f'<rect x="{25 + i * width + width * 0.14:.1f}" y="{150 - height / 2:.1f}" width="{width * 0.72:.1f}"'
            f' height="{height:.1f}" rx="{width * 0.36:.1f}" fill="{colours[i * len(colours) // count]}"/>'
        )
    return "".join(bars)


def _petals(cover: Cover) -> str:
    count = 5 + round(7 * cover.danceability)
    long, wide = 62 + 24 * cover.energy, 20 + 26 * (1 - cover.tempo)
    turn = cover.dice.uniform(0, 90)
    colours = (cover.colours.main, cover.colours.other)
    petals = "".join(
        f'<ellipse cx="150" cy="{150 - long:.1f}" rx="{wide:.1f}" ry="{long:.1f}" fill="{colours[i % 2]}"'
        f' fill-opacity="0.72" transform="rotate({turn + 360 * i / count:.1f} 150 150)"/>'
        for i in range(count)
    )
    return petals + _circle(150, 150, 16 + 16 * cover.valence, cover.colours.light)


def _moons(cover: Cover) -> str:
    discs = []
    for fill in (cover.colours.deep, cover.colours.main, cover.colours.other):
        x, y = cover.dice.uniform(40, 260), cover.dice.uniform(40, 260)
        discs.append(_circle(x, y, cover.dice.uniform(70, 100 + 50 * cover.energy), fill, 'fill-opacity="0.86"'))
    x, y = cover.dice.uniform(80, 220), cover.dice.uniform(80, 220)
    line = f'stroke="{cover.colours.light}" stroke-width="{3 + 5 * cover.danceability:.1f}"'
    return "".join(discs) + _circle(x, y, 30 + 50 * cover.acousticness, "none", line)
