"""SIGTERM and Ctrl-C, whatever a run is doing: nothing more is asked, what came is loaded, exit code 3."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from oa_sync.clock import Clock
from oa_sync.settings import Settings
from tests.faults.mirror import assert_mirrors
from tests.faults.places import Place, place
from tests.faults.processes import forked_sync, started, syncing, wait_for
from tests.faults.test_faulty_server import listening
from tests.support.command import OA_SYNC, PATIENCE
from tests.support.syncing import query, run_sync, settings_for

SHORT = 40.0
"""Seconds a stopped sync may take to end: far more than its last load takes on a busy machine, and less
than any wait here would last."""


def stopped(process: BaseProcess, number: int = signal.SIGTERM) -> float:
    """Send the signal and wait for the end; the seconds it took."""
    assert process.pid is not None
    assert process.exitcode is None, f"ended before it was stopped: {process.exitcode}"
    sent = time.monotonic()
    os.kill(process.pid, number)
    process.join(PATIENCE)
    return time.monotonic() - sent


def heard(process: subprocess.Popen[str]) -> None:
    """Wait until a signal was heard; nothing is asked from then on."""
    assert process.stderr is not None
    assert any("no more requests" in line for line in process.stderr), "never heard the signal"


class Turnstile(Clock):
    """A clock for the emulator: the first waits end at once, all others when it is opened."""

    def __init__(self, free: int) -> None:
        self.held = 0
        self._free = free
        self._opened = threading.Event()

    def open(self) -> None:
        self._opened.set()

    async def sleep(self, seconds: float) -> None:
        if self._free > 0:
            self._free -= 1
            return
        self.held += 1
        while not self._opened.is_set():
            await asyncio.sleep(0.01)


def details_loaded(place: Place) -> int:
    whole = "SELECT count(*) FROM {} WHERE _oa_detail_version = _oa_version"
    return sum(query(place.settings, whole.format(t))[0][0] for t in ("datasets", "reports"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_among_the_details_loads_what_was_fetched(number: int, tmp_path: Path) -> None:
    with place(tmp_path) as asked:
        asked.server.emulator.clock = turnstile = Turnstile(9)
        asked.server.emulator.faults.set("slow=1:1,paths=/reports/|/datasets/")
        with syncing(asked.settings) as process:
            wait_for(lambda: turnstile.held > 0, "some details, and more of them under way")
            process.send_signal(number)
            heard(process)
            turnstile.open()
            assert process.wait(PATIENCE) == 3
        asked.server.emulator.faults.set("off")
        fetched = len(asked.state.counters.details)
        assert fetched < 35
        assert details_loaded(asked) == fetched, "what was asked for is awaited and loaded"
        assert query(asked.settings, "SELECT error_code FROM syncs") == [("interrupted",)]
        asked.state.counters.reset()
        run_sync(asked.settings)
        assert len(asked.state.counters.details) == 35 - fetched
        assert_mirrors(asked.settings, asked.state)


def test_a_signal_among_the_lists_ends_the_run(tmp_path: Path) -> None:
    with place(tmp_path) as asked:
        asked.server.emulator.clock = turnstile = Turnstile(1)
        asked.server.emulator.faults.set("slow=1:1")
        with syncing(asked.settings) as process:
            wait_for(lambda: turnstile.held > 0, "the second list")
            process.send_signal(signal.SIGTERM)
            heard(process)
            turnstile.open()
            assert process.wait(PATIENCE) == 3
        assert asked.state.counters.total <= 3
        asked.server.emulator.faults.set("off")
        run_sync(asked.settings)
        assert_mirrors(asked.settings, asked.state)


WAITS: dict[str, tuple[dict[str, Any], str]] = {
    "the minute's limit": ({"rpm": 1}, ""),
    "a retry": ({}, "429=1:100,paths=/reports/"),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
def test_a_signal_ends_a_long_wait(wait: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    options, faults = wait
    with place(tmp_path, **options) as asked:
        asked.server.emulator.faults.set(faults)
        with forked_sync(asked.settings) as process:
            is_waiting = _idle(lambda: asked.state.counters.total)
            wait_for(is_waiting, "a pause between requests")
            assert stopped(process) < SHORT
            assert process.exitcode == 3


def _idle(count: Callable[[], int], seconds: float = 0.5) -> Callable[[], bool]:
    """Whether `count()` has been the same, and not 0, for a while."""
    seen = [0, time.monotonic()]

    def idle() -> bool:
        if count() != seen[0]:
            seen[:] = [count(), time.monotonic()]
        return seen[0] > 0 and time.monotonic() - seen[1] > seconds

    return idle


def test_a_signal_does_not_wait_for_a_server_that_does_not_answer(tmp_path: Path) -> None:
    with listening() as dead:
        settings = settings_for(f"http://127.0.0.1:{dead.port}/v1", tmp_path, dialect="page")
        with forked_sync(settings) as process:
            wait_for(lambda: bool(dead.heard), "the first request")
            assert stopped(process) < SHORT
            assert process.exitcode == 3


def test_a_signal_while_loading_finishes_the_load(tmp_path: Path) -> None:
    with place(tmp_path, "reports=20,datasets=1,dashboards=1,runs=0,rows=20000") as asked:
        jobs = asked.settings.home / "dlt"
        with forked_sync(asked.settings) as process:
            wait_for(
                lambda: any(jobs.glob("*/*/load/normalized/*/started_jobs/report_rows*")), "a load"
            )
            stopped(process)
            assert process.exitcode == 0
        assert_mirrors(asked.settings, asked.state, "datasets", "dashboards")
        assert query(asked.settings, "SELECT count(*) FROM report_rows") == [(400_000,)]


def test_a_second_signal_ends_at_once_and_the_next_run_loses_nothing(tmp_path: Path) -> None:
    with place(tmp_path) as asked:
        asked.server.emulator.faults.set("slow=1:600,paths=/reports/")
        with syncing(asked.settings) as process:
            wait_for(_idle(lambda: len(asked.state.counters.details)), "slow answers only")
            process.send_signal(signal.SIGINT)
            heard(process)
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == -signal.SIGINT, "before the answers come"
        asked.server.emulator.faults.set("off")
        asked.recovers()


SENT_ONCE: dict[str, tuple[str, tuple[str, ...], str]] = {
    "query": ("/queries", ("query", "{dataset}", "SELECT 1", "--table", "t"), "may be running"),
    "run": ("/agents/run", ("runs", "start", "--agent", "a", "--task", "t"), "oa-sync runs add"),
}


@pytest.mark.parametrize(("path", "words", "says"), SENT_ONCE.values(), ids=SENT_ONCE.keys())
def test_a_signal_after_a_request_that_is_sent_once_ends_soon_and_says_what_may_be(
    path: str, words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    with place(tmp_path) as asked:
        asked.server.emulator.faults.set(f"slow=1:600,paths={path}")
        dataset = next(iter(asked.state.ids("datasets")))
        with running(asked.settings, *(word.format(dataset=dataset) for word in words)) as process:
            wait_for(lambda: asked.state.counters.by_route["POST", path] > 0, "the request")
            process.send_signal(signal.SIGTERM)
            out, errors = process.communicate(timeout=SHORT)
        assert process.returncode == 3
        assert says in " ".join((out + errors).split())
        assert asked.state.counters.by_route["POST", path] == 1


def test_a_signal_after_a_declared_query_ends_the_sync_and_the_next_one_asks_again(
    tmp_path: Path,
) -> None:
    with place(tmp_path) as asked:
        dataset = next(iter(asked.state.ids("datasets")))
        file = tmp_path / "with_query.yaml"
        queries = f"[{{name: one, dataset_id: {dataset}, sql: SELECT 1 AS one}}]"
        file.write_text(f"name: q\nextends: page\nqueries: {queries}\n", encoding="utf-8")
        settings = replace(asked.settings, source=str(file))
        asked.server.emulator.faults.set("slow=1:600,paths=/queries")
        with forked_sync(settings) as process:
            wait_for(lambda: asked.state.counters.by_route["POST", "/queries"] > 0, "the query")
            assert stopped(process) < SHORT
            assert process.exitcode == 3
        assert query(settings, "SELECT error_code FROM syncs") == [("interrupted",)]
        asked.server.emulator.faults.set("off")
        run_sync(settings)
        assert query(settings, "SELECT one FROM query_one") == [(1,)]


@contextmanager
def running(settings: Settings, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Any running command, with `settings` in its environment; killed at the end of the block."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(settings.home.parent),
        "OPENANALYST_API_KEY": settings.api_key or "",
        "OPENANALYST_BASE_URL": settings.base_url,
        "OA_SYNC_DIALECT": settings.dialect,
        "OA_SYNC_HOME": str(settings.home),
        "OA_SYNC_DATABASE": str(settings.database),
    }
    with started([*OA_SYNC, *words], environment, settings.home.parent) as process:
        yield process
