"""Syncs that die in the middle of a load: a process that has everything imported, and forks.

Run as `python -m tests.destinations.killing`. Each line on stdin is a pickled `Order` in Base64. The
answer is a line `killed`, or `done CALLS`: so many calls, returns and calls of C functions were counted
while rows were loaded.
"""

from __future__ import annotations

import base64
import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

from oa_sync.settings import Settings
from oa_sync.tables.batches import Batch

_IMPORTED = (
    "oa_sync.commands.sync",
    "oa_sync.load.dlt.warehouse",
    "oa_sync.load.lake",
    "oa_sync.load.postgres",
    "dlt.destinations.impl.duckdb.duck",
    "oa_sync.load.lakehouse.delta",
    "oa_sync.load.lakehouse.iceberg",
    "pyiceberg.catalog.sql",
    "dlt.destinations.impl.sqlalchemy.sqlalchemy_job_client",
    "s3fs",
)
_COUNTED = ("/oa_sync/load/", "/dlt/destinations/", "/dlt/normalize/")
"""Not `dlt/load/`, which polls, and calls more or less from run to run."""


@dataclass(frozen=True)
class Order:
    """A sync, and at which count it dies (0: it does not)."""

    settings: Settings
    environment: dict[str, str]
    point: int = 0


class Killer:
    """Has syncs run in forks of a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, order: Order) -> str:
        """The answer to `order`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(base64.b64encode(pickle.dumps(order)).decode() + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@contextmanager
def killer() -> Iterator[Killer]:
    """Start the process; ended with the context."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.destinations.killing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    ) as process:
        yield Killer(process)
        assert process.stdin is not None
        process.stdin.close()


class _Counter:
    """A profile function."""

    def __init__(self, point: int) -> None:
        self.calls, self._point = 0, point
        self._counts: dict[str, bool] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        counts = self._counts.get(name)
        if counts is None:
            counts = self._counts[name] = any(part in name for part in _COUNTED)
        if counts:
            self.calls += 1
            if self.calls == self._point:
                os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count in this thread and in those that it starts."""
        sys.setprofile(self)
        threading.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)


def _sync(order: Order) -> str:
    from oa_sync.commands.sync import sync
    from oa_sync.load.opening import open_target
    from oa_sync.tables.target import Target

    os.environ.update(order.environment)
    counter = _Counter(order.point)

    def open_counted(settings: Settings, workdir: Path, **options: Any) -> Target:
        target = open_target(settings, workdir, **options)
        load = target.load

        def counted(batches: Iterable[Batch]) -> dict[str, int]:
            with counter.counting():
                return load(batches)

        target.load = counted  # type: ignore[method-assign]
        return target

    with mock.patch("oa_sync.commands.sync.open_target", open_counted):
        report = sync(order.settings)
    return f"done {counter.calls}" if report.status == "complete" else f"failed: {report.error}"


def _main() -> None:
    for name in _IMPORTED:
        with suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        order = pickle.loads(base64.b64decode(line))
        child = os.fork()
        if child == 0:
            try:
                print(_sync(order), flush=True)
            except Exception as error:
                print(f"failed: {error!r}", flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            print("killed", flush=True)


if __name__ == "__main__":
    _main()
