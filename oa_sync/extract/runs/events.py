"""The statuses that agent runs were seen in: one event for each change that was seen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from oa_sync.extract.runs.known import LoadedRun
from oa_sync.journal.items import Item, Kind

EVENTS_AN_ITEM = 500


class EventLog:
    """The events of one resource in one sync. `observe` takes a status in; `take` gives new ones as items.

    An event's key is run, instant and status, so writing the same item twice changes nothing.
    """

    def __init__(self, resource: str, loaded: Mapping[str, LoadedRun]) -> None:
        self._resource, self._loaded = resource, loaded
        self._last: dict[str, str] = {}
        self._waiting: list[dict[str, Any]] = []
        self._written: set[tuple[str, datetime, str]] = set()
        self._items = 0

    def last(self, key: str) -> str | None:
        """The newest status known of this run."""
        run = self._loaded.get(key)
        return self._last.get(key) or (run.status if run else None)

    def observe(
        self,
        key: str,
        key_values: tuple[Any, ...],
        status: str | None,
        at: datetime,
        how: str,
        *,
        is_news: bool = True,
    ) -> None:
        """The run was in `status` at `at`. `is_news` False: a later status of it is known already."""
        if status is None or status == self.last(key) or (key, at, status) in self._written:
            return
        if is_news:
            self._last[key] = status
        self._written.add((key, at, status))
        texts = [
            value if isinstance(value, str) else orjson.dumps(value).decode()
            for value in key_values
        ]
        self._waiting.append(
            {"key": texts, "observed_at": at.isoformat(), "status": status, "how": how}
        )

    def take(self, now: datetime) -> list[Item]:
        """What was observed since the last call."""
        items: list[Item] = []
        for start in range(0, len(self._waiting), EVENTS_AN_ITEM):
            self._items += 1
            row = orjson.dumps(self._waiting[start : start + EVENTS_AN_ITEM])
            key = f"\x1fevents\x1f{self._items}"
            items.append(Item(Kind.EVENTS, self._resource, key, now, row=row))
        self._waiting = []
        return items
