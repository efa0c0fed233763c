"""SIGKILL at random moments, again and again, with changes in between; then one clean run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from oa_sync.emulator.server import RunningEmulator
from oa_sync.emulator.synthetic import synthetic_workspace
from oa_sync.settings import Settings
from tests.faults.changing import Changes
from tests.faults.mirror import assert_mirrors
from tests.faults.processes import syncing, wait_for
from tests.support.emulator import emulator
from tests.support.syncing import run_sync, settings_for

SIZE = "reports=180,datasets=15,dashboards=2,runs=0,rows=4,columns=3,panels=2"
KILLS = 12
CHANGES = 3
"""Changes between two kills."""


def undisturbed(folder: Path) -> int:
    """The requests of one whole sync of the same workspace."""
    with emulator(synthetic_workspace(SIZE), dialect="page") as server:
        return run_sync(settings_for(server.base_url, folder)).requests.made


def moment(
    random: Random, server: RunningEmulator, settings: Settings, process: subprocess.Popen[str]
) -> Callable[[], bool]:
    """A condition that holds at some random moment of the running sync, or when it is over."""
    asked = server.state.counters.total + random.randrange(1, 60)
    journal = settings.home / "journal" / settings.fingerprint()
    reached: Callable[[], bool] = random.choice(
        (
            lambda: server.state.counters.total >= asked,
            lambda: server.state.counters.total >= asked,
            lambda: any(journal.glob("*.oaj")),
            lambda: any((settings.home / "dlt").glob("*/*/load/normalized/*/started_jobs/*")),
        )
    )
    return lambda: reached() or process.poll() is not None


@pytest.mark.parametrize("seed", [1])
def test_twelve_kills_at_random_moments_cost_little_and_lose_nothing(
    seed: int, tmp_path: Path
) -> None:
    random = Random(seed)
    with emulator(synthetic_workspace(SIZE), dialect="page", latency_ms=15) as server:
        settings = settings_for(server.base_url, tmp_path)
        changes = Changes(server.state, seed)
        died = 0
        for _ in range(KILLS):
            with syncing(settings) as process:
                wait_for(moment(random, server, settings, process), "the moment to kill")
            died += process.returncode == -9
            changes.make(CHANGES)
        assert died >= KILLS // 2
        run_sync(settings)
        assert_mirrors(settings, server.state)
        made = server.state.counters.total
    worth = undisturbed(tmp_path / "undisturbed") + changes.made
    assert made <= 1.25 * worth, f"{made} requests, worth {worth}"
