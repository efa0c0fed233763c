"""One sync at a time for a workspace and a destination: processes, homes, machines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import duckdb
import pytest

from oa_sync.clock import Clock
from oa_sync.commands.sync import sync
from oa_sync.errors import LockHeldError
from tests.faults.mirror import assert_mirrors
from tests.faults.places import Place, place
from tests.faults.processes import command, forked_sync, wait_for
from tests.support.command import PATIENCE, run
from tests.support.postgres import Postgres
from tests.support.syncing import run_sync

SLOW = "slow=1:600"
"""Holds a sync at its first request for as long as a test needs it."""


class Gate(Clock):
    """The emulator's clock, whose waits end when the gate is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    async def sleep(self, seconds: float) -> None:
        while not self.opened.is_set():
            await asyncio.sleep(0.01)


def second_command(place: Place) -> tuple[int, dict[str, Any]]:
    """Exit code and summary of `oa-sync sync --json`."""
    arguments, environment = command(place.settings, "--json")
    folder = place.settings.home.parent
    done = run("env", *(f"{k}={v}" for k, v in environment.items()), *arguments, cwd=folder)
    return done.returncode, json.loads(done.stdout)


def at_its_first_request(held: Place) -> None:
    wait_for(lambda: held.state.counters.total > 0, "the first request")


def test_the_second_sync_exits_4_without_a_request_and_says_who_holds_the_lock(
    tmp_path: Path,
) -> None:
    with place(tmp_path) as held:
        held.server.emulator.clock = gate = Gate()
        held.server.emulator.faults.set(SLOW)
        with forked_sync(held.settings) as first:
            at_its_first_request(held)
            asked = held.state.counters.total
            code, summary = second_command(held)
            assert (code, summary["exit_code"], summary["status"]) == (4, 4, "failed")
            assert summary["error"]["code"] == "locked"
            assert f"process {first.pid} on " in summary["error"]["message"]
            assert " since 2" in summary["error"]["message"]
            assert held.state.counters.total == asked
            held.server.emulator.faults.set("off")
            other = replace(held.settings, workspace="other", database=tmp_path / "other.duckdb")
            assert sync(other).exit_code == 0, "another workspace is not kept waiting"
            gate.opened.set()
            first.join(PATIENCE)
            assert first.exitcode == 0, "the first is not disturbed"
            assert_mirrors(held.settings, held.state)


def test_a_lock_left_by_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    with place(tmp_path) as held:
        held.server.emulator.faults.set(SLOW)
        with forked_sync(held.settings) as first:
            at_its_first_request(held)
            _kill(first)
        held.server.emulator.faults.set("off")
        run_sync(held.settings)
        assert_mirrors(held.settings, held.state)


def _kill(process: BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_a_database_file_that_another_process_has_open_fails_before_the_first_request(
    tmp_path: Path,
) -> None:
    with place(tmp_path) as held, duckdb.connect(str(held.settings.database)):
        code, summary = second_command(held)
        assert (code, summary["error"]["code"]) == (1, "destination")
        assert str(held.settings.database) in summary["error"]["message"]
        assert str(os.getpid()) in summary["error"]["message"]
        assert held.state.counters.total == 0


def test_two_homes_that_share_a_quota_store_do_not_sync_one_workspace_at_once(
    postgres: Postgres, tmp_path: Path
) -> None:
    with place(tmp_path, quota_url=postgres.create_database("quota")) as held:
        held.server.emulator.faults.set(SLOW)
        with forked_sync(held.settings) as first:
            at_its_first_request(held)
            asked = held.state.counters.total
            elsewhere = replace(held.settings, home=tmp_path / "elsewhere")
            with pytest.raises(LockHeldError, match=rf"process {first.pid} on \S+ since 2"):
                sync(elsewhere)
            assert held.state.counters.total == asked
            _kill(first)
        held.server.emulator.faults.set("off")
        run_sync(elsewhere)
        assert_mirrors(held.settings, held.state)


def test_two_homes_that_share_a_destination_do_not_sync_one_workspace_at_once(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgres.create_database("destination")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", database)
    with place(tmp_path, destination="postgres") as held:
        held.server.emulator.faults.set(SLOW)
        with forked_sync(held.settings, DESTINATION__POSTGRES__CREDENTIALS=database) as first:
            at_its_first_request(held)
            elsewhere = replace(held.settings, home=tmp_path / "elsewhere")
            with pytest.raises(LockHeldError, match=rf"process {first.pid} on \S+ since 2"):
                sync(elsewhere)
            held.server.emulator.faults.set("off")
            assert sync(replace(elsewhere, workspace="other")).exit_code == 0
            _kill(first)
        run_sync(elsewhere)
