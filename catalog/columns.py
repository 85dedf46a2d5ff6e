"""What a column of a table file may hold, and how its text becomes a value."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from catalog.features import Feature

LIST_SEPARATOR = "|"
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

Parse = Callable[[str], Any]


@dataclass(frozen=True)
class Column:
    """A column that a file may have. `parse` raises ValueError saying what would be right."""

    name: str
    parse: Parse
    required: bool = False  # the file must have it
    filled: bool = False  # and no row may leave it blank
    field: str = ""  # what its value is called from here on, where not by its name

    @property
    def key(self) -> str:
        return self.field or self.name


def text(longest: int) -> Parse:
    def parse(value: str) -> str:
        if len(value) > longest:
            raise ValueError(f"it has {len(value)} signs; at most {longest} are kept")
        return value

    return parse


def words(longest: int) -> Parse:
    """'a|b|a' -> ['a', 'b']"""

    def parse(value: str) -> list[str]:
        found = list(dict.fromkeys(part.strip() for part in value.split(LIST_SEPARATOR) if part.strip()))
        too_long = [word for word in found if len(word) > longest]
        if too_long:
            raise ValueError(f"one of its words has {len(too_long[0])} signs; at most {longest} are kept")
        return found

    return parse


def number(feature: Feature, blank: str = ", or blank where unknown") -> Parse:
    wanted = f"it must be {'a whole number ' if feature.whole else ''}{feature.range_words}{blank}"

    def parse(value: str) -> float | int:
        read = real(value)
        if read is None or not feature.admits(read) or (feature.whole and not read.is_integer()):
            raise ValueError(wanted)
        return int(read) if feature.whole else read

    return parse


def real(value: str) -> float | None:
    """The number a text holds (NaN and infinities too), None where it holds none."""
    try:
        return None if "_" in value else float(value)
    except ValueError:
        return None


def moment(value: str) -> str:
    """A past instant as ISO 8601 text in UTC; without an offset it is taken to be UTC already."""
    try:
        read = datetime.fromisoformat(value)
        instant = (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("it must be a time such as 2024-05-31T18:30:00Z, or blank where unknown") from None
    # A day of slack, for times written down in another zone without saying so.
    if not EARLIEST <= instant <= datetime.now(UTC) + timedelta(days=1):
        raise ValueError(f"it must lie between {EARLIEST.year} and now, or be blank where unknown")
    return instant.isoformat()
