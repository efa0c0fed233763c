"""What the pages of a list prove about the list, although it changes while they are read.

Let L be the list at the moment when its first page was read. It had as many rows as that page's `total`
says. A row that was seen *was in L* if it stood on that first page, if it was loaded by an earlier sync,
or if its version is a time that was over before that moment. Let T be the distinct rows that were certainly in L.

    |T| = total  proves  T = L:

T is a part of L, and as large. So every row that stayed in the list was seen, whatever was inserted,
deleted or moved meanwhile, with any way of paging, in any order of reading the pages. An id that was not
seen was not in L. In a list that nobody changes this holds at once, and costs nothing.

Where it does not hold, `missing` says how many rows of L are unaccounted for. Some were deleted before
they were read, others may have slipped through a seam; `oa_sync.extract.lists.healing` looks there.

What this assumes, and what happens where it is wrong:

- `total` counts the rows that the list gives out. A list that shows fewer rows than any of its pages says
  contradicts itself: the `contradiction` makes it a failure, whatever the reason (an empty page in the
  middle, a page size that is not the one asked for, rows that this key may not see). So does one that
  became shorter by more than a share while it was read: `oa_sync.extract.deletions` says why.
  A total that is too low (capped, stale) proves nothing either; if the list is `steady`, a second reading
  gives the proof.
- A row that is not loaded yet has the time of its insertion or a later one, by the clock of the server's
  `Date` header, within `MARGIN`. A row inserted during the scan *with an old time* (a restored backup, an
  import that keeps its times) could be counted in place of a row that slipped through at the same time. So a row
  that is counted for its time alone, and whose time is no news (`Scan.may_be_restored`), takes the proof away.
  A time may be coarse: a day, an hour or a minute lies before that moment when it is over
  (`oa_sync.extract.lists.resolution.latest_writing`). And it may be the time of another zone than it says. Then it
  is slow by half hours. So where a row would have been inserted between the first page and its own, had its time
  been slow so, it takes the proof away too (`may_name_another_zone`).
- An id that leaves the list does not come back to it within one scan.

A list may show a row twice by itself: a join does. Its total counts the rows shown, or the distinct ones. A row
that stands twice in *one answer* is such a copy, because an answer is the list at one moment. A row on two pages
may instead have moved, while another one slipped through, so it counts only when one answer shows both. With its
copies a list may reach its total, and is no contradiction. But not where only the total ended the reading: if it
counts distinct rows, the copies took the place of the last ones, so what lies behind is looked at. And a count that
needs copies never proves a row gone: that takes a detail, or a second reading.

- In a list without keys, rows cannot be told apart; there one total on all pages, and as many rows, must
  be enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from oa_sync.client.paging import Place
from oa_sync.clock import instant_of
from oa_sync.extract.lists.changes import Listed
from oa_sync.extract.lists.listing import ListPage
from oa_sync.extract.lists.mass import is_mass
from oa_sync.extract.lists.resolution import latest_writing, may_name_another_zone

MARGIN = timedelta(seconds=10)
"""For slow answers, transactions that commit late, and servers whose clocks differ."""

_RESOLUTION = timedelta(seconds=1)
"""Of the `Date` header, RFC 9110."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The place of a page and the keys of its rows: a piece of the list as it was at one moment."""

    place: Place
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Seam:
    """The place between two pages; `right` None: after the last page."""

    left: Window
    right: Window | None

    @property
    def is_open(self) -> bool:
        """Whether a row can be hidden here. Pages that share a row have nothing between them."""
        if self.right is not None:
            return not self.is_shared
        last = self.left.place
        if last.start is None or last.total is None:
            return False
        return last.start + last.count < last.total

    @property
    def is_shared(self) -> bool:
        """Whether a row stands on both pages."""
        return self.right is not None and bool(self.left.keys & self.right.keys)

    @property
    def is_shifted(self) -> bool:
        """Whether the list was seen to change between the two pages."""
        return self.right is None or self.left.place.total != self.right.place.total

    @property
    def is_lost_soon(self) -> bool:
        """Whether rows are likely to be hidden here, and the place is hard to find again later: the
        list became shorter, and its pages are not read by position."""
        if self.right is None or self.left.place.start is not None:
            return False
        before, after = self.left.place.total, self.right.place.total
        return self.is_open and before is not None and after is not None and after < before


class Evidence:
    """Takes in the pages of one list; `was_loaded` tells whether an id is loaded and was not known
    to be deleted, `may_be_restored` whether the time of one that is not may be older than its insertion."""

    def __init__(
        self,
        was_loaded: Callable[[str], bool],
        *,
        keyed: bool = True,
        may_be_restored: Callable[[Listed], bool] = lambda row: False,
    ) -> None:
        self._was_loaded, self._keyed = was_loaded, keyed
        self._may_be_restored = may_be_restored
        self._windows: list[Window] = []
        self._in_turn: list[Window] = []
        self._there: set[str] = set()
        self._unclear: set[str] = set()
        self._late: set[str] = set()
        self._doubtful: set[str] = set()
        self._totals_told: set[int | None] = set()
        self._delivered = self._rows_in_turn = 0
        self._copies: dict[str, int] = {}
        self._repeated = self._end_seen = False

    def add_next(self, page: ListPage, rows: Sequence[Listed]) -> Seam | None:
        """Take in the next page in turn, with its `rows`; returns the seam to the page before."""
        window = self.add(page, rows)
        before = self._in_turn[-1] if self._in_turn else None
        self._in_turn.append(window)
        self._rows_in_turn += len(rows)
        return Seam(before, window) if before else None

    def add(self, page: ListPage, rows: Sequence[Listed]) -> Window:
        """Take in an extra page, from anywhere in the list."""
        window = Window(page.place, frozenset(row.key for row in rows))
        is_first = not self._windows
        self._windows.append(window)
        # Behind pages that tell none, because it is below their rows, an empty one tells it all the same.
        if rows or self._windows[0].place.total is not None:
            self._totals_told.add(page.total)
        self._delivered += len(window.keys)
        if len(window.keys) < len(rows):
            for key, count in Counter(row.key for row in rows).items():
                if count - 1 > self._copies.get(key, 0):
                    self._copies[key] = count - 1
        for row in rows:
            if is_first or self._was_loaded(row.key):
                self._there.add(row.key)
            elif row.key not in self._there:
                self._date(row, page.place.server_date)
        return window

    def _date(self, row: Listed, shown: datetime | None) -> None:
        """Decide by its time whether a row that is not loaded was in L. `shown`: the server's time of its page."""
        start, latest = self.since, latest_writing(row.version)
        if start is not None and latest is not None and latest < start - MARGIN:
            self._there.add(row.key)
            self._unclear.discard(row.key)
            if self._may_be_restored(row) or self._may_be_slow(row, start, shown):
                self._doubtful.add(row.key)
            return
        self._unclear.add(row.key)
        instant = instant_of(row.version)
        if start is not None and instant is not None and instant >= start + _RESOLUTION:
            self._late.add(row.key)

    def _may_be_slow(self, row: Listed, start: datetime, shown: datetime | None) -> bool:
        """Whether the time of `row` may be of another zone than it says, so that it was inserted after `start`."""
        if shown is None:
            return True
        return may_name_another_zone(row.version, start - MARGIN, shown + MARGIN)

    def was_repeated(self) -> None:
        """A second reading gave the same rows."""
        self._repeated = True

    def end_was_seen(self, windows: Sequence[Window]) -> None:
        """Nothing lies behind the last page, as `windows` show: their rows came before, and tell of no change."""
        self._end_seen = True
        self._delivered -= sum(len(window.keys) for window in windows)

    @property
    def since(self) -> datetime | None:
        """The server's time of the first page."""
        return self._windows[0].place.server_date if self._windows else None

    @property
    def pages(self) -> int:
        """Pages read so far."""
        return len(self._windows)

    @property
    def keys(self) -> set[str]:
        """The rows seen so far."""
        return self._there | self._unclear

    @property
    def seen(self) -> int:
        """How many rows were seen so far."""
        return len(self._there) + len(self._unclear)

    @property
    def copies(self) -> int:
        """How many rows the list shows beside the distinct ones, by answers that show a row more than once."""
        return sum(self._copies.values())

    @property
    def is_end_open(self) -> bool:
        """Whether the total is reached only with copies, and nothing but the total ended the reading."""
        totals = self._totals()
        reached = bool(totals) and self.seen < min(totals) <= self.seen + self.copies
        return reached and not (self._end_seen or self._in_turn[-1].place.is_end_told)

    @property
    def ends_full(self) -> bool:
        """Whether the last page is as long as those that others follow, as in a list that is cut."""
        return bool(self._in_turn) and self._in_turn[-1].place.is_full

    @property
    def has_unclear(self) -> bool:
        """Whether a row was seen that may have come meanwhile."""
        return bool(self._unclear)

    @property
    def may_have_copies(self) -> bool:
        """Whether rows that stand on two pages may be copies: so many rows came as the one total says."""
        return self._totals_told == {self._rows_in_turn}

    @property
    def proven(self) -> bool:
        """Whether every row that stayed in the list was seen."""
        if not self._windows or self._repeated:
            return True
        total = self._windows[0].place.total
        if len(self._windows) == 1:
            place = self._windows[0].place
            if total is None:
                return place.is_end_told
            return total == place.count and not self._copies
        if not self._keyed:
            return self.steady and total in (None, self._delivered)
        return total is not None and len(self._there) == total and not self._doubtful

    @property
    def missing(self) -> int:
        """How many rows of L are unaccounted for; 0 where no total tells how large L was.

        A seen row whose time says nothing counts as a row of L only if no change was seen.
        """
        total = self._windows[0].place.total if self._windows else None
        if total is None or self._is_overstated:
            return 0
        young = self._late if self.steady else self._unclear
        return max(0, total - self.seen - self.copies + len(young))

    @property
    def is_explained(self) -> bool:
        """Whether deletions may explain all missing rows: the total was seen to fall by as many, and no
        insertion was seen that could hide more of them."""
        steps = [after - before for before, after in pairwise(self._totals())]
        if self._unclear or any(step > 0 for step in steps):
            return not self.missing
        return self.missing <= -sum(steps)

    def contradiction(self, set_aside: int = 0) -> str | None:
        """How the pages contradict each other, in words; None: they do not. `set_aside` rows came, and could not be
        taken. Where the list changes while it is read, the lowest total counts: rows that were deleted before they
        were read are missing rightly."""
        totals = self._totals()
        if not totals:
            return None
        if self.collapsed is not None:
            before, after = self.collapsed
            return f"its total fell from {before:,} to {after:,} while it was read"
        copies = 0 if self.is_end_open else self.copies
        if self.seen + set_aside + copies < min(totals):
            twice = self._rows_in_turn - self.seen
            more = f" ({self._rows_in_turn:,} came, some of them twice)" if twice > 0 else ""
            return f"it says that it has {min(totals):,} rows, and shows {self.seen:,}{more}"
        return None

    @property
    def collapsed(self) -> tuple[int, int] | None:
        """The totals between which the list became shorter by more than a share."""
        most = 0
        for total in self._totals():
            most = max(most, total)
            if is_mass(most - total, most):
                return most, total
        return None

    @property
    def steady(self) -> bool:
        """Whether no change was seen: one total on all pages, and no row on two of them."""
        return len(self._totals_told) <= 1 and self._delivered == self.seen

    def seams(self) -> Iterator[Seam]:
        """The places between the pages that were read in turn, and the one behind the last."""
        for left, right in pairwise(self._in_turn):
            yield Seam(left, right)
        if self._in_turn:
            yield Seam(self._in_turn[-1], None)

    @property
    def _is_overstated(self) -> bool:
        """Whether the total counts rows that the list never gives out: no change was seen, and all pages
        together have fewer rows."""
        return self.steady and self._delivered < self._totals()[-1]

    def _totals(self) -> list[int]:
        """The totals in the order in which they were received."""
        told = [(w.place.received_at, w.place.total) for w in self._windows]
        return [total for _, total in sorted(told, key=lambda pair: pair[0]) if total is not None]
