"""Pictures of a search for hyper-parameters, as SVG text: the same search gives the same picture."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from skopt.plots import (  # type: ignore[import-untyped] # the package has no types
    partial_dependence_1D,
    partial_dependence_2D,
)
from skopt.space import Dimension, Integer, Space  # type: ignore[import-untyped] # likewise
from skopt.utils import cook_estimator  # type: ignore[import-untyped] # likewise

from recommender.engines.tables import Floats

INK, GRID, LINE, MARK = "#1f2430", "#d5d9e0", "#2563a8", "#c2410c"
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "quasimusic",  # else the ids inside are drawn by chance
    "figure.facecolor": "white",  # a card of its own, on dark pages as on light ones
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
N_SAMPLES = 250  # points of the space that the other parameters are averaged over
N_STEPS = 40  # along each axis


def convergence(losses: Sequence[float], measure: str) -> str:
    """The loss of every trial, and the best so far."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 3.6), layout="constrained")
        axes = figure.subplots()
        numbers = np.arange(1, len(losses) + 1)
        axes.scatter(numbers, losses, s=22, color=LINE, alpha=0.55, label="this trial", zorder=3)
        best = np.minimum.accumulate(losses)
        axes.step(numbers, best, where="post", color=MARK, linewidth=2, label="best so far")
        axes.set(xlabel="trial", ylabel=measure)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color=GRID, linewidth=0.7)
        axes.legend(frameon=False)
        return _svg(figure, "The best loss after each trial")


def dependence(dimensions: Sequence[Dimension], points: Sequence[Sequence[float]], losses: Floats, measure: str) -> str:
    """How the loss depends on each of two parameters, and on both, as a Gaussian process sees it from these trials.

    dimensions : named. points : (n, 2), what was tried. losses : float64 (n,).
    The lines are partial dependences: the loss expected at a value, averaged over the other parameter.
    """
    space = Space(dimensions)
    surrogate = cook_estimator("GP", space=space.dimensions, random_state=0)
    with warnings.catch_warnings():
        # A kernel that ends at a bound of its own, as on losses all alike, draws no worse for it.
        warnings.filterwarnings("ignore", message="The optimal value found|lbfgs failed", category=UserWarning)
        surrogate.fit(space.transform(points), losses)
    samples = space.transform(space.rvs(N_SAMPLES, random_state=0))
    best = points[int(np.argmin(losses))]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 3.6), layout="constrained")
        first, second, both = figure.subplots(1, 3)
        for number, axes in enumerate((first, second)):
            steps, expected = partial_dependence_1D(space, surrogate, number, samples, n_points=N_STEPS)
            axes.plot(steps, expected, color=LINE, linewidth=2)
            axes.axvline(best[number], color=MARK, linestyle="--", label="best trial")
            axes.grid(color=GRID, linewidth=0.7)
            _measure_off(axes, "x", dimensions[number])
        first.set_ylabel(f"expected {measure}")
        first.legend(frameon=False)
        second.sharey(first)  # a parameter that matters little shall look so
        _draw_both(figure, both, partial_dependence_2D(space, surrogate, 1, 0, samples, N_STEPS), measure)
        both.scatter(*np.transpose(points), s=14, color=INK, clip_on=False, zorder=3)
        both.scatter(*best, s=130, marker="*", color=MARK, clip_on=False, zorder=4)
        _measure_off(both, "x", dimensions[0])
        _measure_off(both, "y", dimensions[1])
        return _svg(figure, "How the loss depends on each parameter")


def _draw_both(figure: Figure, axes: Axes, surface: tuple[Floats, Floats, Floats], measure: str) -> None:
    steps_0, steps_1, expected = surface
    filled = axes.contourf(steps_0, steps_1, expected, 12, cmap="Blues_r")
    figure.colorbar(filled, ax=axes, label=f"expected {measure}")


def _measure_off(axes: Axes, axis: str, dimension: Dimension) -> None:
    """Name an axis after its parameter, and scale it as it was searched."""
    settings = {f"{axis}label": dimension.name.replace("_", " "), f"{axis}lim": dimension.bounds}
    if dimension.prior == "log-uniform":
        settings[f"{axis}scale"] = "log"
    axes.set(**settings)
    if isinstance(dimension, Integer):
        getattr(axes, f"{axis}axis").set_major_locator(MaxNLocator(6, integer=True))


def _svg(figure: Figure, title: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Title": title, "Date": None, "Creator": None})
    return text.getvalue()
