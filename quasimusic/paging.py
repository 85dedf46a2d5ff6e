"""Pages cut by key: page 1,000 costs what page 1 does, and a row added meanwhile shifts nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet

from quasimusic.exceptions import InputFault

PAGE_SIZE = 30
_signer = Signer(salt="page")


@dataclass(frozen=True)
class Page:
    rows: list[Any]
    next: str  # what `?after=` takes to show the rows that follow; "" on the last page

    def __iter__(self):
        return iter(self.rows)

    def __len__(self):
        return len(self.rows)


def page_after(rows: QuerySet, *keys: str, after: str = "", size: int = PAGE_SIZE) -> Page:
    """The rows that come after a cursor in the order of `keys` ("-" turns one round); the last key must be unique.

    Raises InputFault where the cursor is none of ours.
    """
    ordered = rows.order_by(*keys)
    if after:
        ordered = ordered.filter(_beyond(keys, _read(after, len(keys))))
    found = list(ordered[: size + 1])
    return Page(found[:size], _write(found[size - 1], keys) if len(found) > size else "")


def _beyond(keys: Sequence[str], values: Sequence[Any]) -> Q:
    """Beyond in the first key, or level in the first and beyond in the second, and so on."""
    steps = zip(keys, values, strict=True)
    names = [(key.lstrip("-"), "lt" if key.startswith("-") else "gt", value) for key, value in steps]
    beyond = [
        Q(**{level: at for level, _, at in names[:i]}, **{f"{name}__{way}": value})
        for i, (name, way, value) in enumerate(names)
    ]
    return reduce(Q.__or__, beyond)


def _write(row: Model, keys: Sequence[str]) -> str:
    values = (getattr(row, key.lstrip("-")) for key in keys)
    return _signer.sign_object([value.isoformat() if hasattr(value, "isoformat") else value for value in values])


def _read(cursor: str, count: int) -> list[Any]:
    try:
        values = _signer.unsign_object(cursor)
    except BadSignature:
        values = []
    if len(values) != count:
        raise InputFault("This page mark is not one of ours. Go back to the start of the list.")
    return values
