"""oa-sync inside another program: what is public, how it is stopped, and what it leaves as it was."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import dlt
import pytest

import oa_sync
from oa_sync import Stop, sync, sync_async
from oa_sync.errors import ConfigurationError
from oa_sync.process_wide import held_at
from tests.faults.mirror import assert_mirrors
from tests.faults.places import Place, place
from tests.support.syncing import settings_for

LOGGERS = ("", "dlt", "httpx", "httpcore", "hpack", "oa_sync", "sqlalchemy.engine")
DLT_KEYS = ("runtime.dlthub_telemetry", "runtime.log_level", "normalize.workers")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as served:
        yield served


def host_state() -> dict[str, Any]:
    """What a host program has one of, and would miss."""
    logs = [logging.getLogger(name) for name in LOGGERS]
    return {
        "signals": [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)],
        "loggers": [(one.level, one.propagate, one.disabled, list(one.handlers)) for one in logs],
        "warnings": list(warnings.filters),
        "dlt": {key: dlt.config.get(key) for key in DLT_KEYS},
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "recursion": sys.getrecursionlimit(),
    }


# -- what is public ---------------------------------------------------------------------------------------


def test_everything_public_is_listed_and_can_be_imported() -> None:
    assert set(oa_sync.__all__) <= set(dir(oa_sync))
    for name in oa_sync.__all__:
        assert getattr(oa_sync, name) is not None
    assert {"sync", "sync_async", "Stop", "Settings", "Progress", "Tally"} <= set(oa_sync.__all__)
    errors = {name for name in oa_sync.__all__ if name.endswith("Error")}
    assert len(errors) >= 8
    assert all(issubclass(getattr(oa_sync, name), oa_sync.OaSyncError) for name in errors)
    with pytest.raises(AttributeError, match="no attribute 'sink'"):
        _ = oa_sync.sink


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "oa_sync", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"oa-sync, version {oa_sync.__version__}\n"


def test_one_resource_may_be_named_as_a_text(api: Place) -> None:
    report = sync(api.settings, "datasets")
    assert (report.status, list(report.tallies)) == ("complete", ["datasets"])


# -- what is left as it was -------------------------------------------------------------------------------


@pytest.fixture
def host() -> Iterator[None]:
    """A host program with settings of its own."""
    before = [(one, signal.getsignal(one)) for one in (signal.SIGTERM, signal.SIGINT)]
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.signal(signal.SIGINT, lambda number, frame: None)
    levels = [(logging.getLogger(name), logging.getLogger(name).level) for name in ("httpx", "dlt")]
    logging.getLogger("httpx").setLevel(logging.INFO)
    dlt.config["normalize.workers"] = 7
    logging.getLogger("dlt").setLevel(logging.ERROR)
    yield
    dlt.config["normalize.workers"] = None
    for log, level in levels:
        log.setLevel(level)
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.parametrize("faults", ["", "403=1:1000"], ids=["complete", "failed"])
def test_a_sync_leaves_the_host_program_as_it_was(api: Place, host: None, faults: str) -> None:
    # Imports are over then: libraries add loggers and filters of their own.
    sync(api.settings, "dashboards")
    before = host_state()
    assert before["dlt"]["normalize.workers"] == 7
    api.server.emulator.faults.set(faults)
    with warnings.catch_warnings():  # a restored list of filters counts as another list
        report = sync(replace(api.settings, max_requests=3))
        assert host_state() == before
    assert report.status == ("failed" if faults else "partial")


def test_two_syncs_at_once_leave_the_host_program_as_it_was(
    api: Place, host: None, tmp_path: Path
) -> None:
    sync(api.settings, "dashboards")
    before = host_state()
    others = [settings_for(api.settings.base_url, tmp_path / name) for name in ("one", "two")]
    with ThreadPoolExecutor(2) as threads:
        assert {one.status for one in threads.map(sync, others)} == {"complete"}
    assert host_state() == before


def test_a_value_is_put_back_by_whoever_holds_it_last() -> None:
    value = ["host"]

    def write(new: str) -> None:
        value[0] = new

    one, other = (held_at("a test's value", "ours", lambda: value[0], write) for _ in range(2))
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert value == ["ours"]
    other.__exit__(None, None, None)
    assert value == ["host"]


def test_a_signal_that_the_host_program_ignores_stays_ignored(api: Place, host: None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    seen = []

    def progress(*_: Any) -> None:
        seen.append(signal.getsignal(signal.SIGINT))

    assert sync(api.settings, progress=progress).status == "complete"
    assert set(seen) == {signal.SIG_IGN}


# -- loops ------------------------------------------------------------------------------------------------


def test_sync_works_inside_a_running_loop(api: Place) -> None:
    async def notebook() -> str:
        return sync(api.settings).status

    assert asyncio.run(notebook()) == "complete"
    assert_mirrors(api.settings, api.state)


def test_the_twin_leaves_the_handlers_of_its_loop_alone(api: Place) -> None:
    heard = asyncio.Event()

    async def service() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, heard.set)
        assert (await sync_async(api.settings)).status == "complete"
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await heard.wait()
        loop.remove_signal_handler(signal.SIGTERM)

    asyncio.run(service())
    assert_mirrors(api.settings, api.state)


def test_what_a_cancelled_twin_fetched_is_loaded_by_the_next_sync(api: Place) -> None:
    async def service() -> None:
        is_fetching = asyncio.Event()

        def progress(stage: str, resource: str, done: int, total: int | None) -> None:
            if stage == "detail" and done > 2:
                is_fetching.set()

        task = asyncio.ensure_future(sync_async(api.settings, progress=progress))
        await is_fetching.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(service())
    assert 0 < api.state.counters.total < 40
    assert api.journaled()
    api.recovers()


# -- stopping ---------------------------------------------------------------------------------------------


def test_a_stop_from_another_thread_ends_the_sync_and_the_next_one_goes_on(api: Place) -> None:
    stop = Stop()

    def progress(stage: str, resource: str, done: int, total: int | None) -> None:
        if resource == "reports" and done:
            caller = threading.Thread(target=stop.request)
            caller.start()
            caller.join()

    report = sync(api.settings, progress=progress, stop=stop)
    assert report.error is not None
    assert (report.status, report.exit_code, report.error.code) == ("partial", 3, "interrupted")
    spent = api.state.counters.total
    assert 0 < spent < 40
    again = sync(api.settings)
    assert again.status == "complete"
    assert_mirrors(api.settings, api.state)


def test_a_stop_before_the_sync_sends_nothing_and_holds_for_every_sync(
    api: Place, caplog: pytest.LogCaptureFixture
) -> None:
    stop = Stop()
    stop.request("the host program ends")
    for _ in range(2):
        assert sync(api.settings, stop=stop).exit_code == 3
    assert api.state.counters.total == 0
    told = [
        one for one in caplog.messages if one.startswith("the host program ends: stopping; no more")
    ]
    assert len(told) == 2, "once a sync"


# -- the caller's own code --------------------------------------------------------------------------------


def test_a_progress_callback_that_fails_is_told_as_such_and_the_sync_goes_on(
    api: Place, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def progress(*call: Any) -> None:
        calls.append(call)
        raise ZeroDivisionError("in the caller's code")

    assert sync(api.settings, progress=progress).status == "complete"
    assert len(calls) == 1
    told = [one for one in caplog.records if "progress callback failed" in one.getMessage()]
    assert len(told) == 1
    assert told[0].exc_info is not None
    assert_mirrors(api.settings, api.state)


def test_a_wrong_resource_is_told_with_those_that_are_there(api: Place) -> None:
    with pytest.raises(ConfigurationError, match="'report' is not in the definition; it has dat"):
        sync(api.settings, "report")
    assert api.state.counters.total <= 1
