"""Asking for details: what to ask in which order, and what the answer means for its row."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from oa_sync.definitions.model import Resource
from oa_sync.definitions.templates import fill_path
from oa_sync.errors import InvalidResponseError
from oa_sync.extract.lists.changes import Change, version_of
from oa_sync.extract.lists.scan import Pending, Scan
from oa_sync.journal.items import Item, Kind, Sighting

_ONE_SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class DetailTask:
    """One detail to ask for. `racy_version`: its version when it was read within that version's second."""

    resource: Resource
    pending: Pending
    list_keys: tuple[str, ...]
    attempts: int = 0
    racy_version: str | None = None

    @property
    def row(self) -> tuple[str, str]:
        """The resource and the key of its row."""
        return self.resource.name, self.pending.listed.key

    def path(self) -> str:
        """The path of the request; each value of the row is percent-encoded as one part of the path.

        Raises:
            InvalidResponseError: the row lacks a field that the path names.
        """
        assert self.resource.detail is not None
        try:
            return fill_path(self.resource.detail.path, self.pending.listed.row)
        except ValueError as error:
            raise InvalidResponseError(f"{self.resource.name}: {error}") from None


def in_order(scans: Iterable[Scan], failed: Collection[tuple[str, str]] = ()) -> deque[DetailTask]:
    """All wanted details: by declared priority; in each resource, rows never loaded before stale ones.

    Those that `failed` when they were asked for last (resource and key) come last in their resource: else a
    few that always fail would open the circuit breaker each night before any other is asked for.
    Within one priority the resources take turns, so that one with a long backlog does not starve the
    others.
    """
    ranked: dict[int, list[deque[DetailTask]]] = {}
    for scan in scans:
        keys = tuple(sorted(scan.list_keys))
        wanted = [
            DetailTask(scan.resource, pending, keys)
            for pending in scan.pending.values()
            if pending.wants_detail
        ]
        wanted.sort(key=lambda task: (task.row in failed, *_staleness(task)))
        ranked.setdefault(-scan.resource.priority, []).append(deque(wanted))
    tasks: deque[DetailTask] = deque()
    for _, queues in sorted(ranked.items(), key=lambda pair: pair[0]):
        while any(queues):
            tasks.extend(queue.popleft() for queue in queues if queue)
    return tasks


def _staleness(task: DetailTask) -> tuple[bool, str]:
    """Never loaded first, then the oldest loaded version: so every row has its turn, even where more rows
    change than the budget covers."""
    known = task.pending.known
    loaded = None if known is None else known.detail_version
    return (loaded is not None, loaded or "")


def detail_item(
    task: DetailTask,
    body: bytes | memoryview,
    document: object,
    fields: dict[str, Any],
    now: datetime,
) -> Item:
    """The item of a fetched detail, whose decoded object is `fields`.

    The version that counts for a detail is the one in its own body, where it has one: the row may have
    changed since it was listed.
    """
    resource, pending = task.resource, task.pending
    detail_version = version_of(resource, fields) or pending.listed.version
    return Item(
        kind=Kind.DETAIL,
        resource=resource.name,
        key=pending.listed.key,
        observed_at=now,
        version=newer(detail_version, pending.listed.version),
        row_hash=pending.listed.row_hash,
        detail_version=detail_version,
        row=pending.raw,
        body=body,
        list_keys=task.list_keys,
        replaces=pending.known is not None,
        document=document,
    )


def row_item(
    resource: Resource,
    pending: Pending,
    list_keys: tuple[str, ...],
    now: datetime,
    first_seen: Sighting | None = None,
) -> Item | None:
    """The item of a row written without a (new) detail; None when the row is unchanged."""
    if pending.change is Change.UNCHANGED:
        return None
    known, row = pending.known, pending.listed
    full = row.full
    detail_version = row.version if full else known.detail_version if known else None
    if pending.wants_detail and not full and detail_version == row.version:
        detail_version = None  # the version does not tell that the detail is another one by now
    return Item(
        kind=Kind.ROW,
        resource=resource.name,
        key=row.key,
        observed_at=now,
        version=row.version,
        row_hash=row.row_hash,
        detail_version=detail_version,
        row=pending.raw,
        list_keys=list_keys,
        full=full,
        replaces=known is not None,
        first_seen=first_seen,
    )


def newer(one: str, other: str) -> str:
    """The later of two versions of one kind (ISO times, numbers); `other` where they do not compare.

    A detail older than its list row (a stale replica) must stay a backlog, so the row's version wins.
    """
    if one == other:
        return one
    try:
        return one if float(one) > float(other) else other
    except ValueError:
        pass
    try:
        return one if _instant(one) > _instant(other) else other
    except (ValueError, TypeError):
        return other


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _since_1970(version: str) -> datetime | None:
    """The time that ten digits tell in seconds since 1970; None for any other text. A counter of ten digits is
    taken for one too: at worst a detail waits for the end of a second."""
    if len(version) != 10 or not (version.isascii() and version.isdigit()):
        return None
    return datetime.fromtimestamp(int(version), UTC)


def second_ends(version: str | None, server_now: datetime) -> timedelta | None:
    """How long the second that `version` names still lasts on the server; None when it is over.

    A version in whole seconds cannot tell two changes within one second apart. A row that is read in
    that second may change once more and keep its version, so it has to be read when the second is over
    (Git calls such index entries racy). So it is with seconds since 1970.
    """
    if version is None or "." in version:
        return None
    try:
        instant = _since_1970(version) or _instant(version)
    except ValueError:
        return None
    if server_now >= instant + _ONE_SECOND or instant - server_now > timedelta(minutes=1):
        return None
    return instant + _ONE_SECOND - server_now
