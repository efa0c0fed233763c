"""Several real processes spend from one ledger."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oa_sync.clock import Clock
from oa_sync.quota import open_ledger
from oa_sync.quota.limits import Limits
from tests.support.command import PATIENCE

ROOT = Path(__file__).parents[2]


def start(home: Path, *, rpm: int, rpd: int, **options: object) -> subprocess.Popen[str]:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value]
    command = [sys.executable, "-m", "tests.quota.hammer", f"--home={home}"]
    process = subprocess.Popen(
        [*command, f"--rpm={rpm}", f"--rpd={rpd}", *flags],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def results(processes: list[subprocess.Popen[str]]) -> list[list[str]]:
    go(processes)
    return [process.communicate(timeout=PATIENCE)[0].split() for process in processes]


@pytest.fixture(params=["sqlite", "postgres"])
def quota_url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    return str(request.getfixturevalue("postgres_url"))


def test_two_processes_spend_exactly_the_days_limit(tmp_path: Path, quota_url: str | None) -> None:
    outputs = results(
        [start(tmp_path, rpm=0, rpd=400, quota_url=quota_url) for _ in range(2)],
    )
    assert [output[-1] for output in outputs] == ["ended", "ended"]
    assert sum(len(output) - 1 for output in outputs) == 400


def test_two_processes_share_one_pace_and_neither_starves(
    tmp_path: Path, quota_url: str | None
) -> None:
    processes = [
        start(tmp_path, rpm=1_200, rpd=0, requests=60, quota_url=quota_url) for _ in range(2)
    ]
    ledger = open_ledger(tmp_path, quota_url, Clock())
    account = ledger.account("oa_test_key", "")
    for _ in range(2):
        # An idle account may send 120 at once; once they are booked, the pace decides.
        ledger.reserve(account, Limits(1_200, None), 100)
    ledger.close()
    outputs = results(processes)
    runs = [[float(line) for line in output[:-1]] for output in outputs]
    instants = sorted(runs[0] + runs[1])
    assert len(instants) == 120
    assert instants[-1] - instants[0] > 119 * 0.05075 - 1.0
    # They take turns: when the first is done, the other is well on its way, though a busy machine
    # keep it from asking for two seconds.
    done = min(run[-1] for run in runs)
    assert min(sum(instant <= done for instant in run) for run in runs) >= 10


def test_a_process_killed_before_it_sends_leaves_its_request_counted(
    tmp_path: Path, quota_url: str | None
) -> None:
    process = start(tmp_path, rpm=60, rpd=500, requests=3, workers=1, quota_url=quota_url)
    go([process])
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    printed = 1 + len(process.stdout.read().split())
    process.communicate()
    ledger = open_ledger(tmp_path, quota_url, Clock())
    usage = ledger.usage(ledger.account("oa_test_key", ""), Limits(60, 500))
    ledger.close()
    assert usage.used_day >= min(printed, 3)
    assert usage.used_minute == usage.used_day
