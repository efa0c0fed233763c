"""A list that changes while it is read, paged like the ones of real servers."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from oa_sync.client.paging import Onward, Place
from oa_sync.client.paging.across import window_around
from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Known, listed

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
LONG_AGO = START - timedelta(days=30)

Paging = Literal["number", "cursor", "links"]
Order = Literal["stored", "latest_change"]

REPORTS = Resource.model_validate(
    {
        "name": "reports",
        "endpoint": {"path": "reports", "incremental": {"cursor_path": "updated_at"}},
        "primary_key": ["id"],
        "detail": {"path": "reports/{id}"},
    }
)
UNDATED = REPORTS.model_copy(
    update={"endpoint": REPORTS.endpoint.model_copy(update={"incremental": None})}
)


@dataclass(frozen=True)
class PageRead:
    """A page as `oa_sync.extract.lists.listing.ListPage` wants it."""

    rows: list[dict[str, Any]]
    total: int | None
    offset: int
    is_last: bool
    received_at: datetime
    by_position: bool
    is_end_told: bool = True
    room: int = 0
    """Rows that would have found a place on the page beside its own."""
    is_bare: bool = False
    onward: Onward | None = None
    is_full: bool = False

    @property
    def place(self) -> Place:
        return Place(
            start=self.offset if self.by_position else None,
            count=len(self.rows),
            size=len(self.rows) + self.room,
            total=self.total,
            is_last=self.is_last,
            cursor=None if self.by_position else str(self.offset),
            received_at=self.received_at,
            server_date=self.received_at.replace(microsecond=0),
            is_end_told=self.is_end_told,
            is_bare=self.is_bare,
            onward=self.onward,
            is_full=self.is_full,
        )

    def raw_rows(self) -> list[bytes]:
        return [json.dumps(row).encode() for row in self.rows]


@dataclass
class MovingList:
    """`rows` in the order of the list. `change(list)` runs before every read but the first; `seconds`
    pass with each. Of pages by number, `at_once` are read together, in an order that `chance`
    decides. With an `order`, the list keeps itself in it, latest first. `hidden` rows are in the
    total and never shown."""

    rows: list[dict[str, Any]]
    size: int
    paging: Paging = "number"
    change: Callable[[MovingList], None] = lambda _: None
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    at_once: int = 4
    order: Order = "stored"
    seconds: float = 2.0
    tells_total: bool = True
    hidden: int = 0
    requests: int = 0
    now: datetime = START
    made: int = 0
    without_total: str = "{type: auto}"

    @property
    def ids(self) -> list[str]:
        return [row["id"] for row in self.rows]

    # -- what happens at the source -------------------------------------------------------------

    def insert(self, position: int) -> str:
        self.made += 1
        key = f"new{self.made}"
        self.rows.insert(min(position, len(self.rows)), row_of(key, self.now))
        self._sort()
        return key

    def delete(self, position: int) -> None:
        if self.rows:
            del self.rows[position % len(self.rows)]

    def update(self, position: int, *, to: int | None = None) -> None:
        """A row gets a new time, and with `to` another place."""
        if not self.rows:
            return
        place = position % len(self.rows)
        row = self.rows.pop(place)
        changed = {**row, "updated_at": stamp(self.now), "name": f"changed {self.now}"}
        self.rows.insert(place if to is None else min(to, len(self.rows)), changed)
        self._sort()

    def _sort(self) -> None:
        """Equal times stand in an order of their own."""
        if self.order == "latest_change":
            self.rows.sort(key=lambda row: (row["updated_at"], row["id"]), reverse=True)

    # -- how it is read -------------------------------------------------------------------------

    async def pages(self, *, ahead: bool) -> AsyncGenerator[PageRead, None]:
        page = self._read(0, self.size)
        seen = len(page.rows)
        yield page
        last, start = page, self.size
        newest = page
        while not (last.is_last if self.paging != "number" else seen >= (newest.total or 0)):
            together = self.at_once if ahead and self.paging == "number" else 1
            left = max(1, -(-((newest.total or 0) - start) // self.size))
            starts = [start + self.size * n for n in range(min(together, left))]
            order = self.chance.sample(starts, len(starts))
            read = {place: self._read(place, self.size) for place in order}
            for place in starts:
                last = read[place]
                newest = max(newest, last, key=lambda one: one.received_at)
                seen += len(last.rows)
                yield last
            start += self.size * len(starts)
            if not last.rows:
                return

    async def across(self, left: Place, right: Place | None) -> Sequence[PageRead]:
        if self.paging == "links":
            return []
        if self.paging == "cursor":
            size, offset = -(-2 * self.size // 3), int(left.cursor or 0)
            lead = self._read(offset, size)
            return [lead] if lead.is_last else [lead, self._read(offset + size, size)]
        assert left.start is not None
        place = left.start + left.count
        if right is not None and right.start is not None and right.received_at > left.received_at:
            place = right.start
        window = window_around(place, self.size)
        if window is None:
            return []
        index, size = window
        return [self._read(index * size, size)]

    def _read(self, start: int, size: int) -> PageRead:
        if self.requests:
            self.change(self)
        self.requests += 1
        self.now += timedelta(seconds=self.seconds)
        return PageRead(
            rows=list(self.rows[start : start + size]),
            total=len(self.rows) + self.hidden if self.tells_total else None,
            offset=start,
            is_last=start + size >= len(self.rows),
            received_at=self.now,
            by_position=self.paging == "number",
        )


def row_of(key: str, updated_at: datetime) -> dict[str, Any]:
    return {"id": key, "updated_at": stamp(updated_at), "name": key}


def rows_of(count: int) -> list[dict[str, Any]]:
    return [row_of(f"r{n}", LONG_AGO + timedelta(minutes=n * 7919 % 10007)) for n in range(count)]


def stamp(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def loaded(resource: Resource, rows: Sequence[dict[str, Any]]) -> dict[str, Known]:
    """What a sync that saw `rows` has loaded of them."""
    entries = [listed(resource, row) for row in rows]
    return {
        entry.key: Known(entry.version, entry.row_hash, entry.version, deleted=False)
        for entry in entries
    }
