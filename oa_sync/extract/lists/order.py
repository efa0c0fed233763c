"""Whether a list shows the latest change first: learned by reading it to its end, never assumed.

It is not enough that the versions fall from row to row. Another order may look the same by chance, or
because all rows were made at once; a list in the order of *creation* looks the same until the first old
row is changed. So one of two more things has to be seen:

- A row that moved up. An earlier scan saw the versions fall, and what is loaded is what it left. A row
  that has changed since was loaded with an older version than one that has not: it stood after that
  row then, and stands before it now. Only an order by change does this.
- Three facts at once: at least `FALLS` rows have a smaller version than the row before, which no
  unrelated order shows; another time of the rows is never later than the version, as a time of creation
  is; and no other time is in an order, which could explain that of the versions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from oa_sync.clock import instant_of
from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Known, Listed

FALLS = 20
"""An order that has nothing to do with the versions shows this once in 21!, about 5e19."""


class Order:
    """Watches the rows of one list in the order in which it shows them.

    `fell_at`: when an earlier scan began (the server's time) that saw the versions fall and left what is
    loaded now; None: there is no such scan.
    """

    def __init__(self, resource: Resource, fell_at: datetime | None = None) -> None:
        self.is_falling = resource.cursor_path is not None
        self.last: datetime | None = None
        """The version of the last row so far."""
        self.fell_at = fell_at
        self._cursor = resource.cursor_path
        self._falls = 0
        self._moved_from: datetime | None = None
        self._saw_move = False
        self._others: dict[str, _Trend] | None = None

    @property
    def is_by_change(self) -> bool:
        """Whether the list is in the order of the latest change, and nothing else can explain it."""
        others = list(self._others.values()) if self._others else []
        by_another = any(trend.is_sorted for trend in others)
        is_told = self._falls >= FALLS and any(trend.is_past for trend in others) and not by_another
        return self.is_falling and (self._saw_move or is_told)

    def add(
        self,
        listed: Sequence[Listed],
        known: Mapping[str, Known],
    ) -> None:
        """Take in the next rows of the list; `known` is what is loaded of them."""
        for entry in listed:
            if not self.is_falling:
                return
            version = instant_of(entry.version)
            if version is None or (self.last is not None and version > self.last):
                self.is_falling = False
                return
            self._falls += self.last is not None and version < self.last
            self.last = version
            self._look_for_move(entry, known.get(entry.key), version)
            self._look_at_others(entry.row, version)

    def _look_for_move(self, entry: Listed, known: Known | None, version: datetime) -> None:
        if self.fell_at is None or known is None or known.deleted:
            return
        if known.version != entry.version:
            before = instant_of(known.version)
            if before is not None and (self._moved_from is None or before < self._moved_from):
                self._moved_from = before
        # Only before `fell_at`: a later version may come from a detail that was read after the list.
        elif self._moved_from is not None and self._moved_from < version < self.fell_at:
            self._saw_move = True

    def _look_at_others(self, row: dict[str, Any], version: datetime) -> None:
        """Follow every other time that the first row has."""
        if self._others is None:
            times = {name: _time(value) for name, value in row.items() if name != self._cursor}
            self._others = {name: _Trend() for name, time in times.items() if time is not None}
        for name, trend in self._others.items():
            if trend.is_sorted or trend.is_past:
                trend.add(_time(row.get(name)), version)


class _Trend:
    """Whether the times of one field rise, fall, or neither, and are never later than the version."""

    def __init__(self) -> None:
        self.is_past = True
        self._last: datetime | None = None
        self._rises = self._falls = True

    @property
    def is_sorted(self) -> bool:
        return self._rises or self._falls

    def add(self, time: datetime | None, version: datetime) -> None:
        self.is_past = self.is_past and time is not None and time <= version
        if time is None:
            return
        if self._last is not None:
            self._rises = self._rises and time >= self._last
            self._falls = self._falls and time <= self._last
        self._last = time


def _time(value: Any) -> datetime | None:
    return instant_of(value) if isinstance(value, str) else None
