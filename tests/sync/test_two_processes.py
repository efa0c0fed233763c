"""Two real syncs at once with one key: one machine with one ledger, or two that share PostgreSQL.

They load into destinations of their own, so no lock keeps them apart: only the ledger does. What counts is
what the server counted.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from oa_sync.emulator.server import RunningEmulator
from oa_sync.emulator.synthetic import synthetic_workspace
from oa_sync.quota.schedule import burst, spacing
from tests.support.command import OA_SYNC, PATIENCE
from tests.support.emulator import KEY, emulator

ROOT = Path(__file__).parents[2]
REPORTS, DATASETS = 36, 6
LISTS = 3
NEEDED = LISTS + REPORTS + DATASETS
"""Requests of one sync of the page dialect, runs not asked for."""


@pytest.fixture(params=["sqlite", "postgres"])
def quota(request: pytest.FixtureRequest) -> list[str]:
    """Flags of the ledger: one home for both, or PostgreSQL and a home for each."""
    if request.param == "sqlite":
        return ["--home", "home"]
    server = request.getfixturevalue("postgres")
    # No password stands on a command line; this server wants none.
    return ["--quota-url", server.create_database("two_processes").replace(":unused", "")]


def start(server: RunningEmulator, folder: Path, name: str, *flags: str) -> subprocess.Popen[str]:
    """`oa-sync sync` into `<name>.duckdb`; with a home of its own unless the flags name one."""
    home = [] if "--home" in flags else ["--home", f"home-{name}"]
    place = ["--base-url", server.base_url, "--dialect", "page", "--database", f"{name}.duckdb"]
    wanted = ["datasets", "reports", "dashboards"]
    return subprocess.Popen(
        [*OA_SYNC, "sync", *wanted, "--json", *place, *home, *flags],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "OPENANALYST_API_KEY": KEY,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def both(server: RunningEmulator, folder: Path, *flags: str) -> list[dict[str, Any]]:
    """The reports of two syncs that run at the same time."""
    processes = [start(server, folder, name, *flags) for name in ("one", "two")]
    reports = []
    for process in processes:
        output, errors = process.communicate(timeout=PATIENCE)
        assert output, errors
        reports.append(json.loads(output))
    return reports


def loaded_details(folder: Path) -> int:
    total = 0
    for name in ("one", "two"):
        with duckdb.connect(str(folder / f"{name}.duckdb")) as connection:
            for table in ("datasets", "reports"):
                counted = f"SELECT count(_oa_detail_version) FROM openanalyst.{table}"
                total += connection.execute(counted).fetchall()[0][0]
    return total


def instants_in_ledger(quota: list[str], folder: Path) -> list[datetime]:
    """When the ledger let each request go, in order."""
    sql = "SELECT instant FROM oa_sync_quota_minute ORDER BY instant"
    _, place = quota
    if place.startswith("postgresql://"):
        with psycopg.connect(place) as postgres:
            rows = postgres.execute(sql).fetchall()
    else:
        with closing(sqlite3.connect(folder / place / "quota.sqlite3")) as sqlite:
            rows = sqlite.execute(sql).fetchall()
    return [datetime.fromtimestamp(instant / 1e6, UTC) for (instant,) in rows]


def most_in(instants: list[datetime], seconds: float) -> int:
    """The largest number of requests within `seconds`."""
    return max(
        sum(1 for other in instants if 0 <= (other - first).total_seconds() < seconds)
        for first in instants
    )


def test_two_syncs_spend_one_days_requests_and_not_one_more(
    quota: list[str], tmp_path: Path
) -> None:
    a_day = 2 * NEEDED - 20
    workspace = synthetic_workspace(f"reports={REPORTS},datasets={DATASETS},dashboards=1,rows=1")
    with emulator(workspace, rpd=a_day) as server:
        reports = both(
            server, tmp_path, *quota, "--rpm", "0", "--rpd", str(a_day), "--reserve", "0"
        )
        counters = server.state.counters
        made = [report["requests"]["made"] for report in reports]
        assert counters.total == sum(made) == a_day
        assert counters.over_limit == 0
        assert 3 in {report["exit_code"] for report in reports}
        assert {report["exit_code"] for report in reports} <= {0, 3}
        assert loaded_details(tmp_path) == a_day - 2 * LISTS == sum(counters.details.values())
        assert reports[0]["requests"]["left_today"] == reports[1]["requests"]["left_today"] == 0


def test_two_syncs_share_one_pace(quota: list[str], tmp_path: Path) -> None:
    per_minute = 600
    gap = spacing(per_minute) / 1e6
    workspace = synthetic_workspace(f"reports={REPORTS},datasets={DATASETS},dashboards=1,rows=1")
    with emulator(workspace, rpm=per_minute) as server:
        reports = both(server, tmp_path, *quota, "--rpm", str(per_minute), "--rpd", "0")
        log = [entry.time for entry in server.state.counters.log]
    assert [report["exit_code"] for report in reports] == [0, 0]
    assert len(log) == sum(report["requests"]["made"] for report in reports) == 2 * NEEDED
    assert sum(report["requests"]["rate_limited"] for report in reports) == 0
    # An idle account may send a burst, and after it one request each gap. A request may be late by as much
    # as the machine is busy, so the pace is looked at where it is set; none may be early.
    booked = instants_in_ledger(quota, tmp_path)
    for seconds in (0.5, 1.0, 2.0):
        assert most_in(booked, seconds) <= burst(per_minute) + 1 + seconds / gap
    assert len(booked) == len(log)
    assert all(sent <= came for sent, came in zip(booked, sorted(log), strict=True))
