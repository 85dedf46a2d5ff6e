"""From a song's features to notes. The same features and seed give the same notes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from catalog.sound.styles import BEATS, Style, style_of

STEPS = 4  # sixteenths to a beat
SLOWEST, FASTEST = 60.0, 180.0  # beats a minute; a tempo beyond is halved or doubled into this

SCALES = {
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "major": (0, 2, 4, 5, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
}
# Roots of four bars' chords, as degrees of the scale from 0: bright ones first, each list from which a song draws.
PROGRESSIONS = {
    (1, "bright"): ((0, 3, 4, 3), (0, 4, 5, 3), (0, 3, 0, 4)),
    (1, "dark"): ((0, 5, 3, 4), (5, 3, 0, 4), (0, 2, 5, 3)),
    (0, "bright"): ((0, 2, 6, 3), (0, 3, 6, 2), (0, 6, 3, 0)),
    (0, "dark"): ((0, 5, 2, 6), (0, 3, 5, 4), (0, 5, 3, 4)),
}
ARPEGGIOS = ((0, 1, 2, 1), (0, 2, 1, 2), (0, 1, 2, 3), (3, 2, 1, 0), (0, 2, 1, 3))


@dataclass(frozen=True)
class Traits:
    """What a piece is written from, nothing unknown. Shares are 0..1; `tempo` in beats a minute; `key` 0..11 from C."""

    tempo: float
    time_signature: float
    key: float
    mode: float
    energy: float
    valence: float
    acousticness: float
    danceability: float
    instrumentalness: float
    genre: str
    seed: int

    @property
    def style(self) -> Style:
        return style_of(self.genre)

    @property
    def steps_a_bar(self) -> int:
        return int(self.time_signature) * STEPS

    @property
    def step_seconds(self) -> float:
        return 60 / self.tempo / STEPS


@dataclass(frozen=True)
class Note:
    """`start` and `seconds` in seconds, `pitch` in MIDI numbers (60 is middle C; 0 for drums), `velocity` 0..1."""

    start: float
    seconds: float
    pitch: int
    velocity: float


@dataclass(frozen=True)
class Piece:
    """The notes of each part: pad, bass, arpeggio, lead and the drums kick, snare, clap, hat."""

    traits: Traits
    seconds: float
    parts: Mapping[str, tuple[Note, ...]]


def traits_of(features: Mapping[str, float | None], *, genre: str = "", seed: int) -> Traits:
    """Complete a song's features: what is unknown comes from its genre's style, else from its seed."""
    rng = np.random.default_rng([seed, 0])
    # Drawn whether needed or not, so that learning one feature of a song leaves the others as they were.
    drawn = {
        "tempo": rng.uniform(80, 140),
        "time_signature": 4,
        "key": int(rng.integers(12)),
        "mode": int(rng.random() < 0.6),
        "energy": rng.uniform(0.3, 0.8),
        "valence": rng.uniform(0.3, 0.8),
        "acousticness": rng.uniform(0.1, 0.7),
        "danceability": rng.uniform(0.35, 0.75),
        "instrumentalness": rng.uniform(0.0, 0.6),
    }
    usual = style_of(genre).usual
    known = {name: features.get(name) for name in drawn}
    settled = {name: float(usual.get(name, drawn[name]) if known[name] is None else known[name]) for name in drawn}
    settled["tempo"] = _playable_tempo(settled["tempo"] or drawn["tempo"])
    settled["time_signature"] = min(max(settled["time_signature"], 3.0), 7.0) if settled["time_signature"] > 1 else 4.0
    return Traits(**settled, genre=genre, seed=seed)


def _playable_tempo(tempo: float) -> float:
    """The tempo, doubled or halved until it lies between SLOWEST and FASTEST."""
    octaves = (
        math.ceil(math.log2(SLOWEST / tempo)) if tempo < SLOWEST else -math.ceil(math.log2(max(tempo / FASTEST, 1)))
    )
    return tempo * 2.0**octaves


def compose(traits: Traits, seconds: float) -> Piece:
    """Write a piece of this length."""
    writer = _Writer(traits, seconds)
    parts = {name: tuple(write(writer)) for name, write in _PARTS.items()} | _drums(writer)
    return Piece(traits=traits, seconds=seconds, parts=parts)


class _Writer:
    """What the parts of one piece share: its harmony, its form, its clock and its dice."""

    def __init__(self, traits: Traits, seconds: float) -> None:
        self.traits = traits
        self.rng = np.random.default_rng([traits.seed, 1])
        self.seconds = seconds
        # The last bar is a single held chord, over which the piece fades.
        self.n_bars = max(2, int(seconds / (traits.steps_a_bar * traits.step_seconds)))
        self.scale = self._scale()
        colour = "bright" if traits.valence >= 0.5 else "dark"
        choices = PROGRESSIONS[int(traits.mode), colour]
        self.progression = choices[self.rng.integers(len(choices))]
        self.has_sevenths = traits.style.beat in ("swing", "laid back") or 0.3 < traits.valence < 0.45

    def _scale(self) -> tuple[int, ...]:
        if self.traits.mode:
            name = "lydian" if self.traits.valence > 0.85 else "major" if self.traits.valence > 0.35 else "mixolydian"
        else:
            name = "dorian" if self.traits.valence > 0.5 else "minor"
        return SCALES[name]

    def root(self, bar: int) -> int:
        """Degree of this bar's chord; the piece begins where its progression does and ends at home."""
        return 0 if bar == self.n_bars - 1 else self.progression[bar % len(self.progression)]

    def pitch(self, degree: int, octave: int) -> int:
        """MIDI pitch of a degree counted from the key's note nearest this octave's C (C4 is middle C)."""
        tonic = 12 * (octave + 1) + (int(self.traits.key) + 5) % 12 - 5
        octaves, place = divmod(degree, len(self.scale))
        return tonic + 12 * octaves + self.scale[place]

    def chord(self, bar: int) -> tuple[int, ...]:
        """Degrees of this bar's chord, turned so that it lies close to the key's own."""
        degrees = [self.root(bar) + third for third in ((0, 2, 4, 6) if self.has_sevenths else (0, 2, 4))]
        return tuple(sorted(degree - 7 if degree > 5 else degree for degree in degrees))

    def time(self, bar: int, step: float) -> float:
        """Seconds at which a step of a bar is played: off-beats come late where the style swings."""
        eighth = step % STEPS
        late = (eighth if eighth <= STEPS / 2 else STEPS - eighth) / (STEPS / 2) * self.traits.style.swing * 2 / 3
        return (bar * self.traits.steps_a_bar + step + late) * self.traits.step_seconds

    def note(self, bar: int, step: float, steps: float, pitch: int, velocity: float) -> Note:
        # People are never quite on time; machines are.
        sway = self.rng.normal(0, 0.006 * self.traits.acousticness)
        touch = velocity * (1 + self.rng.uniform(-0.08, 0.08))
        return Note(
            start=max(0.0, self.time(bar, step) + sway),
            seconds=steps * self.traits.step_seconds,
            pitch=pitch,
            velocity=min(touch, 1.0),
        )

    def enters(self, share: float) -> int:
        """First bar of a part that enters after this share of the piece."""
        return round(share * self.n_bars)


def _pad(writer: _Writer) -> list[Note]:
    length = writer.traits.steps_a_bar
    return [
        writer.note(bar, 0, length * 0.98, writer.pitch(degree, 4), 0.8)
        for bar in range(writer.n_bars)
        for degree in writer.chord(bar)
    ]


def _bass(writer: _Writer) -> list[Note]:
    notes = []
    for bar in range(writer.enters(0.1), writer.n_bars - 1):
        for step, steps, degree in _bass_line(writer, bar):
            notes.append(writer.note(bar, step, steps, writer.pitch(writer.root(bar) + degree, 2), 0.9))
    notes.append(writer.note(writer.n_bars - 1, 0, writer.traits.steps_a_bar, writer.pitch(0, 2), 0.9))
    return notes


def _bass_line(writer: _Writer, bar: int) -> list[tuple[int, float, int]]:
    """(step, steps, degree above the root) of one bar: held, walking, off the beat or driving."""
    traits = writer.traits
    beats = range(0, traits.steps_a_bar, STEPS)
    if traits.style.beat == "swing":
        return [(step, 3.6, degree) for step, degree in zip(beats, (0, 2, 4, 5, 6, 5, 4), strict=False)]
    if traits.energy < 0.35:
        return [(0, traits.steps_a_bar * 0.95, 0)]
    if traits.danceability > 0.65 and traits.acousticness < 0.5:
        octaves = (0, 7) if traits.valence > 0.5 else (0, 0)
        return [(step + 2, 1.8, octaves[step // STEPS % 2]) for step in beats] + [(0, 1.5, 0)]
    if traits.energy > 0.7:
        turn = 4 if bar % 4 == 3 else 0
        return [
            (step, 1.8, turn if step >= traits.steps_a_bar - STEPS else 0) for step in range(0, traits.steps_a_bar, 2)
        ]
    return [(0, 5.5, 0), (traits.steps_a_bar // 2, 3.5, 4), (traits.steps_a_bar - 2, 1.8, 0)]


def _arpeggio(writer: _Writer) -> list[Note]:
    traits = writer.traits
    octave = 4 if traits.acousticness > 0.5 else 5  # a guitar's middle, a synthesiser's top
    figure = ARPEGGIOS[writer.rng.integers(len(ARPEGGIOS))]
    every = 1 if traits.energy > 0.75 and traits.instrumentalness > 0.4 else 2 if traits.energy > 0.3 else 4
    notes = []
    for bar in range(writer.n_bars - 1):
        degrees = (*writer.chord(bar), writer.chord(bar)[0] + 7)
        for place, step in enumerate(range(0, traits.steps_a_bar, every)):
            degree = degrees[figure[place % len(figure)]]
            accent = 0.8 if step % STEPS == 0 else 0.55
            notes.append(writer.note(bar, step, every * 1.6, writer.pitch(degree, octave), accent))
    last = writer.n_bars - 1
    return notes + [
        writer.note(last, 0, traits.steps_a_bar, writer.pitch(degree, 5), 0.7) for degree in writer.chord(last)
    ]


def _motif(writer: _Writer) -> list[tuple[int, int, int]]:
    """(step, steps, degree above the root) of one bar: chord notes on the beat, neighbours between."""
    n_steps, rng = writer.traits.steps_a_bar, writer.rng
    lengths = (2, 2, 3, 4) if writer.traits.energy > 0.5 else (2, 4, 4, 6)
    motif, step, degree = [], 0, int(rng.choice((2, 4, 7)))
    while step < n_steps - 1:
        steps = min(int(rng.choice(lengths)), n_steps - step)
        if step % STEPS == 0:
            degree = min((0, 2, 4, 7), key=lambda chord_note: abs(chord_note - degree))
        if rng.random() > 0.15:
            motif.append((step, steps, degree))
        degree += int(rng.choice((-2, -1, -1, 1, 1, 2)))
        step += steps
    return motif


def _lead(writer: _Writer) -> list[Note]:
    """Two motifs in the order A A B A, laid on each bar's chord; rests more the less a song sings."""
    first, second = _motif(writer), _motif(writer)
    rests = 0.5 * writer.traits.instrumentalness
    notes = []
    for bar in range(writer.enters(0.25), writer.n_bars - 1):
        if writer.rng.random() < rests:
            continue
        for step, steps, degree in second if bar % 4 == 2 else first:
            pitch = writer.pitch(writer.root(bar) + degree - (7 if writer.root(bar) > 3 else 0), 5)
            notes.append(writer.note(bar, step, steps * 0.92, pitch, 0.85 if step % STEPS == 0 else 0.7))
    notes.append(writer.note(writer.n_bars - 1, 0, writer.traits.steps_a_bar, writer.pitch(0, 5), 0.7))
    return notes


def _drums(writer: _Writer) -> dict[str, tuple[Note, ...]]:
    beat = BEATS[_beat_of(writer.traits)]
    first, last = writer.enters(0.12), writer.n_bars - 1
    pause = writer.enters(0.6)
    drums = {}
    for drum, pattern in beat.items():
        bars = [bar for bar in range(first, last) if bar != pause or drum == "hat"]
        drums[drum] = tuple(
            note for bar in bars for note in _strokes(writer, bar, _fitted(writer.traits, drum, pattern))
        )
    return drums


def _beat_of(traits: Traits) -> str:
    if traits.energy < 0.2:
        return "none"
    if traits.style.beat == "none" and traits.energy > 0.6:
        return "backbeat"
    if traits.style.beat == "backbeat":
        if traits.time_signature == 3:
            return "waltz"
        if traits.danceability > 0.7 and traits.energy > 0.5:
            return "four on the floor"
        return "driving" if traits.energy > 0.85 else "backbeat"
    return traits.style.beat


def _fitted(traits: Traits, drum: str, pattern: str) -> str:
    """A drum's pattern laid on the metre, and thicker where there is energy."""
    if drum == "hat" and traits.energy > 0.8 and traits.style.swing == 0:
        pattern = "".join("o" if stroke == "." else stroke for stroke in pattern)
    n_steps = traits.steps_a_bar
    return (pattern * math.ceil(n_steps / len(pattern)))[:n_steps]


def _strokes(writer: _Writer, bar: int, pattern: str) -> Sequence[Note]:
    force = 0.45 + 0.55 * writer.traits.energy
    strength = {"x": force, "o": force * 0.5}
    return [writer.note(bar, step, 1, 0, strength[stroke]) for step, stroke in enumerate(pattern) if stroke != "."]


_PARTS: Mapping[str, Callable[[_Writer], list[Note]]] = {
    "pad": _pad,
    "bass": _bass,
    "arpeggio": _arpeggio,
    "lead": _lead,
}
