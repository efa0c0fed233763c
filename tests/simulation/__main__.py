"""`make simulate SEED=… NIGHTS=…`: play worlds from a seed on, print what they find, shrunk."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

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
    seed, requests, alarms, expected = chosen.seed, 0, 0, 0
    played, spent, stands = {False: 0, True: 0}, {False: 0.0, True: 0.0}, Counter[str]()
    while sum(played.values()) < chosen.nights:
        began = time.process_time()
        play = Play(seed, kinds, largest=chosen.largest, known=frozenset() if chosen.all else KNOWN)
        found = play.run(min(NIGHTS_A_WORLD, chosen.nights - sum(played.values())))
        assert play.world is not None
        spent[play.world.is_large] += time.process_time() - began
        played[play.world.is_large] += len(play.played)
        requests += play.requests
        stands.update(play.stands)
        if chosen.log:
            print(play.world, *play.log, sep="\n")
        if found is not None and found.is_expected:
            expected += 1
        elif found is not None:
            alarms += 1
            print(f"{found}\nshrunk to\n{shrunk(play, found)}\n", flush=True)
        seed += 1
    print(
        f"seeds {chosen.seed} to {seed - 1}: {sum(played.values()):,} nights, {requests:,} requests,"
        f" {alarms} alarms"
    )
    for is_large, nights in played.items():
        if nights:
            print(
                f"{'large' if is_large else 'small'} worlds: {nights:,} nights,"
                f" {nights / spent[is_large] * 60:,.0f} a CPU minute"
            )
    if expected:
        print(f"{expected} worlds raised an alarm after a lie that does harm (lies.py)")
    for kind, count in stands.items():
        print(f"{count} times, of a fault that stands: {kind}")
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
