"""Draws a simulation: `python -m benchmarks.simulation FILE`, of what `manage.py simulate --json FILE` wrote."""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report import ROOT

PICTURE = ROOT / "docs" / "pictures" / "simulation.svg"
LINES = ("-", "--")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("file", type=Path)
    draw(json.loads(parser.parse_args().file.read_text()))


def draw(figures: dict[str, Any], picture: Path = PICTURE) -> None:
    """Weights of the planted best and the loss so far, over the days; the same figures give the same file."""
    with mpl.rc_context({"svg.hashsalt": "simulation", "font.size": 9}):
        figure = Figure(figsize=(8, 3.4), layout="constrained")
        weights, losses = figure.subplots(1, 2)
        days = range(1, figures["days"] + 1)
        learned, *_ = figures["worlds"]
        for name, group in figures["worlds"][learned]["groups"].items():
            weights.plot(days, group["weights"], label=name)
        weights.plot(days, _course(figures, learned, "weight"), color="black", linewidth=2, label="everybody")
        _finish(weights, f"weight of the planted best ({learned})")
        for style, name in zip(LINES, figures["worlds"], strict=False):
            losses.plot(days, _course(figures, name, "regret"), style, color="black", label=name)
        _finish(losses, "reward of a song lost so far")
        picture.parent.mkdir(exist_ok=True)
        figure.savefig(picture, metadata={"Date": None})


def _course(figures: dict[str, Any], world: str, what: str) -> list[float]:
    return [day[what] for day in figures["worlds"][world]["days"]]


def _finish(axes: Axes, title: str) -> None:
    axes.set(xlabel="day", ylabel=title)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, color="0.9")
    axes.legend(frameon=False)


if __name__ == "__main__":
    main()
