import json
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from quasimusic.exceptions import QuasimusicError
from recommender.services import training


class Command(BaseCommand):
    help = "Measure every engine and the hybrid on a per-listener 80/20 split. Changes nothing."

    def add_arguments(self, parser):
        parser.add_argument("--k", type=int, default=training.K, help="length of the judged lists")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--json", metavar="FILE", help="write the figures there; - for standard output")

    def handle(self, *, k, seed, json: str | None, **options):
        report = self.stderr.write if json == "-" else self.stdout.write
        try:
            results = training.evaluate_band(seed=seed, k=k, report=report)
        except QuasimusicError as fault:
            raise CommandError(str(fault)) from fault
        report(_table(results, k))
        if json == "-":
            self.stdout.write(_dumps(results))
        elif json:
            try:
                Path(json).write_text(_dumps(results) + "\n")
            except OSError as fault:
                raise CommandError(f"The figures could not be written: {fault}") from fault


def _dumps(results: dict) -> str:
    return json.dumps(results, indent=2)


def _table(results: dict, k: int) -> str:
    lines = [f"{'':12} {f'recall@{k}':>18} {f'ndcg@{k}':>18} {'coverage':>9}"]
    for name, figures in results.items():
        if "left_out" in figures:
            lines.append(f"{name:12} left out: {figures['left_out']}")
            continue
        recall, ndcg = (
            f"{f['mean']:.3f} ±{(f['high'] - f['low']) / 2:.3f}" for f in (figures["recall"], figures["ndcg"])
        )
        lines.append(f"{name:12} {recall:>18} {ndcg:>18} {figures['coverage']:>9.3f}")
    return "\n".join(lines)
