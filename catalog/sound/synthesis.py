"""From notes to samples: a small synthesiser, a drum kit, a room and a mastering chain.

A tone is read from two one-cycle tables, a bright and a dull one, and fades from the first to the second as a string
or a filter does. Tables hold only harmonics below half the sample rate, so nothing folds back.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from catalog.sound.composition import Note, Piece, Traits

Samples = NDArray[np.float32]

SAMPLE_RATE = 48_000
PEAK = 10 ** (-3 / 20)  # -3 dBFS: Opus overshoots by up to 2 dB, which leaves 1
TABLE_SIZE = 4096
FADE_IN, FADE_OUT = 0.02, 2.5  # seconds


@dataclass(frozen=True)
class Patch:
    """How a part sounds.

    harmonics : amplitude of each harmonic number, before the filter.
    attack, decay, release : seconds; decay is the time constant of the fall to `sustain` (0..1).
    shine : time constant in seconds of the fall from the bright table to the dull one.
    detune : cents by which each of two voices is off, one flat and one sharp.
    vibrato : cents, at 5.2 Hz, setting in after a quarter of a second.
    """

    harmonics: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    attack: float
    decay: float
    sustain: float
    release: float
    shine: float
    detune: float = 0.0
    vibrato: float = 0.0


def _saw(number: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / number


def _square(number: NDArray[np.float64]) -> NDArray[np.float64]:
    return (number % 2) / number


def _string(number: NDArray[np.float64]) -> NDArray[np.float64]:
    """Plucked at a seventh of its length."""
    return np.sin(np.pi * number / 7) / number**1.2


def _soft(number: NDArray[np.float64]) -> NDArray[np.float64]:
    return number**-2.5


def _reed(number: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-0.5 * ((number - 2) / 1.6) ** 2)


ACOUSTIC: Mapping[str, Patch] = {
    "pad": Patch(_soft, attack=0.25, decay=3.0, sustain=0.7, release=0.5, shine=2.0, detune=4),
    "bass": Patch(_string, attack=0.006, decay=0.9, sustain=0.15, release=0.12, shine=0.25),
    "arpeggio": Patch(_string, attack=0.003, decay=0.6, sustain=0.0, release=0.3, shine=0.22, detune=1),
    "lead": Patch(_reed, attack=0.06, decay=1.5, sustain=0.7, release=0.18, shine=0.8, detune=1, vibrato=12),
}
ELECTRIC: Mapping[str, Patch] = {
    "pad": Patch(_saw, attack=0.12, decay=2.0, sustain=0.75, release=0.3, shine=1.2, detune=9),
    "bass": Patch(_saw, attack=0.004, decay=0.4, sustain=0.5, release=0.05, shine=0.12),
    "arpeggio": Patch(_square, attack=0.002, decay=0.18, sustain=0.15, release=0.1, shine=0.09, detune=5),
    "lead": Patch(_saw, attack=0.012, decay=0.8, sustain=0.6, release=0.12, shine=0.3, detune=7, vibrato=8),
}
LEVELS = {
    "pad": 0.12,
    "bass": 0.32,
    "arpeggio": 0.26,
    "lead": 0.25,
    "kick": 0.95,
    "snare": 0.9,
    "clap": 0.9,
    "hat": 0.3,
}
PANS = {"pad": 0.0, "bass": 0.0, "arpeggio": -0.35, "lead": 0.2, "kick": 0.0, "snare": 0.05, "clap": -0.1, "hat": 0.3}
IN_THE_ROOM = {"pad": 0.25, "arpeggio": 0.3, "lead": 0.35, "snare": 0.2, "clap": 0.25, "hat": 0.05}
ECHOED = {"arpeggio": 0.3, "lead": 0.25}


def render(piece: Piece) -> Samples:
    """Play a piece. Returns float32 (n, 2) at SAMPLE_RATE, peak at PEAK, no DC."""
    traits = piece.traits
    n = round(piece.seconds * SAMPLE_RATE)
    rng = np.random.default_rng([traits.seed, 2])
    kit = _kit(traits, rng)
    parts = {
        name: _played(notes, n, lambda note, name=name: kit[name] if name in kit else _tone(name, note, traits))
        for name, notes in piece.parts.items()
        if notes
    }
    tracks = {name: _placed(samples * LEVELS[name], PANS[name]) for name, samples in parts.items()}
    _duck(tracks, piece)
    mix = sum(tracks.values()) + _echo(_sent(tracks, ECHOED, n), traits)
    mix += _room(_sent(tracks, IN_THE_ROOM, n), traits, rng)
    return _mastered(mix, traits)


def _played(notes: Iterable[Note], n: int, sound_of: Callable[[Note], Samples]) -> Samples:
    """Notes laid on a strip of n samples, float32 (n, 2); equal notes are made once."""
    strip = np.zeros((n, 2), dtype=np.float32)
    made: dict[tuple[int, int], Samples] = {}
    for note in notes:
        start = round(note.start * SAMPLE_RATE)
        length = round(note.seconds * SAMPLE_RATE)
        if (note.pitch, length) not in made:
            made[note.pitch, length] = sound_of(note)
        sound = made[note.pitch, length][: max(n - start, 0)]
        strip[start : start + len(sound)] += np.float32(note.velocity) * sound
    return strip


def _tone(part: str, note: Note, traits: Traits) -> Samples:
    """One note, float32 (k, 2): two voices a little apart in tune, one to each side."""
    patch = (ACOUSTIC if traits.acousticness > 0.5 else ELECTRIC)[part]
    frequency = 440 * 2 ** ((note.pitch - 69) / 12)
    bright, dull = (_table(patch, frequency, share * _cutoff(traits)) for share in (1.0, 0.3))
    clock = np.arange(round((note.seconds + patch.release) * SAMPLE_RATE)) / SAMPLE_RATE
    shine = np.exp(-clock / patch.shine)
    level = _envelope(clock, note.seconds, patch)
    voices = []
    for cents in (-patch.detune, patch.detune) if patch.detune else (0.0,):
        place = _phase(clock, frequency * 2 ** (cents / 1200), patch.vibrato)
        voices.append(level * (dull[place] + shine * (bright[place] - dull[place])))
    low, high = voices[0], voices[-1]
    # Each side hears both voices, so that the tone stays whole on a single loudspeaker.
    return np.stack((0.7 * low + 0.3 * high, 0.3 * low + 0.7 * high), axis=1).astype(np.float32)


def _cutoff(traits: Traits) -> float:
    """Where the filter of the tones closes, in Hz: bright with energy, mellow where acoustic."""
    return 500 * 2 ** (4 * traits.energy + 0.8 * traits.valence - 0.8 * traits.acousticness)


def _table(patch: Patch, frequency: float, cutoff: float) -> NDArray[np.float64]:
    """One cycle of the patch behind a 12 dB low-pass, float64 (TABLE_SIZE,) of unit power."""
    number = np.arange(1.0, max(2, min(TABLE_SIZE // 4, int(0.45 * SAMPLE_RATE / frequency))))
    amplitude = patch.harmonics(number) / (1 + (number * frequency / cutoff) ** 2)
    spectrum = np.zeros(TABLE_SIZE // 2 + 1, dtype=complex)
    spectrum[1 : len(number) + 1] = -1j * amplitude
    cycle = np.fft.irfft(spectrum)
    return cycle / np.sqrt(np.mean(cycle**2))


def _phase(clock: NDArray[np.float64], frequency: float, vibrato: float) -> NDArray[np.int64]:
    """Place in the table at each moment."""
    cycles = frequency * clock
    if vibrato:
        depth = frequency * (2 ** (vibrato / 1200) - 1) * np.clip(clock * 4 - 1, 0, 1)
        cycles -= depth * np.cos(2 * np.pi * 5.2 * clock) / (2 * np.pi * 5.2)
    return (cycles * TABLE_SIZE).astype(np.int64) % TABLE_SIZE


def _envelope(clock: NDArray[np.float64], seconds: float, patch: Patch) -> NDArray[np.float64]:
    rise = np.minimum(clock / patch.attack, 1)
    fall = patch.sustain + (1 - patch.sustain) * np.exp(-np.maximum(clock - patch.attack, 0) / patch.decay)
    end = np.clip((seconds + patch.release - clock) / patch.release, 0, 1)
    return rise * fall * end**2


def _kit(traits: Traits, rng: np.random.Generator) -> dict[str, Samples]:
    """One stroke of each drum, float32 (k, 1): deep and hard where electric, lighter where acoustic."""
    soft = traits.acousticness
    clock = np.arange(round(0.4 * SAMPLE_RATE)) / SAMPLE_RATE
    noise = rng.standard_normal(len(clock))
    drop = 48 * clock + (150 - 60 * soft) * 0.035 * (1 - np.exp(-clock / 0.035))
    kick = np.sin(2 * np.pi * drop) * np.exp(-clock / (0.12 - 0.05 * soft)) + 0.08 * noise * np.exp(-clock / 0.003)
    skin = np.sin(2 * np.pi * (185 + 25 * soft) * clock) * np.exp(-clock / 0.05)
    rattle = _banded(noise, 1200, 9000 - 3000 * soft) * np.exp(-clock / (0.07 + 0.05 * traits.energy))
    hands = sum(np.exp(-np.maximum(clock - at, 0) / 0.012) * (clock >= at) for at in (0.0, 0.011, 0.023))
    clap = _banded(noise, 900, 5000) * (0.5 * hands + np.exp(-clock / 0.09)) * 0.8
    hat = _banded(noise, 6500, 15000) * np.exp(-clock / (0.025 + 0.035 * traits.danceability))
    drums = {"kick": kick, "snare": 0.6 * skin + (0.9 - 0.3 * soft) * rattle, "clap": clap, "hat": hat}
    tail = np.minimum((clock[-1] - clock) / 0.05, 1)
    return {name: (drum * tail).astype(np.float32)[:, None] for name, drum in drums.items()}


def _banded(noise: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return signal.sosfilt(signal.butter(2, (low, high), "bandpass", fs=SAMPLE_RATE, output="sos"), noise)


def _placed(samples: Samples, pan: float) -> Samples:
    """Panned at constant power, -1 left .. 1 right."""
    angle = (pan + 1) * np.pi / 4
    return samples * np.array([np.cos(angle), np.sin(angle)], dtype=np.float32) * np.float32(np.sqrt(2))


def _duck(tracks: dict[str, Samples], piece: Piece) -> None:
    """Where people dance, the tones give way to each kick."""
    kicks = piece.parts.get("kick", ())
    depth = 0.75 * piece.traits.danceability * (1 - piece.traits.acousticness)
    if not kicks or depth < 0.2:
        return
    n = len(tracks["kick"])
    gain = np.ones(n, dtype=np.float32)
    clock = np.arange(round(0.3 * SAMPLE_RATE)) / SAMPLE_RATE
    dip = (1 - depth * np.exp(-clock / 0.09) * np.minimum(clock / 0.004, 1)).astype(np.float32)
    for kick in kicks:
        start = round(kick.start * SAMPLE_RATE)
        span = gain[start : start + len(dip)]
        np.minimum(span, dip[: len(span)], out=span)
    for name in ("pad", "bass", "arpeggio"):
        if name in tracks:
            tracks[name] *= gain[:, None]


def _sent(tracks: Mapping[str, Samples], shares: Mapping[str, float], n: int) -> Samples:
    send = np.zeros((n, 2), dtype=np.float32)
    for name, share in shares.items():
        if name in tracks:
            send += np.float32(share) * tracks[name]
    return send


def _echo(send: Samples, traits: Traits) -> Samples:
    """Three echoes, three sixteenths apart, from side to side."""
    apart = round(3 * traits.step_seconds * SAMPLE_RATE)
    echoes = np.zeros_like(send)
    for number in (1, 2, 3):
        sides = send[:, ::-1] if number % 2 else send
        echoes[number * apart :] += np.float32(0.5**number) * sides[: -number * apart]
    return echoes


def _room(send: Samples, traits: Traits, rng: np.random.Generator) -> Samples:
    """A reverberation: noise that dies away, another on each side."""
    seconds = 0.7 + 0.8 * traits.acousticness
    clock = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = rng.standard_normal((len(clock), 2)) * np.exp(-6.9 * clock / seconds)[:, None]
    noise[: round(0.012 * SAMPLE_RATE)] = 0  # the first wall is some metres away
    noise = signal.sosfilt(signal.butter(1, (180, 3500), "bandpass", fs=SAMPLE_RATE, output="sos"), noise, axis=0)
    noise /= np.sqrt((noise**2).sum(axis=0))
    return signal.oaconvolve(send, noise.astype(np.float32), axes=0)[: len(send)]


def _mastered(mix: Samples, traits: Traits) -> Samples:
    """High-passed, evened out, softly clipped, faded at both ends, peak at PEAK."""
    steady = signal.sosfilt(signal.butter(2, 28, "highpass", fs=SAMPLE_RATE, output="sos"), mix, axis=0)
    evened = steady * _even_gain(steady, 0.2 + 0.4 * traits.energy)[:, None]
    drive = 0.3 + 0.7 * traits.energy
    clipped = np.tanh(drive * evened / np.percentile(np.abs(evened[::16]), 99.5))
    clipped -= clipped.mean(axis=0)
    faded = clipped * _fades(len(clipped))[:, None]
    return (faded * (PEAK / np.abs(faded).max())).astype(np.float32)


def _even_gain(mix: Samples, share: float) -> NDArray[np.float64]:
    """A slow compressor: the gain at each sample that takes this share (0..1) of the loudness differences away."""
    block = SAMPLE_RATE // 20
    power = np.add.reduceat((mix**2).mean(axis=1), np.arange(0, len(mix), block)) / block
    loudness = np.sqrt(signal.convolve(power, np.full(5, 0.2), mode="same"))
    gain = (np.maximum(loudness, 0.05 * loudness.max()) / loudness.max()) ** -share
    return np.interp(np.arange(len(mix)), np.arange(len(gain)) * block, gain)


def _fades(n: int) -> NDArray[np.float64]:
    clock = np.arange(n) / SAMPLE_RATE
    return np.minimum(np.minimum(clock / FADE_IN, (clock[-1] - clock) / FADE_OUT), 1)
