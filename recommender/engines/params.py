"""Ranges of hyper-parameters, checked before anything is learned."""

from collections.abc import Mapping

from quasimusic.exceptions import ParameterOutOfRange
from recommender.engines.base import Params

Ranges = Mapping[str, tuple[float, float]]


def check_ranges(engine: str, params: Params, ranges: Ranges) -> None:
    """Raise ParameterOutOfRange naming the first parameter that is not a number within its closed range."""
    for name, (least, most) in ranges.items():
        value = params[name]
        if not isinstance(value, int | float) or not least <= value <= most:
            raise ParameterOutOfRange(f"{engine}: {name} is {value!r}; it must be a number from {least:g} to {most:g}")
