"""How many requests a resource still needs, judged by the part of its list that was read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.scan import Scan

ROWS_A_PAGE = 100
"""The assumed page size where no page was read: the most that both documented dialects give."""


@dataclass(frozen=True)
class Cost:
    """Requests for one resource, or for several together.

    `lists` are sent by every sync, `details` once. Estimates follow from the list's total and from what
    is loaded: rows that were not seen may have changed or be gone.
    """

    lists: int = 0
    details: int = 0
    lists_estimated: bool = False
    details_estimated: bool = False

    @property
    def requests(self) -> int:
        """Lists and details together."""
        return self.lists + self.details

    @property
    def estimated(self) -> bool:
        """Whether any of the numbers is an estimate."""
        return self.lists_estimated or self.details_estimated


def cost_of(scan: Scan, *, settled: Collection[str] = (), parents: int | None = None) -> Cost:
    """The cost of a sync of the resource of `scan`.

    `settled` are the keys whose detail is fetched already. `parents` is the number of lists, one for
    each row of another resource; None: there is one list.
    """
    pending = sum(
        1 for key, entry in scan.pending.items() if entry.wants_detail and key not in settled
    )
    if scan.finished:
        return Cost(scan.pages, pending)
    unseen = _unseen(scan)
    details = 0
    if scan.resource.detail is not None:
        details = pending + backlog(scan.resource, unseen.values())
        if not _lists_full_rows(scan):
            details += _not_loaded(scan, len(unseen))
    return Cost(_pages(scan, parents), details, True, scan.resource.detail is not None)


def total_cost(costs: Iterable[Cost]) -> Cost:
    """The sum of `costs`."""
    costs = list(costs)
    return Cost(
        sum(cost.lists for cost in costs),
        sum(cost.details for cost in costs),
        any(cost.lists_estimated for cost in costs),
        any(cost.details_estimated for cost in costs),
    )


def first_cost(rows: Iterable[tuple[Resource, int]]) -> int:
    """About how many requests a first sync of resources with so many `rows` costs."""
    return sum(
        max(1, -(-count // ROWS_A_PAGE)) + (count if resource.detail else 0)
        for resource, count in rows
    )


def backlog(resource: Resource, rows: Iterable[Known]) -> int:
    """How many of the loaded `rows` wait for the detail of the version that their list row has."""
    if resource.detail is None:
        return 0
    return sum(1 for row in rows if not row.deleted and row.detail_version != row.version)


def unseen_backlog(scan: Scan) -> int:
    """The backlog among loaded rows that the scan did not reach."""
    return 0 if scan.finished else backlog(scan.resource, _unseen(scan).values())


def _unseen(scan: Scan) -> dict[str, Known]:
    return {
        key: row
        for key, row in scan.known.items()
        if not row.deleted and key not in scan.seen and key not in scan.pending
    }


def _not_loaded(scan: Scan, loaded_unseen: int) -> int:
    """How many rows after the pages read are not loaded, judged by the list's total."""
    total = None if scan.resource.parent else scan.total
    return 0 if total is None else max(0, total - len(scan.seen) - loaded_unseen)


def _lists_full_rows(scan: Scan) -> bool:
    """Whether every new or changed row that was seen is full, so that unseen ones need no detail."""
    changed = [entry.listed.full for entry in scan.pending.values()]
    return bool(changed or scan.handed_on) and all(changed)


def _pages(scan: Scan, parents: int | None) -> int:
    """Requests that reading the list to its end takes."""
    if parents is not None:
        return max(scan.pages, parents)
    living = sum(1 for row in scan.known.values() if not row.deleted)
    if scan.pages == 0:
        return max(1, -(-living // ROWS_A_PAGE))
    size = max(1, -(-len(scan.seen) // scan.pages))
    rows = living if scan.total is None else scan.total
    return max(scan.pages, -(-rows // size))
