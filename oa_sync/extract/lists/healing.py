"""Finding the rows that slipped through while a list changed, with the fewest extra requests.

A row that stays in a list of pages can be missed in two ways:

- *In a seam.* Between the reading of two neighbouring pages more rows left before the seam than came
  (or, where the later page was read first, more came than left). So a row from behind the seam now
  stands before it. A window that shares a row with both pages holds all rows between them, because
  each is an unbroken piece of the list as it was at one moment, and rows that stay keep their order.
- *By a move.* An update moved it from a part that was not read yet to a part that was read already,
  such as the top of a list that shows the latest change first.

As long as rows are `missing` (see `oa_sync.extract.lists.evidence`), look in this order. (None is ever
missing in a list that nobody changes, or in a list of dated rows that only grew.)

1. One window across each seam where the total changed and whose pages share no row. By cursor this is
   done as soon as the total is seen to fall: after many changes the place of a seam is not found again.
2. The top of the list, page after page until one brings nothing new.
3. One window across every other open seam, unless the total only fell, by as many rows as are missing.
   This finds rows that an insertion and a deletion hid together, with the total as it was.
4. Where fewer rows were seen than the one total says, but so many came: one window across each seam whose pages share a row. It shows
   whether the list has that row twice. Before 3 if no row was seen that may be new.

This costs about one request a page in a list that always changes, and two by cursor; where the pages
shifted by more than half a window, up to three windows a seam. A row that is still missing was deleted
before it was read, or moves faster than it can be read. Which one is not proven: so the scan is not
complete, it marks no row as deleted, and the next scan looks again. (On a first sync a row that changes
before its page is read looks like an inserted row; then every seam is looked into.)

A list that cannot be read across a seam (links, or a page size that cannot be chosen) is read once
more instead.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from oa_sync.extract.lists.evidence import Evidence, Seam, Window
from oa_sync.extract.lists.listing import ListPage, OpenList

WINDOWS_A_SEAM = 3


class Healing:
    """Reads more of `opened` until `evidence` misses nothing; `take` takes in a page."""

    def __init__(
        self, opened: OpenList, evidence: Evidence, take: Callable[[ListPage], Window]
    ) -> None:
        self._opened, self._evidence, self._take = opened, evidence, take
        self._can_cross = True
        self._tried: set[Seam] = set()

    async def at_once(self, seam: Seam) -> None:
        """Look into a new seam now, if later will be too late. Raises as `run`."""
        if seam.is_lost_soon and self._can_cross:
            await self._close(seam)

    async def run(self) -> None:
        """Look wherever a missing row can be.

        Raises:
            BudgetExhausted, ApiError: as `OpenList`.
        """
        open_seams = (seam for seam in self._evidence.seams() if seam.is_open)
        seams = [seam for seam in open_seams if seam not in self._tried]
        for seam in seams:
            if seam.is_shifted and self._can_cross and self._evidence.missing:
                await self._close(seam)
        if self._can_cross and self._evidence.missing:
            await self._read_again(to_the_end=False)
        if not self._evidence.has_unclear:
            await self._look_for_copies()
        for seam in seams:
            if not seam.is_shifted and self._can_cross and not self._evidence.is_explained:
                await self._close(seam)
        await self._look_for_copies()
        if not self._can_cross and self._evidence.missing:
            await self._read_again(to_the_end=True)

    async def _look_for_copies(self) -> None:
        """Look whether rows that stand on two pages stand twice in the list."""
        shared = (seam for seam in self._evidence.seams() if seam.is_shared)
        for seam in list(shared) if self._evidence.may_have_copies else ():
            if self._evidence.contradiction() is None or not self._can_cross:
                return
            if seam not in self._tried:
                await self._close(seam)

    async def look_behind(self) -> None:
        """See whether rows lie behind the last page. Raises as `run`."""
        (*_, seam) = self._evidence.seams()
        before = self._evidence.seen
        pages = await self._opened.across(seam.left.place, None)
        windows = [self._take(page) for page in pages]
        if not windows or self._evidence.seen > before or not windows[-1].keys & seam.left.keys:
            return
        # It had room for more rows than it has.
        if windows[-1].place.count < windows[-1].place.size:
            self._evidence.end_was_seen(windows)

    async def _close(self, seam: Seam) -> None:
        """Read windows between two pages until one touches both."""
        self._tried.add(seam)
        left, right = seam.left, seam.right
        for _ in range(WINDOWS_A_SEAM):
            pages = await self._opened.across(left.place, right.place if right else None)
            self._can_cross = bool(pages)
            windows = [self._take(page) for page in pages]
            if not windows:
                return
            middle = windows[-1]
            meets_left = any(left.keys & window.keys for window in windows)
            meets_right = bool(right.keys & middle.keys) if right else middle.place.is_last
            if meets_left == meets_right:
                return
            if meets_left:
                left = middle
            elif middle.place.start is not None:
                right = middle
            else:
                return

    async def _read_again(self, *, to_the_end: bool) -> None:
        """Read from the start until nothing is missing, or a page brings nothing new."""
        async with aclosing(self._opened.pages(ahead=False)) as pages:
            async for page in pages:
                before = self._evidence.seen
                self._take(page)
                if not self._evidence.missing:
                    return
                if self._evidence.seen == before and not to_the_end:
                    return
