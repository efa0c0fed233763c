"""Reading one list whole and telling, id by id, what is new, changed, the same, or gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from oa_sync.definitions.model import Resource
from oa_sync.errors import ApiError, BudgetExhausted
from oa_sync.extract.changes import Change, Known, Listed, compare, identity, listed, needs_detail


class ListPage(Protocol):
    """What a scan needs of a page (see `oa_sync.client.paging.Page`)."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The decoded rows."""

    @property
    def total(self) -> int | None:
        """The row count that the server claims for the whole list."""

    def raw_rows(self) -> list[bytes]:
        """The exact bytes of each row, in the order of `rows`."""


@dataclass(slots=True)
class Pending:
    """A listed row that has to be written, or whose detail has to be asked for, or both."""

    listed: Listed
    change: Change
    known: Known | None
    row: dict[str, Any]
    raw: bytes
    wants_detail: bool


@dataclass
class Scan:
    """The outcome of reading one list.

    `finished`: every page was read. `whole`: it is also proven that every id that stayed in the list
    was seen, so that an id that was not seen is gone. `error` is what ended the reading early.
    """

    resource: Resource
    known: Mapping[str, Known]
    seen: set[str] = field(default_factory=set)
    list_keys: set[str] = field(default_factory=set)
    pending: dict[str, Pending] = field(default_factory=dict)
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    total: int | None = None
    pages: int = 0
    finished: bool = False
    _copies: Counter[str] = field(default_factory=Counter)
    error: ApiError | BudgetExhausted | None = None
    rows: list[dict[str, Any]] | None = None
    """All decoded rows, where another resource is asked for by them; None: not kept."""

    @property
    def whole(self) -> bool:
        """Whether absence from `seen` proves deletion.

        A list that shrank or grew while it was paged by offset can hide a row; then the distinct ids
        do not add up to the total that the last page claims.
        """
        return self.finished and (self.total is None or len(self.seen) == self.total)

    def gone(self) -> list[str]:
        """The loaded, living ids that the API no longer has; empty unless the scan is whole."""
        if not self.whole or self.resource.write_disposition == "append":
            return []
        return [key for key, row in self.known.items() if not row.deleted and key not in self.seen]

    def add(self, page: ListPage) -> None:
        """Take in one page. A row seen before in this scan is replaced by its later state."""
        self.pages += 1
        self.total = page.total if page.total is not None else self.total
        raws = page.raw_rows()
        for row, raw in zip(page.rows, raws, strict=True):
            entry = self._listed(row)
            self.list_keys.update(row)
            if self.rows is not None:
                self.rows.append(row)
            again = entry.key in self.seen
            self.seen.add(entry.key)
            loaded = self.known.get(entry.key)
            change = compare(entry, loaded)
            if again:
                self._uncount(entry.key)
            self._count(change)
            wants_detail = needs_detail(self.resource, entry, loaded)
            if change is not Change.UNCHANGED or wants_detail:
                self.pending[entry.key] = Pending(entry, change, loaded, row, raw, wants_detail)

    def _listed(self, row: dict[str, Any]) -> Listed:
        """`row` reduced; equal rows of a list without key are told apart by their number."""
        entry = listed(self.resource, row)
        if identity(self.resource):
            return entry
        self._copies[entry.row_hash] += 1
        number = self._copies[entry.row_hash]
        if number == 1:
            return entry
        key = f"{entry.row_hash}-{number}"
        return replace(entry, key=key, key_values=(key,), row_hash=key, version=key)

    def _count(self, change: Change, by: int = 1) -> None:
        if change is Change.NEW:
            self.new += by
        elif change is Change.CHANGED:
            self.changed += by
        else:
            self.unchanged += by

    def _uncount(self, key: str) -> None:
        before = self.pending.pop(key, None)
        self._count(before.change if before else Change.UNCHANGED, by=-1)


async def scan(result: Scan, pages: AsyncIterator[ListPage]) -> None:
    """Read `pages` to their end, or to the end of the budget, into `result`.

    Never raises `ApiError` or `BudgetExhausted`: they end the scan and stand in `Scan.error`.
    """
    try:
        async for page in pages:
            result.add(page)
        result.finished = True
    except (ApiError, BudgetExhausted) as error:
        result.error = error
