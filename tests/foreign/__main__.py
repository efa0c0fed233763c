"""`python -m tests.foreign --seed S --cases N`: play foreign APIs from a seed on, and tell what came of them."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.destinations.places import Places, Servers
from tests.foreign.case import play
from tests.foreign.plan import drawn


def main() -> int:
    """Exit code 1 where something was wrong."""
    parser = argparse.ArgumentParser(prog="foreign", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--verbose", action="store_true", help="print healthy failures, too")
    chosen = parser.parse_args()
    causes, wrong, healthy, completed = Counter[str](), 0, 0, 0
    for seed in range(chosen.seed, chosen.seed + chosen.cases):
        with tempfile.TemporaryDirectory() as folder:
            place = Places(Path(folder), Servers.__new__(Servers)).open(drawn(seed).destination)
            case = play(seed, place)
        causes.update(case.causes)
        healthy += case.is_healthy
        completed += case.is_healthy and case.completed
        wrong += bool(case.alarms)
        odd = any(cause.startswith("healthy") for cause in case.causes)
        if case.alarms or (chosen.verbose and (odd or chosen.cases == 1)):
            print(case, "", sep="\n", flush=True)
    print(f"{wrong} cases with alarms; {completed} of {healthy} healthy cases complete")
    for cause, count in causes.most_common():
        print(f"{count:6} {cause}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
