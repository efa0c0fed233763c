"""Stops reading a list that shows its latest change first, once the rest is proven known.

An earlier scan began at P, by the server's clock, and read the list to its end. Now the list is read
again from the top. S are the rows read so far; v is the version of the last of them; K are the ids
that are loaded and not deleted. If all of these hold:

1. the list was seen to be in the order of its latest change (`oa_sync.extract.lists.order`), and the
   versions of S fall;
2. v is earlier than P minus `MARGIN`, and earlier than the newest loaded version;
3. K is what that scan left (its digest is the one remembered with P), not an older copy;
4. all pages of S told the same total, and K and S together have that many ids;
5. no id outside S is loaded with a version later than v, and none of these ids waits for its detail;

then every row below S is loaded in its current version, and no loaded id is gone:

- An insertion or a change sets the version to its time. So all that was inserted or changed since P
  has the time of P or later, and by 1 and 2 it stands above v. Below S are only rows that were in the
  list at P and have not changed since. The scan at P saw them: by 3 they are in K with these versions.
- So the list is S and a part of K outside S. Its length is the total. By 4 the total is the number of
  S and *all* of K outside S, so the part is all of it. A deleted id would make K and S together more
  than the total. An id inserted in its place does not hide that: it is new, so it is counted in S.
- Between the pages of S a row can only slip through if more rows left above a seam than came. Rows
  come to such a list only at its top. So the total would have fallen, against 4.

The next scan may rely on this one in place of the earlier one: what changes while S is read has a
later time than the start of this scan.

What this does not see: a change that leaves the version as it was, and a deletion that an insertion
with an old time cancels out. Every `full_scan_days` the list is read to its end, which finds both.
Equal times do no harm: v must be *before* P, and every row with the time of P or later is read. If 1
to 4 hold, no id outside S can have a later version than v; to check it costs nothing.

A resource whose version is a hash, or that has no detail, is always read to its end: only its rows
show a change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from oa_sync.clock import instant_of
from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Known, Listed, identity
from oa_sync.extract.lists.order import Order

MARGIN = timedelta(minutes=5)
"""For transactions that commit late, and for servers whose clocks differ. The rows of this time are read
again."""


def is_eligible(resource: Resource) -> bool:
    """Whether the reading of this list may ever stop early."""
    return (
        resource.cursor_path is not None
        and resource.detail is not None
        and resource.parent is None
        and resource.write_disposition == "merge"
        and bool(identity(resource))
    )


class EarlyStop:
    """Looks at the pages of one list from its top and says when the rest is proven known.

    `known` is what is loaded; its digest is the one remembered with `since`, the time P.
    """

    def __init__(self, known: Mapping[str, Known], since: datetime) -> None:
        self._alive = {
            key: instant_of(row.version) for key, row in known.items() if not row.deleted
        }
        instants = [instant for instant in self._alive.values() if instant is not None]
        self._is_possible = bool(instants) and len(instants) == len(self._alive)
        self._before = min([since - MARGIN, *([max(instants)] if instants else [])])
        self._waiting = {
            key for key in self._alive if known[key].detail_version != known[key].version
        }
        self._falling = sorted(self._alive, key=lambda key: self._alive[key] or since)
        self._seen: set[str] = set()
        self._total: int | None = None
        self._pages = 0

    @property
    def rest(self) -> int:
        """How many loaded ids were not seen."""
        return len(self._alive) - sum(key in self._alive for key in self._seen)

    def proves_rest(self, total: int | None, listed: Sequence[Listed], order: Order) -> bool:
        """Take in the next page, which `order` has taken in already. True: all rows after it are loaded
        in their current version."""
        if self._pages and total != self._total:
            self._is_possible = False
        self._pages, self._total = self._pages + 1, total
        for row in listed:
            self._seen.add(row.key)
            self._waiting.discard(row.key)
        return (
            self._is_possible
            and order.is_falling
            and order.last is not None
            and order.last < self._before
            and len(self._seen) + self.rest == total
            and not self._waiting
            and not self._is_newer_below(order.last)
        )

    def _is_newer_below(self, last: datetime) -> bool:
        """Whether a loaded id that was not seen has a later version than the last row that was."""
        while self._falling and self._falling[-1] in self._seen:
            self._falling.pop()
        newest = self._alive[self._falling[-1]] if self._falling else None
        return newest is not None and newest > last
