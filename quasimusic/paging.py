"""Pages cut by key: page 1,000 costs what page 1 does, and a row added meanwhile shifts nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet

from quasimusic.exceptions import InputFault

PAGE_SIZE = 30


@dataclass(frozen=True)
class Page:
    rows: list[Any]
    next: str  # what `?after=` takes to show the rows that follow; "" on the last page

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)


def page_after(rows: QuerySet, *keys: str, after: str = "", size: int = PAGE_SIZE) -> Page:
    """The rows that come after a mark in the order of `keys` ("-" turns one round); the last key must be unique.

    Raises InputFault where the mark is none of ours, or of a list in another order.
    """
    ordered = rows.order_by(*keys)
    if after:
        ordered = ordered.filter(_beyond(keys, _read(after, keys)))
    found = list(ordered[: size + 1])
    return Page(found[:size], _mark(found[size - 1], keys) if len(found) > size else "")


def _beyond(keys: Sequence[str], values: Sequence[Any]) -> Q:
    """Beyond in the first key, or level in the first and beyond in the second, and so on."""
    names = [key.lstrip("-") for key in keys]
    ways = ["lt" if key.startswith("-") else "gt" for key in keys]
    level = dict(zip(names, values, strict=True))
    steps = (
        Q(**{before: level[before] for before in names[:i]}, **{f"{name}__{way}": level[name]})
        for i, (name, way) in enumerate(zip(names, ways, strict=True))
    )
    return reduce(Q.__or__, steps)


def _signer(keys: Sequence[str]) -> Signer:
    """Signed, so that the values read back have the types of the keys."""
    return Signer(salt=f"page by {' '.join(keys)}")


def _mark(row: Model, keys: Sequence[str]) -> str:
    values = (getattr(row, key.lstrip("-")) for key in keys)
    return _signer(keys).sign_object([value.isoformat() if hasattr(value, "isoformat") else value for value in values])


def _read(mark: str, keys: Sequence[str]) -> list[Any]:
    try:
        return _signer(keys).unsign_object(mark)
    except BadSignature:
        raise InputFault("This page mark is not one of ours. Go back to the start of the list.") from None
