"""Figures on disk, and their tables in docs/benchmarks.md."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"

Say = Callable[[str], None]  # tells a line of progress


def write(name: str, found: Mapping[str, Any], folder: Path = RESULTS) -> None:
    """What one benchmark found, as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n")


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; numbers with three figures, on the right."""
    numeric = [all(isinstance(row[i], int | float) or row[i] is None for row in rows) for i in range(len(header))]
    rule = ["---:" if right else "---" for right in numeric]
    lines = [header, rule, *([shown(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def shown(value: Any) -> str:
    """A cell: numbers with three figures and thousands apart, None as a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool | str):
        return str(value)
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(places, 6)}f}" if isinstance(value, float) else str(value)


def told(machine: Mapping[str, Any]) -> str:
    """The machine in one line."""
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads each, "
        f"{machine['memory_gib']:g} GiB, {machine['system']}; {versions}."
    )


def place(page: str, name: str, text: str) -> str:
    """The page with `text` between the markers of this name. Raises ValueError where they are absent."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if start not in page or end not in page:
        raise ValueError(f"the page has no place for {name}: put {start} and {end} where its tables belong")
    before, rest = page.split(start, 1)
    return f"{before}{start}\n\n{text.strip()}\n\n{end}{rest.split(end, 1)[1]}"
