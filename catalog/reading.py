"""Reading a table file: checked row by row as it streams past, staged on disk, handed on in chunks.

A file of any size is read once, line by line. Rows that pass are staged outside memory until the whole file has
passed, so memory stays bounded and nothing is written for a file that turns out to be bad.
"""

import csv
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from math import isfinite
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from catalog.columns import Column, real
from catalog.staging import SILENT, Bar, Row, Staged
from quasimusic.exceptions import ColumnIgnored, ColumnMissing, FileRejected, RowRejected

MOST_FAULTS = 20  # bad rows named at once
LONGEST_LINE = 1_000_000  # bytes; a longer line is no row but a file of another kind


class Faults:
    """The bad rows of one file, named together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, line: int, column: str, value: str, why: str) -> None:
        self.add_row(line, f"{column}: {_shortened(value)} will not do, {why}")

    def add_row(self, line: int, why: str) -> None:
        self.found.append((line, why))
        if len(self.found) >= MOST_FAULTS:
            self.raise_any()

    def raise_any(self) -> None:
        if self.found:
            more = f" (the first {MOST_FAULTS} are named)" if len(self.found) >= MOST_FAULTS else ""
            lines = "\n".join(f"  {self.name}, line {line}, {why}" for line, why in sorted(self.found))
            raise RowRejected(f"{self.name} has bad rows{more}; nothing of it was imported.\n{lines}")


def _shortened(value: str) -> str:
    return repr(value) if len(value) <= 60 else f"{value[:60]!r}..."


def stage(
    path: Path,
    columns: Iterable[Column],
    *,
    key: Sequence[str],
    keep_numbers: bool = False,
    merge: Callable[[Row, Row], Row] | None = None,
    bar: Bar = SILENT,
) -> Staged:
    """Read and check a whole file.

    key : the fields that together may stand in one row alone; `merge` takes further rows of the same key instead.
    keep_numbers : numeric columns that nobody named are kept, as `extras` by name.
    Raises FileRejected, ColumnMissing, RowRejected. Warns ColumnIgnored.
    """
    with ExitStack() as unfinished:
        staged = unfinished.enter_context(Staged(path.name, bar))
        try:
            with path.open("rb") as file, bar(desc=f"{path.name} read", total=path.stat().st_size, unit="B") as read:
                _Check(staged, columns, key, keep_numbers, merge).run(_lines(file, path.name, read))
        except (OSError, sqlite3.Error) as fault:
            raise FileRejected(f"{path.name} cannot be read and kept for checking: {fault}") from fault
        unfinished.pop_all()
    return staged


def header_of(path: Path) -> list[str]:
    """The names in a file's first line, none where it has no readable one."""
    try:
        with path.open("rb") as file:
            first = file.readline(LONGEST_LINE).decode("utf-8-sig", errors="replace")
        return [name.strip() for name in next(csv.reader([first]), [])]
    except (OSError, csv.Error):
        return []


def _lines(file: BinaryIO, name: str, bar: tqdm) -> Iterator[str]:
    for line in count(1):
        raw = file.readline(LONGEST_LINE + 1)
        if not raw:
            return
        bar.update(len(raw))
        if len(raw) > LONGEST_LINE:
            raise FileRejected(f"{name}, line {line}: longer than {LONGEST_LINE} bytes; a table has one row a line")
        if b"\0" in raw:
            raise FileRejected(f"{name}, line {line}: holds a NUL byte; save the file again as UTF-8 text")
        try:
            yield raw.decode("utf-8-sig" if line == 1 else "utf-8")
        except UnicodeDecodeError as fault:
            where = f"byte {raw[fault.start]:#04x} in place {fault.start + 1}"
            raise FileRejected(f"{name}, line {line}: {where} is not UTF-8; save the file as UTF-8") from None


class _Check:
    """One reading of one file: every cell looked at, every fault noted, every good row staged."""

    def __init__(
        self,
        staged: Staged,
        columns: Iterable[Column],
        key: Sequence[str],
        keep_numbers: bool,
        merge: Callable[[Row, Row], Row] | None,
    ) -> None:
        self.staged = staged
        self.columns = {column.name: column for column in columns}
        self.key = key
        self.keep_numbers = keep_numbers
        self.merge = merge
        self.faults = Faults(staged.name)
        self.not_finite: dict[str, tuple[int, str]] = {}  # of an extra column: the first line with NaN or inf

    def run(self, lines: Iterator[str]) -> None:
        records = _records(lines, self.staged.name)
        header = [name.strip() for name in next(records, (1, []))[1]]
        self._check_header(header)
        known = [(place, self.columns[name]) for place, name in enumerate(header) if name in self.columns]
        extra = [(place, name) for place, name in enumerate(header) if name not in self.columns and name]
        for line, fields in records:
            if not fields:
                continue
            if len(fields) != len(header):
                self.faults.add_row(line, f"it has {len(fields)} fields where the header has {len(header)}")
                continue
            cells = [cell.strip() for cell in fields]
            row = self._row(line, cells, known)
            if self.keep_numbers:
                row["extras"] = self._extras(line, cells, extra)
            self._keep(line, row)
        self._settle_extras([name for _place, name in extra])
        self.faults.raise_any()

    def _check_header(self, header: list[str]) -> None:
        name = self.staged.name
        if not any(header):
            raise FileRejected(f"{name}, line 1: empty; the first line names the columns")
        twice = sorted({column for column in header if column and header.count(column) > 1})
        if twice:
            raise FileRejected(f"{name}, line 1: column {', '.join(twice)} stands twice; give each its own name")
        missing = [column.name for column in self.columns.values() if column.required and column.name not in header]
        if missing:
            there_are = _shortened(", ".join(header))
            raise ColumnMissing(f"{name}, line 1: no column {', '.join(missing)}; it has {there_are}")
        self.staged.header = tuple(header)

    def _row(self, line: int, cells: list[str], known: list[tuple[int, Column]]) -> Row:
        row: Row = {}
        for place, column in known:
            cell = cells[place]
            if not cell:
                if column.filled:
                    self.faults.add_row(line, f"{column.name}: blank; every row must fill it")
                continue
            try:
                row[column.key] = column.parse(cell)
            except ValueError as why:
                self.faults.add(line, column.name, cell, str(why))
        return row

    def _extras(self, line: int, cells: list[str], extra: list[tuple[int, str]]) -> dict[str, float]:
        extras = {}
        for place, name in extra:
            if not cells[place] or name in self.staged.not_numbers:
                continue
            value = real(cells[place])
            if value is None:
                self.staged.not_numbers.add(name)
            elif not isfinite(value):
                self.not_finite.setdefault(name, (line, cells[place]))
            else:
                extras[name] = value
        return extras

    def _keep(self, line: int, row: Row) -> None:
        if any(name not in row for name in self.key):
            return
        earlier = self.staged.add(line, "\0".join(row[name] for name in self.key), row)
        if earlier is None:
            return
        if self.merge:
            self.staged.merge(earlier, row, self.merge)
        else:
            stands = ", ".join(row[name] for name in self.key)
            self.faults.add(line, " and ".join(self.key), stands, f"it stands in line {earlier} already")

    def _settle_extras(self, names: list[str]) -> None:
        for name, (line, value) in self.not_finite.items():
            if name not in self.staged.not_numbers:
                self.faults.add(line, name, value, "it must be a finite number, or blank where unknown")
        ignored = [name for name in names if not self.keep_numbers or name in self.staged.not_numbers]
        if ignored:
            why = "not numeric" if self.keep_numbers else "not known"
            message = f"{self.staged.name}: columns left out, {why}: {', '.join(ignored)}"
            warnings.warn(ColumnIgnored(message), stacklevel=2)


def _records(lines: Iterator[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it begins in."""
    reader = csv.reader(lines, strict=True)
    line = 1
    try:
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1
    except csv.Error as fault:
        raise FileRejected(f"{name}, line {line}: {fault}; the file must be comma-separated values") from None
