"""A storm: kills, signals, faults and changes at the source, at random, until the time is over.

    python -m tests.faults.storm --seconds 600 --seed 7

Every few syncs the sky clears: one quiet run, and the tables must equal the source. The same seed makes the
same storm, as far as two processes can meet in the same way twice.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

from oa_sync.commands.sync import sync
from tests.faults.mirror import assert_mirrors
from tests.faults.places import Place, place
from tests.faults.processes import forked_sync, wait_for

SIZE = "reports=60,datasets=8,dashboards=3,runs=0,rows=6,columns=3,panels=2"
SYNCS_IN_A_ROW = 5
WEATHER = (
    "off",
    "off",
    "500=0.1,502=0.05",
    "reset=0.1,cut=0.1",
    "slow=0.2:0.05,500=0.05",
    "403=1,paths=/dashboards",
    "500=1,paths=/datasets/",
)


def storm(seconds: float, seed: int, folder: Path) -> Counter[str]:
    """Rage for about `seconds`; what happened how often.

    Raises:
        AssertionError: the tables do not equal the source after a quiet run, or a sync got stuck.
    """
    random, happened = Random(seed), Counter[str]()
    end = time.monotonic() + seconds
    with place(folder, SIZE, seed=seed, latency_ms=4) as sea:
        while time.monotonic() < end:
            for _ in range(SYNCS_IN_A_ROW):
                draw = random.randrange(10**6)
                sea.server.emulator.faults.set(f"{random.choice(WEATHER)},seed={draw}")
                happened[_one_sync(sea, random)] += 1
            _calm(sea)
            happened["calm"] += 1
    return happened


def _one_sync(sea: Place, random: Random) -> str:
    """Start a sync, change the source meanwhile, and end it in some way."""
    ending = random.choice(("kill", "kill", "stop", "end"))
    sea.changes.make(random.randrange(16))
    asked = sea.state.counters.total + random.randrange(1, 25)
    with forked_sync(sea.settings) as process:
        assert process.pid is not None
        wait_for(lambda: _over(process) or sea.state.counters.total >= asked - 10, "requests")
        sea.changes.make(random.randrange(6))
        if random.random() < 0.3:
            sea.changes.delete("reports")
        wait_for(lambda: _over(process) or sea.state.counters.total >= asked, "requests")
        if ending == "kill" and random.random() < 0.5:
            working = sea.settings.home / "dlt"
            jobs = "*/*/load/normalized/*/started_jobs/*"
            wait_for(lambda: _over(process) or any(working.glob(jobs)), "a load")
        if ending != "end" and not _over(process):
            os.kill(process.pid, signal.SIGKILL if ending == "kill" else signal.SIGTERM)
        wait_for(lambda: _over(process), "the end of the sync")
        return f"{ending}: {process.exitcode}"


def _over(process: BaseProcess) -> bool:
    return process.exitcode is not None


def _calm(sea: Place) -> None:
    sea.server.emulator.faults.set("off")
    report = sync(sea.settings)
    assert report.exit_code == 0, report.error
    assert_mirrors(sea.settings, sea.state)
    assert not list(sea.folder.rglob("*.oaj"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Kills, signals, faults and changes.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=Random().randrange(10**6))
    given = parser.parse_args()
    print(f"storm of {given.seconds:g} s, seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="oa-sync-storm-") as folder:
        for what, count in sorted(storm(given.seconds, given.seed, Path(folder)).items()):
            print(f"{count:6} {what}")


if __name__ == "__main__":
    main()
