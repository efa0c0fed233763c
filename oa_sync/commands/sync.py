"""`oa-sync sync`: lock, load what is pending, scan, compare, fetch, load, report.

Requests are made on an event loop in this thread. Meanwhile, everything that touches the destination runs
on one other thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from oa_sync.clock import Clock
from oa_sync.commands.outcome import Outcome, as_ours
from oa_sync.commands.results.declared import DeclaredQueries
from oa_sync.definitions.model import Definition, Query, Resource
from oa_sync.errors import (
    ConfigurationError,
    DiskError,
    LockHeldError,
    OaSyncError,
)
from oa_sync.extract.cost import first_cost
from oa_sync.extract.details.unfinished import Unfinished
from oa_sync.extract.extraction import Extraction
from oa_sync.extract.lists.changes import Known, has_coarse_versions
from oa_sync.extract.runs.followed import FollowedRuns
from oa_sync.extract.runs.known import runs_resource
from oa_sync.extract.tally import Tally, Warned
from oa_sync.journal.disk import require_writable
from oa_sync.journal.journal import Journal
from oa_sync.journal.queue import SegmentQueue
from oa_sync.journal.segment_writer import SegmentWriter
from oa_sync.load.destination_errors import destination_errors
from oa_sync.load.loader import Loader
from oa_sync.load.opening import open_target
from oa_sync.settings import Settings
from oa_sync.tables.agent_runs import followed_runs
from oa_sync.tables.assembler import Assembler
from oa_sync.tables.batches import Batch
from oa_sync.tables.false_marks import drop_false_marks
from oa_sync.tables.first_look import look_first, tables_of
from oa_sync.tables.syncs import read_before, syncs_batch
from oa_sync.tables.target import Target
from oa_sync.workspace.announced import announced
from oa_sync.workspace.connection import Connection, connect
from oa_sync.workspace.lock import PostgresLock, sync_lock
from oa_sync.workspace.report import SyncReport
from oa_sync.workspace.stopping import Stop, StoppableClock, Stopping, run_stoppable
from oa_sync.workspace.surroundings import Surroundings

logger = logging.getLogger(__name__)

Progress = Callable[[str, str, int, int | None], None]
_ROOM_OF_HOME = 1024 * 1024
"""Bytes that home must have left: with less, what is asked for may not be kept, each night anew."""
T = TypeVar("T")


def _no_progress(stage: str, resource: str, done: int, total: int | None) -> None:
    """Shows no progress."""


def sync(
    settings: Settings,
    resources: Sequence[str] = (),
    *,
    full_refresh: bool = False,
    history: bool = False,
    retry_set_aside: bool = False,
    allow_mass_delete: bool = False,
    clock: Clock | None = None,
    progress: Progress = _no_progress,
    stop: Stop | None = None,
) -> SyncReport:
    """Bring the destination up to date and report.

    `resources` limits the sync to these, or to this one (default: all of the definition). `full_refresh` asks
    for every detail again. `history` keeps every version of every row, from now on. `retry_set_aside` first
    loads the segments that were set aside because they failed to load. `allow_mass_delete` marks the rows as
    deleted that an earlier sync kept and named because they were too many at once. `progress(stage,
    resource, done, total)` is called as the sync goes on; if it raises, that is logged, and it is called no
    more. `stop` ends the sync early; so do SIGTERM and Ctrl-C, where this is the main thread. Inside a running
    event loop (a notebook) the loop waits for the end; `sync_async` does not block it.

    Failures of the API or the destination are in the report (`status`, `error`). Everything that was
    fetched is then loaded, or kept for the next sync.

    Raises:
        ConfigurationError: settings, definition or a resource name are wrong; nothing was done.
        LockHeldError: another sync of this workspace and destination is running.
    """
    around = Surroundings(clock or Clock())
    return run_stoppable(
        lambda stop: sync_async(
            settings,
            resources,
            full_refresh=full_refresh,
            history=history,
            retry_set_aside=retry_set_aside,
            allow_mass_delete=allow_mass_delete,
            progress=progress,
            stop=stop,
            around=around,
        ),
        stop,
    )


async def sync_async(
    settings: Settings,
    resources: Sequence[str] = (),
    *,
    full_refresh: bool = False,
    history: bool = False,
    retry_set_aside: bool = False,
    allow_mass_delete: bool = False,
    progress: Progress = _no_progress,
    stop: Stop | None = None,
    around: Surroundings | None = None,
    target: Target | None = None,
) -> SyncReport:
    """As `sync`, on the running event loop, whose signal handlers stay as they are. If it is cancelled, what
    was fetched is kept, and the next sync loads it; `stop` ends it in order, with a report.

    `around`: the sync's time, chance, disk, network and threads. `target`: an opened target to load into,
    which stays open (None: that of the settings).
    """
    around = around or Surroundings()
    locks, name = settings.home / "locks", settings.fingerprint()
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(sync_lock(locks, name, _what(settings), around.clock))
        except DiskError as error:
            return SyncReport.not_started(settings.workspace, error)
        one_sync = _Sync(
            settings,
            around,
            _guarded(progress),
            full_refresh,
            history,
            retry_set_aside,
            allow_mass_delete,
        )
        names = (resources,) if isinstance(resources, str) else tuple(resources)
        return await one_sync.run(names, target, stop)


def _guarded(progress: Progress) -> Progress:
    """`progress`, until it raises: it is the caller's, and a fault in it must not end the sync."""
    is_broken = False

    def call(stage: str, resource: str, done: int, total: int | None) -> None:
        nonlocal is_broken
        if not is_broken:
            try:
                progress(stage, resource, done, total)
            except Exception:
                is_broken = True
                logger.warning(
                    "the progress callback failed; the sync goes on without", exc_info=True
                )

    return call


class _Sync:
    """One sync, from connection to report."""

    def __init__(
        self,
        settings: Settings,
        around: Surroundings,
        progress: Progress,
        full_refresh: bool,
        history: bool,
        retry_set_aside: bool,
        allow_mass_delete: bool,
    ) -> None:
        self._retry_set_aside = retry_set_aside
        self._settings, self._around, self._clock = settings, around, around.clock
        self._progress, self._full_refresh = progress, full_refresh
        self._keep_history, self._allow_mass_delete = history, allow_mass_delete
        self._lock: PostgresLock | None = None
        sync_id = str(uuid.UUID(int=around.random.getrandbits(128), version=4))
        self._report = SyncReport(sync_id, settings.workspace, started_at=self._clock.now())
        self._outcome = Outcome(self._report, self._clock)

    async def run(
        self, names: tuple[str, ...], opened: Target | None, stop: Stop | None
    ) -> SyncReport:
        """Sync, close what was opened here, and put errors into the report."""
        self._stopping = Stopping()
        with (
            self._around.loading_thread() as self._load_thread,
            contextlib.ExitStack() as self._locks,
            contextlib.closing(Journal(self._settings.journal, self._around.disk)) as journal,
            self._stopping.on(stop),
        ):
            target = opened or self._target()
            try:
                async with connect(self._settings, self._around, self._stopping) as connection:
                    self._lock_for_all_machines()
                    if opened is None:
                        await self._loading(target.__enter__)
                    with announced(self._settings, self._clock) as self._announced:
                        await self._sync(connection, target, journal, names)
            except (ConfigurationError, LockHeldError):
                raise
            except Exception as error:
                self._outcome.fail(as_ours(error, self._settings))
            finally:
                if opened is None:
                    await self._loading(lambda: target.__exit__(None, None, None))
        self._report.finished_at = self._clock.now()
        return self._report

    def _target(self) -> Target:
        folder = self._settings.home / "dlt" / self._settings.fingerprint()
        return open_target(self._settings, folder, clock=self._clock, reconnected=self._keep_lock)

    def _lock_for_all_machines(self) -> None:
        """Take the lock where other machines see it: in the destination, else where the quota is.

        A local file is a destination of this machine only, so the name of its lock holds the machine's.

        Raises:
            LockHeldError: another machine, or another home of this one, is syncing.
            DestinationError: the server cannot be reached.
        """
        settings, name = self._settings, self._settings.fingerprint()
        if settings.destination == "postgres":
            from oa_sync.load.postgres.address import address

            where, url = "destination postgres", address()
        elif settings.quota_url is not None:
            where, url = "--quota-url", settings.quota_url
            if settings.place.startswith(("/", "file:")):
                name = f"{name} {socket.gethostname()}"
        else:
            return
        with destination_errors(where):
            lock = PostgresLock(url, name, _what(settings), self._clock)
            self._lock = self._locks.enter_context(lock)

    def _keep_lock(self) -> None:
        """Make sure that nobody else may load. Called before each load and after each new connection."""
        if self._lock is not None:
            with destination_errors("lock"):
                self._lock.ensure()

    async def _sync(
        self,
        connection: Connection,
        target: Target,
        journal: Journal,
        names: tuple[str, ...],
    ) -> None:
        report = self._report
        try:
            require_writable(self._settings.home, _ROOM_OF_HOME)
            tables = _tables(connection.possible_definitions(), names)
            await self._loading(lambda: look_first(target, tables))
            await self._loading(lambda: drop_false_marks(target))
            self._warn_of_a_new_place(target, connection)
            definition = await self._stopping.grant(connection.definition())
            report.dialect = connection.dialect
            chosen, queries = _chosen(definition, names)
            keep = self._keep_history
            assembler = await self._loading(
                lambda: Assembler(definition, target, self._settings, history=keep)
            )
            loader = Loader(target, journal, assembler, self._settings, before_load=self._keep_lock)
            await self._loading(loader.start_history)
            if self._retry_set_aside:
                journal.take_back()
            await self._loading(loader.finish_pending)
            known, runs, lists_read = await self._loading(
                lambda: self._read_back(loader, assembler, definition, chosen, target)
            )
            if self._full_refresh:
                known = {name: _without_details(rows) for name, rows in known.items()}
            queue = SegmentQueue[Batch](filled=self._around.condition())
            writer = SegmentWriter(journal, queue, self._clock)
            extraction = Extraction(
                connection.client,
                self._clock,
                lists=connection,
                emit=writer.emit,
                progress=self._progress,
                runs=runs,
                unfinished=Unfinished(
                    self._settings.journal / "unfinished", self._clock, self._around.disk
                ),
                read_before=lists_read,
                full_scan_days=self._settings.full_scan_days,
                allow_mass_delete=self._allow_mass_delete,
                full_refresh=self._full_refresh,
            )
            report.tallies = extraction.tallies
            loading = asyncio.ensure_future(self._loading(lambda: loader.run(queue)))
            is_done = False
            try:
                try:
                    await self._stopping.grant(extraction.run(chosen, known))
                    is_done = True
                except Exception as error:
                    self._outcome.fail(as_ours(error, self._settings))
                ended = extraction.exhausted or extraction.in_parts
                self._outcome.conclude(ended, extraction.remaining, connection)
                connection.fill(report.requests)
                report.rows, report.drift = loader.rows, assembler.drift
                report.finished_at = self._clock.now()
                writer.finish(lambda: self._last_rows(assembler, loader, with_report=not queries))
            finally:
                queue.close()  # whatever happened: the loading thread waits for it
                await loading
            if report.status == "complete":
                await self._loading(lambda: loader.make_unloaded(chosen))
            if is_done:
                self._announced.acknowledge()
                if not names:
                    connection.note_loaded(_first_cost(chosen, known, report.tallies))
            if queries:
                await self._query(queries if is_done else (), extraction, connection, target)
        finally:
            connection.fill(report.requests)

    def _warn_of_a_new_place(self, target: Target, connection: Connection) -> None:
        """A mistyped path makes a new database, and all of it is asked for: say so before."""
        before = connection.loaded_elsewhere()
        if before is None or target.columns():
            return
        place, cost = before
        text = (
            f"new database: {self._settings.shown_place} has no tables yet; this workspace was last loaded"
            f" into {place}. A first sync costs about {cost:,} requests; stop it if the name is mistyped"
        )
        logger.warning("%s", text)
        self._report.general.append(Warned("new_database", text))

    async def _query(
        self,
        queries: Sequence[Query],
        extraction: Extraction,
        connection: Connection,
        target: Target,
    ) -> None:
        """Run the declared queries when the resources are loaded, then write the row of the sync."""
        report = self._report
        declared = DeclaredQueries(
            connection,
            target,
            self._settings.workspace,
            StoppableClock(self._clock, self._stopping),
            self._loading,
            full_refresh=self._full_refresh,
            progress=self._progress,
        )
        declared.exhausted = extraction.exhausted
        try:
            await declared.run(queries, report.tallies)
        except OaSyncError as error:
            self._outcome.fail(error)
        ended = declared.exhausted or extraction.in_parts
        self._outcome.conclude(ended, extraction.remaining, connection)
        connection.fill(report.requests)
        report.rows = {**report.rows, **declared.rows}
        report.drift = [*report.drift, *declared.drift]
        report.finished_at = self._clock.now()
        written = await self._loading(lambda: target.load([syncs_batch(report)]))
        report.rows = {**report.rows, **written}

    def _last_rows(self, assembler: Assembler, loader: Loader, *, with_report: bool) -> list[Batch]:
        """Report what was not loaded, which is known only when all rows are shaped. Then the row of `syncs`
        is written: here, or after the queries."""
        self._outcome.note_rows(assembler, loader)
        return [syncs_batch(self._report)] if with_report else []

    def _read_back(
        self,
        loader: Loader,
        assembler: Assembler,
        definition: Definition,
        chosen: Sequence[Resource],
        target: Target,
    ) -> tuple[dict[str, dict[str, Known]], FollowedRuns, dict[str, datetime]]:
        """What is loaded of each resource, the followed runs, and when lists were read whose versions do not tell
        each change."""
        with target.held_open():
            loader.note_readings()
            known = {resource.name: assembler.known(resource) for resource in chosen}
            is_coarse = any(has_coarse_versions(known[r.name]) for r in chosen if r.detail)
            lists_read = read_before(target) if is_coarse else {}
            return known, self._runs(definition, chosen, target), lists_read

    def _runs(
        self, definition: Definition, chosen: Sequence[Resource], target: Target
    ) -> FollowedRuns:
        """The followed runs. A sync without their resource leaves the inbox to one that has it."""
        heard = self._announced.drain() if runs_resource(definition) in chosen else []
        return followed_runs(target, definition, chosen, heard, self._clock)

    async def _loading(self, function: Callable[[], T]) -> T:
        """Run `function` on the loading thread: dlt's objects belong to one thread."""
        return await asyncio.get_running_loop().run_in_executor(self._load_thread, function)


def _what(settings: Settings) -> str:
    return f"workspace {settings.workspace!r} into {settings.destination}"


def _chosen(definition: Definition, names: tuple[str, ...]) -> tuple[list[Resource], list[Query]]:
    known = [resource.name for resource in definition.resources]
    known += [query.name for query in definition.queries]
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"resource {name!r} is not in the definition; it has {', '.join(known)}"
            )
    wanted = set(names)
    for resource in reversed(definition.resources):  # a parent stands before its children
        if resource.name in wanted and resource.parent is not None:
            wanted.add(resource.parent)
    return (
        [resource for resource in definition.resources if not names or resource.name in wanted],
        [query for query in definition.queries if not names or query.name in names],
    )


def _first_cost(
    resources: Sequence[Resource],
    known: Mapping[str, Mapping[str, Known]],
    tallies: Mapping[str, Tally],
) -> int:
    """About what a first sync of what is loaded now would cost; `known` was loaded before this one."""
    return first_cost(
        [
            (
                one,
                sum(1 for row in known[one.name].values() if not row.deleted)
                + tallies[one.name].new,
            )
            for one in resources
            if one.name in tallies
        ]
    )


def _tables(definitions: Sequence[Definition], names: tuple[str, ...]) -> set[str]:
    """The tables that a sync by one of `definitions` may make."""
    found: set[str] = set()
    for definition in definitions:
        with contextlib.suppress(ConfigurationError):  # a name that only the other dialect has
            found.update(tables_of(*_chosen(definition, names)))
    return found


def _without_details(rows: Mapping[str, Known]) -> dict[str, Known]:
    return {key: replace(row, version=None, detail_version=None) for key, row in rows.items()}
