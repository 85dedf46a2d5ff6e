"""Rows of a file that passed its check, kept on disk until the whole file has passed."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from tqdm import tqdm

CHUNK = 1000  # rows handed on at once

Row = dict[str, Any]
Bar = Callable[..., tqdm]
SILENT: Bar = partial(tqdm, disable=True)


@dataclass
class Staged:
    """Rows that passed, one for each key, in a private database on disk that vanishes with this object."""

    name: str
    bar: Bar = SILENT
    header: tuple[str, ...] = ()
    n_rows: int = 0
    not_numbers: set[str] = field(default_factory=set)  # extra columns that proved to hold something else

    def __post_init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE staged (line INTEGER PRIMARY KEY, key TEXT UNIQUE, row TEXT)")
        self._database.execute("BEGIN")

    def add(self, line: int, key: str, row: Row) -> int | None:
        """Keep a row, unless its key is there already: then the answer is the line where."""
        done = self._database.execute("INSERT OR IGNORE INTO staged VALUES (?, ?, ?)", (line, key, json.dumps(row)))
        if done.rowcount:
            self.n_rows += 1
            return None
        earlier: int = self._database.execute("SELECT line FROM staged WHERE key = ?", (key,)).fetchone()[0]
        return earlier

    def merge(self, line: int, row: Row, merge: Callable[[Row, Row], Row]) -> None:
        """Put a further row of one key into the row that stands in `line`."""
        stored = self._database.execute("SELECT row FROM staged WHERE line = ?", (line,)).fetchone()[0]
        merged = json.dumps(merge(json.loads(stored), row))
        self._database.execute("UPDATE staged SET row = ? WHERE line = ?", (merged, line))

    def chunks(self, order: str = "line") -> Iterator[list[tuple[int, Row]]]:
        """The rows with their lines, in the file's order or in the order of their keys."""
        with self.bar(desc=f"{self.name} written", total=self.n_rows, unit=" rows") as bar:
            cursor = self._database.execute(f"SELECT line, row FROM staged ORDER BY {order}")  # noqa: S608 - our word
            while rows := cursor.fetchmany(CHUNK):
                yield [(line, self._numbers_only(json.loads(row))) for line, row in rows]
                bar.update(len(rows))

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def _numbers_only(self, row: Row) -> Row:
        if "extras" in row:
            row["extras"] = {name: value for name, value in row["extras"].items() if name not in self.not_numbers}
        return row
