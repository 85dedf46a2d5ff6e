"""The mixing board: what was learned of a listener, what they set over it, and what last moved."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils import timezone

from accounts.models import Listener
from quasimusic.exceptions import SliderOutOfRange, UnknownEngine
from recommender.engines import ENGINES
from recommender.models import Board, Movement
from recommender.services.weights import heard_weights, learned_weights

MOVEMENTS_SHOWN = 6


@dataclass(frozen=True)
class Channel:
    """One engine on the board. learned, heard: its weight before and after the slider, 0 to 1."""

    name: str
    title: str
    slider: float
    learned: float
    heard: float


@dataclass(frozen=True)
class MixingBoard:
    channels: tuple[Channel, ...]
    novelty: float
    movements: tuple[Movement, ...]

    @property
    def is_as_learned(self) -> bool:
        return self.novelty == 0 and all(channel.slider == 1 for channel in self.channels)


def mixing_board(*, listener: Listener) -> MixingBoard:
    """The listener's own board as it stands now."""
    own = Board.objects.filter(listener=listener).first() or Board(listener=listener)
    learned = learned_weights(listener_ids=[listener.pk])[listener.pk]
    heard = heard_weights(learned=learned, sliders=own.sliders)
    channels = tuple(
        Channel(name, ENGINES[name].title, own.sliders.get(name, 1.0), learned[name], heard[name]) for name in learned
    )
    movements = listener.movements.select_related("song")[:MOVEMENTS_SHOWN]
    return MixingBoard(channels, own.novelty, tuple(movements))


def save_board(*, listener: Listener, sliders: Mapping[str, float], novelty: float) -> Board:
    """Set the sliders in place of the earlier ones; an engine not named stands as learned.

    Raises UnknownEngine, SliderOutOfRange.
    """
    unknown = sorted(set(sliders) - set(ENGINES))
    if unknown:
        raise UnknownEngine(f"No engine {', '.join(unknown)}; the band is {', '.join(ENGINES)}.")
    for name, slider in sliders.items():
        _check(name, slider, 0, Board.LOUDEST)
    _check("novelty", novelty, -1, 1)
    moved = {name: float(slider) for name, slider in sliders.items() if slider != 1}
    values = {"sliders": moved, "novelty": float(novelty), "changed_at": timezone.now()}
    board, _ = Board.objects.update_or_create(listener=listener, defaults=values)
    return board


def reset_board(*, listener: Listener) -> Board:
    """Back to what was learned."""
    return save_board(listener=listener, sliders={}, novelty=0)


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise SliderOutOfRange(f"The slider of {name} goes from {least:g} to {most:g}; it cannot be {value:g}.")
