"""Syncs in processes of their own, that may be killed: the real command, or a fork that kills itself
at a chosen instruction."""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from oa_sync.settings import Settings
from tests.support.command import OA_SYNC, PATIENCE

# Children are forked from one process that has imported everything: a sync then starts in
# milliseconds, and still is a process that SIGKILL ends like any other.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "oa_sync.commands.sync",
        "oa_sync.load.dlt.warehouse",
        "dlt.destinations",
        "tests.faults.processes",
    ]
)


@dataclass(frozen=True)
class Point:
    """An instruction: before or after the `nth` call of `function` (`package.module:Class.name`)."""

    function: str
    when: str = "before"
    nth: int = 1

    def __str__(self) -> str:
        nth = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.when} {self.function.rpartition(':')[2]}{nth}"


@dataclass(frozen=True)
class Tuning:
    """How a forked sync differs from the default: bytes after which a step is loaded."""

    step_bytes: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def sync_until(point: Point, settings: Settings, tuning: Tuning | None = None) -> None:
    """Sync in a process that SIGKILLs itself at `point`; an assertion that it came there."""
    process = _FORKS.Process(
        target=_sync_until, args=(point, settings, tuning or Tuning()), daemon=True
    )
    process.start()
    process.join(PATIENCE)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"{point}: the process is stuck")
    assert process.exitcode == -signal.SIGKILL, f"never came to {point}: {process.exitcode}"


@contextmanager
def forked_sync(settings: Settings, **environment: str) -> Iterator[BaseProcess]:
    """A sync in a process of its own, without the command's start-up; its exit code is the
    command's. Killed at the end of the block where it still runs."""
    process = _FORKS.Process(target=_sync, args=(settings, environment), daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _sync(settings: Settings, environment: Mapping[str, str]) -> None:
    from oa_sync.commands.sync import sync

    os.environ.update(environment)
    sys.exit(sync(settings).exit_code)


def _sync_until(point: Point, settings: Settings, tuning: Tuning) -> None:
    from oa_sync.commands.sync import sync
    from oa_sync.journal.segment_writer import SegmentWriter

    os.environ.update(tuning.environment)
    if tuning.step_bytes is not None:
        defaults: Any = SegmentWriter.__init__.__kwdefaults__
        defaults["max_bytes"] = tuning.step_bytes
    _arm(point)
    sync(settings)


def _arm(point: Point) -> None:
    module, _, path = point.function.partition(":")
    owner: Any = importlib.import_module(module)
    *holders, name = path.split(".")
    for holder in holders:
        owner = getattr(owner, holder)
    setattr(owner, name, _deadly(getattr(owner, name), point))


def _deadly(function: Callable[..., Any], point: Point) -> Callable[..., Any]:
    calls = 0

    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        due = calls == point.nth
        if due and point.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapper


# -- the command ----------------------------------------------------------------------------------


def command(settings: Settings, *more: str) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of `oa-sync sync` with `settings`."""
    flags: dict[str, Any] = {
        "base-url": settings.base_url,
        "dialect": settings.dialect,
        "rpm": settings.rpm,
        "rpd": settings.rpd,
        "home": settings.home,
        "workspace": settings.workspace,
        "destination": settings.destination,
        "database": settings.database,
        "bucket-url": settings.bucket_url,
        "quota-url": settings.quota_url,
        "source": settings.source,
    }
    given = [f"--{name}={value}" for name, value in flags.items() if value is not None]
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    root = str(settings.home.parent)
    environment = {**kept, "HOME": root, "OPENANALYST_API_KEY": settings.api_key or ""}
    return [*OA_SYNC, "sync", *given, *more], environment


@contextmanager
def syncing(settings: Settings, *more: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A running `oa-sync sync`; killed at the end of the block where it still runs."""
    arguments, base = command(settings, *more)
    with started(arguments, {**base, **environment}, settings.home.parent) as process:
        yield process


@contextmanager
def started(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[str]]:
    """A running process in `folder`; killed at the end of the block where it still runs."""
    with subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Return as soon as `condition()` holds; it is another process or thread that makes it so."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.001)
