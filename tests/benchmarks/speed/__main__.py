"""How fast, in how much memory, against whom: the workloads, one after the other.

    python -m tests.benchmarks.speed [--workloads rows,runs] [--repeat 5] [--scale 1.0] [--skip-slow]

See README.md beside this folder. Exit code 0 whether or not the bounds are met: they are judged in the
table.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.speed import machine, page, plot
from tests.benchmarks.speed.cases import Plan
from tests.benchmarks.speed.measuring import tell
from tests.benchmarks.speed.results import Result, bounds_table, plain, table
from tests.benchmarks.speed.workloads import WORKLOADS

PICTURE = "results.svg"
HERE = Path(__file__).parents[1]


def main() -> None:
    """Run, print, write."""
    options = _options(sys.argv[1:])
    about = machine.description()
    if options.scale != 1.0:
        about["Scale"] = f"{options.scale:g} of the full sizes: the bounds do not apply"
    plan = Plan(options.repeat, options.scale, options.skip_slow)
    results = []
    for name in options.workloads:
        tell(f"{name}: {(WORKLOADS[name].__doc__ or '').splitlines()[0]}")
        result = WORKLOADS[name](plan)
        results.append(result)
        _show(result)
    if options.output is None:
        tell(
            "not a full run, so nothing is written; name a folder with --output to have it written"
        )
        return
    picture = plot.draw(options.output / PICTURE, results)
    if not picture:
        tell("no plot: no ratios, or no matplotlib (pip install 'oa-sync[bench]')")
    how = shlex.join(["python", "-m", "tests.benchmarks.speed", *sys.argv[1:]])
    page.write(options.output / page.PAGE, results, about, how, PICTURE if picture else None)
    tell(f"written: {options.output / page.PAGE}")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.benchmarks.speed", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--workloads", type=_workloads, default=list(WORKLOADS), metavar="A,B")
    parser.add_argument("--repeat", type=int, default=5, help="rounds; default 5")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full sizes")
    parser.add_argument("--skip-slow", action="store_true", help="leave out dlt's defaults")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="where to write; a full run: beside its README"
    )
    options = parser.parse_args(arguments)
    if options.repeat < 1 or options.scale <= 0:
        parser.error("--repeat must be at least 1, --scale above 0")
    full = list(WORKLOADS) == options.workloads and options.scale == 1.0
    if options.output is None and full:
        options.output = HERE
    if options.output is not None:
        # A page whose markers are gone is found now, not after twenty minutes.
        earlier = options.output / page.PAGE
        if earlier.exists():
            page.by_hand(earlier.read_text(encoding="utf-8"))
    return options


def _workloads(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in WORKLOADS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(WORKLOADS)}")
    return names


def _show(result: Result) -> None:
    print(f"\n{result.name}: {result.title}\n\n{plain(table(result))}\n")
    if result.bounds:
        print(f"{plain(bounds_table(result.bounds))}\n", flush=True)


if __name__ == "__main__":
    main()
