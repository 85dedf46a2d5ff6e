import json
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from quasimusic.exceptions import QuasimusicError
from recommender.models import Evaluation
from recommender.services import evaluation

IN_COLD = ("recall", "ndcg", "hit_rate", "novelty", "coverage")
FIRST, CELL = 12, 17  # characters of the first column and of the others: six of them and it in 120

NOTE = "mean low:high, the 95% interval of the mean over listeners; * the best of a column"


class Command(BaseCommand):
    help = "Measure every engine and the hybrid on what is held out of the tables. Keeps the figures, changes no model."

    def add_arguments(self, parser):
        parser.add_argument("--k", type=int, default=evaluation.K, help="length of the judged lists")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--json", metavar="FILE", help="write the figures there; - for standard output")
        held_out = parser.add_mutually_exclusive_group()
        held_out.add_argument(
            "--split",
            choices=list(evaluation.SPLITS),
            default="random",
            help="hold out a fifth of each listener's songs by chance, one by chance, the last one, or the last fifth",
        )
        held_out.add_argument(
            "--cold", action="store_true", help="take some listeners for new, and measure after 0, 1, 3, 5, 10 songs"
        )
        parser.add_argument(
            "--core", type=int, metavar="N", help="only listeners and songs with N of each other, songs with content"
        )
        parser.add_argument("--defaults", action="store_true", help="leave out what parameters were tuned to")

    def handle(self, *, k, seed, json: str | None, split, cold, core, defaults, **options):
        report = self.stderr.write if json == "-" else self.stdout.write
        try:
            measured = evaluation.evaluate_band(
                seed=seed,
                k=k,
                protocol=evaluation.COLD if cold else split,
                n_core=core,
                tuned=not defaults,
                report=report,
            )
        except QuasimusicError as fault:
            raise CommandError(str(fault)) from fault
        report(_cold_tables(measured) if cold else _tables(measured))
        if json == "-":
            self.stdout.write(_dumps(measured.results))
        elif json:
            try:
                Path(json).write_text(_dumps(measured.results) + "\n")
            except OSError as fault:
                raise CommandError(f"The figures could not be written: {fault}") from fault


def _dumps(results: dict) -> str:
    return json.dumps(results, indent=2)


def _tables(measured: Evaluation) -> str:
    """How often they are right, what their lists are like, and by how much they fall short of the best engine."""
    results, k = measured.results, measured.k
    best = evaluation.best_engine(results)
    shortfalls = {name: figures["less_best"] for name, figures in evaluation.measured(results).items() if name != best}
    blocks = [
        _block(results, evaluation.ACCURACY, k),
        _block(evaluation.measured(results), (*evaluation.BEYOND, *evaluation.STARS), k),
        [
            f"Less {best}, the best engine, on the same listeners:",
            *_block(shortfalls, evaluation.COMPARED, k, marked=False),
        ],
        [NOTE],
    ]
    return _joined(blocks)


def _cold_tables(measured: Evaluation) -> str:
    """For each number of songs told a line an engine."""
    stages = evaluation.stages(measured)
    blocks = [[f"{stage}:", *_block(figures, IN_COLD, measured.k)] for stage, figures in stages.items()]
    return _joined([*blocks, [NOTE]])


def _joined(blocks: list[list[str]]) -> str:
    return "\n\n".join("\n".join(block) for block in blocks)


def _block(results: dict, metrics: tuple[str, ...], k: int, *, marked: bool = True) -> list[str]:
    """A line for each engine, a column for each metric that any of them has."""
    measured = evaluation.measured(results)
    there = [metric for metric in metrics if any(metric in figures for figures in measured.values())]
    best = {metric: evaluation.best(measured, metric) for metric in there} if marked else {}
    titles = [metric if metric in evaluation.STARS else f"{metric}@{k}" for metric in there]
    lines = [" " * FIRST + "".join(f"{title:>{CELL}} " for title in titles)]
    for name, figures in results.items():
        if "left_out" in figures:
            lines.append(f"{name:{FIRST}}left out: {figures['left_out']}")
            continue
        cells = [_cell(figures.get(metric), best.get(metric)) for metric in there]
        lines.append(f"{name:{FIRST}}" + "".join(cells))
    return [line.rstrip() for line in lines]


def _cell(figure: dict | float | None, best: float | None) -> str:
    if figure is None:
        return f"{'-':>{CELL}} "
    shown = _figure(evaluation.mean(figure))
    if isinstance(figure, dict):
        shown += f" {_short(figure['low'])}:{_short(figure['high'])}"
    return f"{shown:>{CELL}}{'*' if evaluation.mean(figure) == best else ' '}"


def _figure(number: float) -> str:
    return f"{number:.3f}" if abs(number) < 10 else f"{number:.2f}"


def _short(number: float) -> str:
    return f"{number:.3f}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:.2f}"
