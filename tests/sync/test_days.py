"""300 reports and 50 datasets at 150 requests a day: three days, nothing over the limit, nothing twice.

Once with a clock that the test moves, and once with real processes under faketime (a Debian package): the
server, the ledger and everything else then see days pass.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from oa_sync.emulator.data import Workspace
from oa_sync.emulator.synthetic import synthetic_workspace
from oa_sync.extract.details.fetching import DetailFetcher
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from tests.support.clock import ManualClock
from tests.support.command import OA_SYNC, PATIENCE, oa_sync
from tests.support.debian import need
from tests.support.emulator import HTTP, KEY, emulator
from tests.support.syncing import query, run_sync, settings_for

SIZE = "reports=300,datasets=50,dashboards=2,runs=0,rows=2,columns=3"
DETAILS = 300 + 50
A_DAY = 150
MOST = 374
"""Requests in all: 350 details, and on each of three days at most 8 for lists."""


def workspace() -> Workspace:
    return synthetic_workspace(SIZE)


def assert_everything_is_loaded(settings: Settings) -> None:
    assert query(settings, "SELECT count(*), count(DISTINCT id) FROM reports") == [(300, 300)]
    assert query(settings, "SELECT count(*) FROM report_rows") == [(600,)]
    assert query(settings, "SELECT count(*) FROM datasets") == [(50,)]
    for table in ("reports", "datasets"):
        late = f"SELECT count(*) FROM {table} WHERE _oa_detail_version IS DISTINCT FROM _oa_version"
        assert query(settings, late) == [(0,)]


def loaded_details(settings: Settings) -> int:
    [(number,)] = query(
        settings,
        "SELECT (SELECT count(*) FROM reports WHERE _oa_detail_version IS NOT NULL)"
        " + (SELECT count(*) FROM datasets WHERE _oa_detail_version IS NOT NULL)",
    )
    return int(number)


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_a_first_sync_takes_three_days_and_never_passes_the_limit(
    dialect: str, tmp_path: Path
) -> None:
    clock = ManualClock()
    with emulator(workspace(), clock=clock, rpd=A_DAY, dialect=dialect) as server:
        counters = server.state.counters
        settings = settings_for(server.base_url, tmp_path, rpd=A_DAY, reserve=0.0)
        reports: list[SyncReport] = []
        for day in range(3):
            reports.append(run_sync(settings, clock=clock))
            report = reports[-1]
            assert counters.total == sum(r.requests.made for r in reports)
            assert loaded_details(settings) == len(counters.details)
            if day < 2:
                assert report.requests.left_today == 0
                idle = run_sync(settings, clock=clock)
                assert (idle.requests.made, idle.exit_code) == (0, 3)
                assert counters.total == sum(r.requests.made for r in reports)
                assert report.next is not None
                assert report.next.days_left == 2 - day
                clock.advance((report.next.come_back_at - clock.now()).total_seconds())
        assert [report.exit_code for report in reports] == [3, 3, 0]
        assert counters.total <= MOST
        assert counters.over_limit == 0
        assert set(counters.details.values()) == {1}
        assert len(counters.details) == DETAILS
    assert_everything_is_loaded(settings)


def test_a_nightly_run_at_the_same_minute_takes_as_many_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cron starts a run exactly a day after the last one began, a moment before its requests age."""
    # The test's clock moves whenever somebody waits, so to a request under way it would look as if the
    # network took seconds: one at a time.
    monkeypatch.setattr("oa_sync.workspace.connection.PAGES_AT_ONCE", 1)
    monkeypatch.setitem(DetailFetcher.__init__.__kwdefaults__, "max_in_flight", 1)
    clock = ManualClock()
    small = synthetic_workspace("reports=60,datasets=10,dashboards=2,runs=0,rows=2,columns=3")
    with emulator(small, clock=clock, rpd=30, rpm=20) as server:
        settings = settings_for(server.base_url, tmp_path, rpd=30, rpm=20, reserve=0.0)
        codes, started = [], clock.now()
        while not codes or (codes[-1] == 3 and len(codes) < 5):
            clock.advance((started + timedelta(days=len(codes)) - clock.now()).total_seconds())
            codes.append(run_sync(settings, clock=clock).exit_code)
        assert codes == [3, 3, 0]
        assert server.state.counters.over_limit == 0
        assert set(server.state.counters.details.values()) == {1}
        assert len(server.state.counters.details) == 70


# -- real processes under faketime ------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
DAY_AND_A_MINUTE = 86_400 + 60


class FakeDays:
    """Days that pass for processes with `environment`, at once for those that run already.

    faketime adds an offset to the system's time, which it reads from a file: every ten seconds, or with
    FAKETIME_NO_CACHE at each look at the clock. The clock that waits are measured by stays real.
    """

    def __init__(self, folder: Path) -> None:
        self._offset = folder / "offset"
        self.set(0)
        library = subprocess.run(
            ["faketime", "-f", "+0", "printenv", "LD_PRELOAD"],
            capture_output=True,
            text=True,
            check=True,
        )
        self.environment = {
            "LD_PRELOAD": library.stdout.strip(),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Without this, timed waits of Python's threads end at once, and they fight over the interpreter.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "OPENANALYST_API_KEY": KEY,
            "PYTHONPATH": str(ROOT),
            "TZ": "UTC",
        }

    def set(self, day: int) -> None:
        """Let it be `day` days and as many minutes later than it is."""
        unfinished = self._offset.with_suffix(".new")
        unfinished.write_text(f"+{day * DAY_AND_A_MINUTE}\n")
        unfinished.replace(self._offset)


@contextmanager
def emulator_process(days: FakeDays, *arguments: str) -> Iterator[str]:
    """`oa-sync emulator` as a process of its own; yields its address, which ends in /v1."""
    process = subprocess.Popen(
        [*OA_SYNC, "emulator", "--port", "0", *arguments],
        env={"PATH": os.environ["PATH"], **days.environment, "FAKETIME_NO_CACHE": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        yield process.stderr.readline().split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def counters_of(base_url: str) -> dict[str, Any]:
    answer = HTTP.get(f"{base_url.removesuffix('/v1')}/_emulator/counters")
    counters: dict[str, Any] = answer.json()
    return counters


def test_three_real_days_of_real_processes(tmp_path: Path) -> None:
    need("faketime")
    days = FakeDays(tmp_path)
    with emulator_process(days, "--synthetic", SIZE, "--rpd", str(A_DAY)) as base_url:

        def sync() -> dict[str, Any]:
            flags = ["--base-url", base_url, "--rpd", str(A_DAY), "--rpm", "0", "--reserve", "0"]
            done = oa_sync("sync", "--json", *flags, cwd=tmp_path, **days.environment)
            report: dict[str, Any] = json.loads(done.stdout)
            assert report["exit_code"] == done.returncode, done.stderr
            return report

        reports = []
        for day in range(3):
            days.set(day)
            reports.append(sync())
            made = sum(report["requests"]["made"] for report in reports)
            assert counters_of(base_url)["total"] == made
            if day == 0:
                idle = sync()
                assert (idle["exit_code"], idle["requests"]["made"]) == (3, 0)
                assert reports[0]["next"]["days_left"] == idle["next"]["days_left"] == 2
        counters = counters_of(base_url)
    assert [report["exit_code"] for report in reports] == [3, 3, 0]
    began = [datetime.fromisoformat(report["started_at"]) for report in reports]
    assert [(later - began[0]).days for later in began] == [0, 1, 2]
    assert counters["total"] <= MOST
    assert counters["over_limit"] == 0
    assert set(counters["details"].values()) == {1}
    assert len(counters["details"]) == DETAILS
    assert_everything_is_loaded(settings_for(base_url, tmp_path))
