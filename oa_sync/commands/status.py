"""The state of a workspace, without a request: last syncs, rows, backlog, quota, what waits to be loaded."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from oa_sync.clock import Clock, isoformat
from oa_sync.commands.outlook import changes_too_fast, recent_syncs
from oa_sync.errors import ConfigurationError, LockHeldError
from oa_sync.extract.rationing import CODE
from oa_sync.journal.journal import Journal
from oa_sync.load.opening import open_for_reading
from oa_sync.quota.account import QuotaStatus
from oa_sync.settings import Settings
from oa_sync.tables.counts import Counts
from oa_sync.tables.readings import TABLE as READINGS
from oa_sync.tables.target import Target
from oa_sync.workspace.connection import quota_account
from oa_sync.workspace.lock import sync_lock

SYNCS_SHOWN = 10


@dataclass(frozen=True)
class Status:
    """The state of one workspace in one destination.

    `syncs` are the last ones, newest first, as the columns of the table `syncs`. `tables` is None
    where the destination cannot be read because a sync is writing to it (`running` says which).
    `quota` is None where the account is not known; `quota_note` says why. `pending_segments`: journal
    files that an interrupted sync left; the next sync loads them first. `set_aside`: the rows that could
    not be taken (`resource`, `key`, `where`, `reason`), by the newest sync of each resource. `segments_set_aside`: journal files that failed to load too often.
    `warnings`: what the budget cannot do (`code`, `resource`, `message`).
    """

    workspace: str
    destination: str
    place: str
    at: datetime
    running: str | None = None
    syncs: list[dict[str, Any]] = field(default_factory=list)
    tables: dict[str, Counts] | None = field(default_factory=dict)
    quota: QuotaStatus | None = None
    quota_note: str | None = None
    pending_segments: int = 0
    set_aside: list[dict[str, Any]] = field(default_factory=list)
    segments_set_aside: list[str] = field(default_factory=list)
    warnings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def backlog(self) -> dict[str, int]:
        """Rows whose newest detail is not loaded, by resource."""
        tables = self.tables or {}
        return {name: t.backlog for name, t in tables.items() if t.backlog is not None}

    def as_json(self) -> dict[str, Any]:
        """The object that `status --json` prints."""
        tables = self.tables
        return {
            "workspace": self.workspace,
            "destination": self.destination,
            "place": self.place,
            "at": isoformat(self.at),
            "running": self.running,
            "syncs": [{name: _plain(value) for name, value in s.items()} for s in self.syncs],
            "rows": None if tables is None else {name: t.rows for name, t in tables.items()},
            "deleted": None if tables is None else {name: t.deleted for name, t in tables.items()},
            "backlog": None if tables is None else self.backlog,
            "quota": self.quota.as_json() if self.quota else None,
            "quota_note": self.quota_note,
            "pending_segments": self.pending_segments,
            "set_aside": self.set_aside,
            "segments_set_aside": self.segments_set_aside,
            "warnings": self.warnings,
        }


def status(settings: Settings, clock: Clock | None = None) -> Status:
    """The state of the workspace of `settings`. Sends no request, needs no key, creates no database.

    Raises:
        ConfigurationError: a setting is wrong.
        DestinationError: the destination cannot be read.
    """
    clock = clock or Clock()
    quota, note = _quota(settings, clock)
    running, syncs, summaries, tables = _destination(settings, clock)
    with contextlib.closing(Journal(settings.journal)) as journal:
        segments, aside = len(journal.segments()), [str(one) for one in journal.aside()]
    return Status(
        workspace=settings.workspace,
        destination=settings.destination,
        place=_without_credentials(settings.place),
        at=clock.now(),
        running=running,
        syncs=syncs,
        tables=tables,
        quota=quota,
        quota_note=note,
        pending_segments=segments,
        set_aside=list(_set_aside(summaries)),
        warnings=_warnings(syncs, summaries, quota, settings),
        segments_set_aside=aside,
    )


def _set_aside(summaries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What the newest of `summaries` (the newest first) says of each resource."""
    told: set[str] = set()
    for summary in summaries:
        for name, resource in summary["resources"].items():
            if name not in told:
                told.add(name)
                for row in resource.get("set_aside_rows", ()):
                    yield {"resource": name, **row}


def _warnings(
    syncs: list[dict[str, Any]],
    summaries: list[dict[str, Any]],
    quota: QuotaStatus | None,
    settings: Settings,
) -> list[dict[str, Any]]:
    """What the newest sync warned of the budget, and whether rows change too fast for it."""
    newest = summaries[0].get("warnings", ()) if summaries else ()
    found = [warning for warning in newest if warning["code"] == CODE]
    limits = quota.limits if quota is not None else None
    fast = changes_too_fast(syncs, summaries, limits, settings) if limits is not None else None
    return [*found, fast.as_json()] if fast is not None else found


def _quota(settings: Settings, clock: Clock) -> tuple[QuotaStatus | None, str | None]:
    """The quota. Without a key, a note instead: the key is needed to find the account."""
    try:
        with quota_account(settings, clock) as account:
            return account.status(), None
    except ConfigurationError as error:
        if settings.api_key:
            raise
        return None, f"not known without the key ({error})"


def _destination(
    settings: Settings, clock: Clock
) -> tuple[str | None, list[dict[str, Any]], list[dict[str, Any]], dict[str, Counts] | None]:
    what = f"workspace {settings.workspace!r} into {settings.destination}"
    running = None
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(
                sync_lock(settings.home / "locks", settings.fingerprint(), what, clock)
            )
        except LockHeldError as error:
            running = str(error)
            if settings.destination == "duckdb":
                # DuckDB lets nobody else into a file that is being written.
                return running, [], [], None
        with open_for_reading(settings) as target:
            syncs, summaries = recent_syncs(target, SYNCS_SHOWN)
            return running, syncs, summaries, {} if target is None else _tables(target)


def _tables(target: Target) -> dict[str, Counts]:
    names = sorted({column.table for column in target.columns()} - {READINGS})
    return {name: target.counts(name) for name in names}


def _without_credentials(place: str) -> str:
    """`place` as it may be shown: an address without user, password and query string."""
    if "://" not in place:
        return place
    return re.sub(r"//[^/]*@", "//", place.partition("?")[0])


def _plain(value: Any) -> Any:
    return isoformat(value) if isinstance(value, datetime) else value
