"""Not reading the rest of a list whose latest change stands first, once that rest is proven known.

A scan that read a list L whole began at P, by the server's clock. Now its rows are read again from
the top; S are those read so far, the last of them with version v; K are the ids that are loaded and
not deleted. When all of these hold:

1. the list was seen to be in the order of its latest change (`oa_sync.extract.lists.order`), and the
   versions of S fall;
2. v is earlier than P (less `MARGIN`), and than the newest version loaded;
3. K holds what that scan left, by the digest remembered with P: not an older copy of the destination;
4. all pages of S told the same total, and |K and S together| = total;
5. no version loaded of an id outside S is later than v, and none of these ids awaits its detail;

then every row below S is loaded with the version it has, and no loaded id is gone:

- What was inserted or changed since P carries a time of P or later (an insertion or a change sets the
  version to its time), so by 1 and 2 it stands above v: below S are only rows that are in the list
  since P and unchanged since. The scan at P saw them, so by 3 they are in K with these versions.
- So the list is S and a part of K outside S. Its length is the total, which by 4 is the number of S
  and *all* of K outside S: the part is all of it. An id that was deleted would make K and S more
  than the total, and one that was inserted for it stands, being new, in S and counts there.
- Between the pages of S a row can only slip through if more rows left above a seam than came. What
  comes to such a list comes at its top. So the total would have fallen, against 4.

The next scan may rely on this one in place of the one before: what changes while S is read carries a
later time than its beginning.

What this does not see: a change that leaves the version as it was. It is found by the whole scan
that runs every `full_scan_days` anyway, as are deletions and insertions with old times that cancel
each other. Equal times are no matter: v must lie *before* P, and whatever has the time of P or
later is read. The ids of 5 could not be there if all this were so; it costs nothing to look.

A resource whose version is a hash, or that has no detail, is never read in part: its rows are the
only sign of a change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from oa_sync.clock import instant_of
from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Known, Listed, identity
from oa_sync.extract.lists.order import Order

MARGIN = timedelta(minutes=5)
"""For transactions that commit late and for clocks of several servers; costs the rows of as long."""


def is_eligible(resource: Resource) -> bool:
    """Whether a list of this kind may ever be read in part."""
    return (
        resource.cursor_path is not None
        and resource.detail is not None
        and resource.parent is None
        and resource.write_disposition == "merge"
        and bool(identity(resource))
    )


class EarlyStop:
    """Looks at the pages of one list from its top and says when the rest is proven known.

    `known` is what is loaded, with the digest that goes with `since`, the time P.
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
        """Take in the next page, which `order` has seen already; whether all rows behind it are loaded
        as they are."""
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
