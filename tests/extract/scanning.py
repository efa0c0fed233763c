"""Running scans over lists in memory, and a mirror of one list that only its scans keep up to date."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hypothesis import reject

from oa_sync.clock import Clock
from oa_sync.definitions.model import Resource
from oa_sync.errors import IncompleteListError
from oa_sync.extract.lists.changes import Known, listed
from oa_sync.extract.lists.listing import OpenList
from oa_sync.extract.lists.order_memory import OrderMemory
from oa_sync.extract.lists.reading import scan
from oa_sync.extract.lists.scan import Scan
from oa_sync.journal.items import Item, Kind
from tests.extract.moving_list import REPORTS, MovingList


def scanned(
    resource: Resource, source: MovingList, known: Mapping[str, Known] | None = None
) -> Scan:
    """A scan of `source`, with `known` loaded before."""
    result, before = Scan(resource, known or {}), list(source.rows)
    asyncio.run(scan(result, only(source)))
    did_not_fail(result, has_moved=source.rows != before)
    return result


def did_not_fail(result: Scan, *, has_moved: bool) -> None:
    """A list that changes while it is read may show fewer rows than it says. That is told, and nothing is taken
    for gone; the case ends there."""
    if has_moved and isinstance(result.error, IncompleteListError):
        assert not result.gone()
        reject()
    assert result.error is None, result.error


async def only(source: OpenList) -> AsyncIterator[OpenList]:
    """The lists of a scan that has one."""
    yield source


class ListClock(Clock):
    """The time of a list."""

    def __init__(self, source: MovingList) -> None:
        self._source = source

    def now(self) -> datetime:
        return self._source.now


@dataclass
class Mirror:
    """What a destination holds of `source`, and what is remembered of its order."""

    source: MovingList
    resource: Resource = REPORTS
    known: dict[str, Known] = field(default_factory=dict)
    fact: Any = None
    last: Scan | None = None

    def recall(self, resource: Resource) -> Any:
        return self.fact

    def remember(self, resource: Resource, fact: Any) -> None:
        self.fact = fact

    def sync(self) -> int:
        """Scan, fetch the details that are wanted, load; gives the pages that were read."""
        before, rows_before = self.source.requests, list(self.source.rows)
        memory = OrderMemory(self, ListClock(self.source))
        result = self.last = Scan(self.resource, dict(self.known))
        asyncio.run(scan(result, only(self.source), memory.early_stop(result)))
        did_not_fail(result, has_moved=self.source.rows != rows_before)
        pages = self.source.requests - before
        for key in result.gone():
            self._load(memory, key, None)
        rows = {row["id"]: row for row in self.source.rows}
        for key, pending in result.pending.items():
            detail = rows.get(key) if pending.wants_detail else pending.listed.row
            self._load(memory, key, detail)
        memory.conclude(result)
        return pages

    def _load(self, memory: OrderMemory, key: str, row: dict[str, Any] | None) -> None:
        kind = Kind.GONE if row is None else Kind.DETAIL
        if row is None:
            self.known.pop(key, None)
            version = None
        else:
            entry = listed(self.resource, row)
            version = entry.version
            self.known[key] = Known(version, entry.row_hash, version, deleted=False)
        memory.note(Item(kind, self.resource.name, key, self.source.now, version=version))

    def versions(self) -> dict[str, str | None]:
        return {key: row.version for key, row in self.known.items()}


def versions_at(source: MovingList) -> dict[str, str | None]:
    """What a mirror of `source` should hold."""
    return {row["id"]: row["updated_at"] for row in source.rows}
