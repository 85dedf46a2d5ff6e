"""`python -m benchmarks` measures everything; `python -m benchmarks wals quality` these two."""

import argparse
import importlib
import time

from tqdm import tqdm

from benchmarks import machine, report

NAMES = ("wals", "scaling", "fold_in", "ratings", "tuner", "recommend", "neighbours", "item_based", "quality", "mixing")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    names = parser.parse_args().names or NAMES
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    progress = tqdm(names, unit="benchmark")
    for name in progress:
        progress.set_description(name)
        run(name)


def run(name: str) -> None:
    """Measure one benchmark, keep its figures and bring its tables up to date."""
    module = importlib.import_module(f"benchmarks.{name}")
    began = time.perf_counter()
    with machine.same_threads():
        figures = module.measure(lambda line: tqdm.write(f"{name}: {line}"))
    if figures is None:
        return  # said why
    taken_on = machine.record()
    report.write(name, {"machine": taken_on, "seconds": time.perf_counter() - began, "figures": figures})
    text = f"{module.tables(figures)}\n\n{report.told(taken_on)}"
    report.PAGE.write_text(report.place(report.PAGE.read_text(), name, text))


if __name__ == "__main__":
    main()
