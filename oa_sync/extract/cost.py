"""What a resource still takes, in requests, told from as much of its list as was read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.scan import Scan

ROWS_A_PAGE = 100
"""Taken for the size of a page where none was seen: what both documented dialects give at most."""


@dataclass(frozen=True)
class Cost:
    """Requests for one resource, or for several together.

    `lists` are sent by every run, `details` once. What is estimated follows from the list's total and
    from what is loaded: rows that were not seen may have changed or left.
    """

    lists: int = 0
    details: int = 0
    lists_estimated: bool = False
    details_estimated: bool = False

    @property
    def requests(self) -> int:
        """All of them."""
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
        if not _lists_are_whole(scan):
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


def backlog(resource: Resource, rows: Iterable[Known]) -> int:
    """How many of the loaded `rows` wait for the detail of the version that their list row has."""
    if resource.detail is None:
        return 0
    return sum(1 for row in rows if not row.deleted and row.detail_version != row.version)


def unseen_backlog(scan: Scan) -> int:
    """The backlog among loaded rows that the scan did not come to."""
    return 0 if scan.finished else backlog(scan.resource, _unseen(scan).values())


def _unseen(scan: Scan) -> dict[str, Known]:
    return {
        key: row
        for key, row in scan.known.items()
        if not row.deleted and key not in scan.seen and key not in scan.pending
    }


def _not_loaded(scan: Scan, loaded_unseen: int) -> int:
    """Rows beyond the pages read that are not loaded, going by the list's total."""
    total = None if scan.resource.parent else scan.total
    return 0 if total is None else max(0, total - len(scan.seen) - loaded_unseen)


def _lists_are_whole(scan: Scan) -> bool:
    """Whether every listed row that was seen had all that a detail would bring."""
    changed = [entry.listed.full for entry in scan.pending.values()]
    return bool(changed or scan.handed_on) and all(changed)


def _pages(scan: Scan, parents: int | None) -> int:
    """Requests that reading the whole list takes."""
    if parents is not None:
        return max(scan.pages, parents)
    living = sum(1 for row in scan.known.values() if not row.deleted)
    if scan.pages == 0:
        return max(1, -(-living // ROWS_A_PAGE))
    size = max(1, -(-len(scan.seen) // scan.pages))
    rows = living if scan.total is None else scan.total
    return max(scan.pages, -(-rows // size))
