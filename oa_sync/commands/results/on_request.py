"""Loads one result on request, outside of a sync, with the same lock, quota, destination and exit codes.

`oa-sync query` and `oa-sync download` use it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from oa_sync.clock import Clock, isoformat
from oa_sync.definitions.scalars import TableName
from oa_sync.errors import ApiError, ConfigurationError, OaSyncError
from oa_sync.load.disk_errors import disk_error
from oa_sync.load.opening import open_target
from oa_sync.quota.headers import as_exhausted
from oa_sync.settings import Settings
from oa_sync.tables.false_marks import drop_false_marks
from oa_sync.tables.first_look import look_first
from oa_sync.tables.results import Loaded, ResultTable, RowSource, load_result
from oa_sync.tables.target import Target
from oa_sync.workspace.connection import Connection, connect
from oa_sync.workspace.lock import sync_lock
from oa_sync.workspace.report import EXIT_CODES, Requests, Status
from oa_sync.workspace.stopping import Stop, StoppableClock, Stopping, run_stoppable
from oa_sync.workspace.surroundings import Surroundings

T = TypeVar("T")

_TABLE_NAME: TypeAdapter[str] = TypeAdapter(TableName)


@dataclass
class ResultReport:
    """What came of one result. `count`: rows in it; `rows`: rows written, by table; `details`: what the
    command itself adds to the JSON object."""

    table: str
    workspace: str
    started_at: datetime
    dialect: str = "auto"
    finished_at: datetime | None = None
    status: Status = "complete"
    error: OaSyncError | None = None
    requests: Requests = field(default_factory=Requests)
    count: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    drift: list[dict[str, Any]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """The exit code of the command line, as for a sync."""
        if self.status == "failed" and self.error is not None:
            return self.error.exit_code if self.error.exit_code in {2, 5} else 1
        return EXIT_CODES[self.status]

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "status": self.status,
            "exit_code": self.exit_code,
            "workspace": self.workspace,
            "dialect": self.dialect,
            "table": self.table,
            "started_at": isoformat(self.started_at),
            "finished_at": isoformat(self.finished_at) if self.finished_at else None,
            **self.details,
            "requests": self.requests.as_json(),
            "count": self.count,
            "rows": dict(sorted(self.rows.items())),
            "schema_changes": self.drift,
            "error": self.error.as_json() if self.error else None,
        }


@dataclass(frozen=True)
class Session:
    """What a command works with. `clock` stops waiting when the process is told to stop."""

    connection: Connection
    clock: Clock
    report: ResultReport
    load: Callable[[ResultTable, RowSource], Awaitable[Loaded]]
    stopping: Stopping

    async def until_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is cancelled when the process is told to stop.

        Raises:
            Interrupted: it was told so.
        """
        doing = asyncio.ensure_future(work)
        await self.stopping.first(doing)
        self.stopping.check()
        return doing.result()


Work = Callable[[Session], Awaitable[None]]


def checked_table(prefix: str, name: str) -> str:
    """The table `<prefix>_<name>`.

    Raises:
        ConfigurationError: not usable as a table name.
    """
    try:
        if name:
            return _TABLE_NAME.validate_python(f"{prefix}_{name}")
    except ValidationError:
        pass
    raise ConfigurationError(
        f"--table {name!r}: the table would be {prefix}_{name}; use small letters, digits and single"
        " underscores, at most 63 characters in all"
    )


def load_on_request(settings: Settings, table: str, clock: Clock, work: Work) -> ResultReport:
    """Do `work`, which loads one result into `table`, and report.

    Failures of the API or the destination are in the report; the result is then loaded whole or not at all.

    Raises:
        ConfigurationError: settings, arguments or the definition are wrong.
        LockHeldError: a sync of this workspace and destination is running.
    """
    what = f"workspace {settings.workspace!r} into {settings.destination}"
    report = ResultReport(table, settings.workspace, clock.now())
    with sync_lock(settings.home / "locks", settings.fingerprint(), what, clock):
        run_stoppable(lambda stop: _run(settings, report, clock, work, stop))
    report.finished_at = clock.now()
    return report


async def _run(
    settings: Settings, report: ResultReport, clock: Clock, work: Work, stop: Stop
) -> None:
    stopping = Stopping()
    target = open_target(settings, settings.home / "dlt" / settings.fingerprint())
    with ThreadPoolExecutor(1, "load") as thread, stopping.on(stop):

        async def on_thread(function: Callable[[], T]) -> T:
            return await asyncio.get_running_loop().run_in_executor(thread, function)

        async def load(table: ResultTable, source: RowSource) -> Loaded:
            loaded = await on_thread(
                lambda: load_result(table, source, target, settings.workspace, clock.now())
            )
            report.count, report.rows = loaded.count, dict(loaded.rows)
            report.drift = list(loaded.drift)
            return loaded

        try:
            async with connect(settings, Surroundings(clock), stopping, posts=True) as connection:
                try:
                    await on_thread(target.__enter__)
                    await on_thread(lambda: look_first(target, [report.table]))
                    await on_thread(lambda: drop_false_marks(target))
                    definition = await stopping.grant(connection.definition())
                    report.dialect = await stopping.grant(connection.api_dialect())
                    _check_not_a_resource(
                        report.table, {t for r in definition.resources for t in r.tables()}
                    )
                    waiting = StoppableClock(clock, stopping)
                    await work(Session(connection, waiting, report, load, stopping))
                finally:
                    connection.fill(report.requests)
        except ConfigurationError:
            raise
        except OaSyncError as error:
            exhausted = as_exhausted(error, clock.now())
            report.status = "partial" if exhausted else "failed"
            told = None if isinstance(error, ApiError) else disk_error(error, settings)
            report.error = exhausted or told or error
        finally:
            await on_thread(lambda: _close(target))


def _close(target: Target) -> None:
    target.__exit__(None, None, None)


def _check_not_a_resource(table: str, tables: set[str]) -> None:
    if table in tables:
        raise ConfigurationError(
            f"the table {table} belongs to a resource of the definition; choose another --table"
        )
