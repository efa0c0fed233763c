"""`make simulate SEED=… NIGHTS=…`: play worlds from a seed on, print what they find, shrunk."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.kept import KNOWN
from tests.simulation.nights import Kinds
from tests.simulation.play import Play
from tests.simulation.shrink import shrunk

NIGHTS_A_WORLD = 20


def main() -> int:
    """Exit code 1 where an alarm was raised."""
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first world")
    parser.add_argument("--nights", type=int, default=3_000, help="in all")
    parser.add_argument("--lies", action="store_true", help="servers that lie, too")
    parser.add_argument("--largest", type=int, default=24, help="rows of a list")
    parser.add_argument("--all", action="store_true", help="alarms of faults that stand, too")
    parser.add_argument("--log", action="store_true", help="print every night")
    chosen = parser.parse_args()
    kinds = Kinds(lies=chosen.lies)
    seed, played, requests, alarms = chosen.seed, 0, 0, 0
    began = time.process_time()
    while played < chosen.nights:
        play = Play(seed, kinds, largest=chosen.largest, known=frozenset() if chosen.all else KNOWN)
        found = play.run(min(NIGHTS_A_WORLD, chosen.nights - played))
        played, requests = played + len(play.played), requests + play.requests
        if chosen.log:
            print(play.world, *play.log, sep="\n")
        if found is not None:
            alarms += 1
            print(f"{found}\nshrunk to\n{shrunk(play, found)}\n", flush=True)
        seed += 1
    spent = time.process_time() - began
    print(
        f"seeds {chosen.seed} to {seed - 1}: {played:,} nights, {requests:,} requests,"
        f" {alarms} alarms; {played / spent * 60:,.0f} nights a CPU minute"
    )
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
