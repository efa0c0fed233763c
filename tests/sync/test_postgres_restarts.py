"""One PostgreSQL for data and quota: one lock, and a restart in the middle of a sync."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from oa_sync.commands.sync import sync
from oa_sync.errors import LockHeldError
from oa_sync.quota.restarts import WAITS
from oa_sync.workspace.lock import PostgresLock
from tests.faults.places import place
from tests.faults.processes import forked_sync, wait_for
from tests.support.clock import START, ManualClock, Waiting
from tests.support.postgres import OwnPostgres, Postgres, running_postgres
from tests.support.syncing import run_sync

SLOW = "slow=1:600"
EVERYTHING = {
    "reports": (30, 30, 0),
    "datasets": (5, 5, 0),
    "dashboards": (2, 2, 0),
    "report_rows": (120, 120, 0),
}
"""Rows, different keys, rows that are marked deleted or whose detail is not loaded."""


def loaded(database: str) -> dict[str, tuple[int, int, int]]:
    """What is there of `EVERYTHING`."""
    with psycopg.connect(database) as connection:
        connection.execute("SET search_path = openanalyst")
        found = {}
        for table in EVERYTHING:
            key = "report_id || ':' || position" if table == "report_rows" else "id"
            wrong = "_oa_deleted_at IS NOT NULL"
            if table in ("reports", "datasets"):
                wrong += " OR _oa_detail_version IS DISTINCT FROM _oa_version"
            query = (
                f"SELECT count(*), count(DISTINCT {key}),"
                f" count(*) FILTER (WHERE {wrong if table != 'report_rows' else 'false'})"
                f" FROM {table} WHERE _oa_workspace = 'default'"
            )
            [row] = connection.execute(query).fetchall()  # type: ignore[arg-type]
            found[table] = row
    return found


@pytest.fixture
def database(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where data and quota are."""
    url = postgres.create_database("both")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    return url


def test_data_and_quota_in_one_database_are_one_lock_and_two_workspaces_do_not_wait(
    database: str, tmp_path: Path
) -> None:
    with place(tmp_path, destination="postgres", quota_url=database) as held:
        assert run_sync(held.settings).exit_code == 0
        assert loaded(database) == EVERYTHING
        held.server.emulator.faults.set(SLOW)
        with forked_sync(held.settings, DESTINATION__POSTGRES__CREDENTIALS=database) as first:
            asked = held.state.counters.total
            wait_for(lambda: held.state.counters.total > asked, "its first request")
            asked = held.state.counters.total
            elsewhere = replace(held.settings, home=tmp_path / "elsewhere")
            with pytest.raises(LockHeldError, match=rf"process {first.pid} on \S+ since 2"):
                sync(elsewhere)
            assert held.state.counters.total == asked, "refused before the first request"
            held.server.emulator.faults.set("off")
            assert sync(replace(elsewhere, workspace="other")).exit_code == 0
            first.kill()
            first.join()
        assert sync(elsewhere).exit_code == 0


def test_a_lock_is_taken_again_after_its_connection_was_cut_and_not_from_another(
    database: str,
) -> None:
    def cut() -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'oa-sync lock%' AND datname = current_database()"
            )

    later = ManualClock(START + timedelta(seconds=1))
    mine, other = (PostgresLock(database, "name", "it", clock) for clock in (ManualClock(), later))
    with mine:
        with pytest.raises(LockHeldError), other:
            pass
        mine.ensure()
        cut()
        mine.ensure()
        with pytest.raises(LockHeldError), other:
            pass
        cut()
        with other, pytest.raises(LockHeldError, match=f"process {os.getpid()} on"):
            mine.ensure()


def test_a_lock_is_free_as_soon_as_it_is_let_go(database: str) -> None:
    """And not only when the server has noticed that its connection is closed."""
    for seconds in range(50):
        clock = ManualClock(START + timedelta(seconds=seconds))
        with PostgresLock(database, "name", "it", clock):
            pass


@pytest.mark.parametrize("goes", [True, False])
def test_what_a_killed_process_held_is_waited_for_a_while(database: str, goes: bool) -> None:
    killed = subprocess.Popen(["true"])
    killed.wait()
    name = f"oa-sync lock {killed.pid} since {socket.gethostname()}"[:63]
    left = psycopg.connect(database, autocommit=True, application_name=name)
    lock = PostgresLock(database, "name", "it", ManualClock())
    key = [lock._key]

    def let_go() -> None:
        left.execute("SELECT pg_advisory_unlock(%s)", key)

    clock = Waiting(3, let_go if goes else lambda: None)
    lock = PostgresLock(database, "name", "it", clock)
    left.execute("SELECT pg_advisory_lock(%s)", key)
    if goes:
        with lock:
            assert clock.sleeps == list(WAITS[:3])
    else:
        with pytest.raises(LockHeldError, match=f"process {killed.pid}"), lock:
            pass
        assert clock.sleeps == list(WAITS)
    left.close()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnPostgres]:
    with (
        tempfile.TemporaryDirectory(prefix="oa-sync-tests-") as folder,
        running_postgres(Path(folder) / "data") as started,
    ):
        yield started


@pytest.mark.parametrize("at", [1, 5, 20])
def test_a_restart_in_the_middle_of_a_sync_loses_nothing_and_books_nothing_twice(
    own: OwnPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The server of data, quota and lock restarts at the progress of this number."""
    database = own.create_database("both")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", database)
    with place(tmp_path, destination="postgres", quota_url=database) as held:
        called: list[str] = []

        def progress(stage: str, resource: str, done: int, total: int | None) -> None:
            called.append(f"{stage} {resource}")
            if len(called) == at:
                own.stop()
                own.start()

        report = sync(held.settings, progress=progress)
        assert len(called) > at
        assert (report.status, report.error) == ("complete", None)
        assert loaded(database) == EVERYTHING
        assert report.requests.made == held.state.counters.total
        with psycopg.connect(database) as connection:
            [(booked,)] = connection.execute("SELECT sum(sent) FROM oa_sync_quota_day").fetchall()
        assert booked == held.state.counters.total
