"""How much of its lists a sync reads where the budget cannot pay for all of their pages.

Read from the top every day, such lists would show the same first pages every day, and nothing would be left for
details and for the lists behind. So each of them gets a ration: its part of what is left, less what the details
can use, at most a half. Where it ends is remembered, and the next sync goes on there; at the end of the list it
begins anew. A part of a list proves nothing: no row of it is taken for deleted, and the sync is partial.

Whether a list fits is judged by its own total, else by the rows that are loaded, else by how far it was read. A
list that fits is read from its top to its end, whatever is remembered of it, unless the server refused further
requests (429) in its middle: its true limit may be below the plan, so reading goes on there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from oa_sync.client.paging import Onward
from oa_sync.extract.lists.listing import ListPage

CHANGES = 4
"""One of so many requests is kept for the details of rows that changed."""
AHEAD_FROM = 1_000
"""With fewer requests left, no page is asked for before the one in front of it is read: it might not be wanted."""
TRIED_AGAIN = 2
"""A list of unknown length that did not fit is read from its top again with so many times the budget."""


@dataclass(frozen=True)
class Reached:
    """How far a list was read. `pages`: its length, or as far as it is known to go (`is_length` False).
    `budget`: what was left when it was begun. `onward`: where to go on; None: at its top. `is_held_back`: the server
    refused further requests though the budget had some: its true limit is below the plan."""

    pages: int
    is_length: bool
    budget: int
    onward: Onward | None
    is_held_back: bool = False

    @classmethod
    def from_fact(cls, fact: Any) -> Reached | None:
        """Read back what `as_fact` wrote; None for anything else."""
        try:
            pages, budget, is_length = fact["pages"], fact["budget"], fact["is_length"] is True
            onward = Onward.from_fact(fact["onward"])
            is_held_back = fact.get("is_held_back") is True
        except (TypeError, KeyError, AttributeError):
            return None
        if type(pages) is not int or type(budget) is not int:
            return None
        return cls(pages, is_length, budget, onward, is_held_back)

    def as_fact(self) -> dict[str, Any]:
        """A JSON value."""
        onward = self.onward.as_fact() if self.onward is not None else None
        return {
            "pages": self.pages,
            "is_length": self.is_length,
            "budget": self.budget,
            "onward": onward,
            "is_held_back": self.is_held_back,
        }


class Ration:
    """What one list may take of a budget. `left`: requests that the budget has when the list is begun; `others`:
    pages of each list behind it; `details`: requests for details that are known to be needed (None: nothing has
    details); `loaded`: rows that are loaded; `before`: how far an earlier sync came."""

    def __init__(
        self,
        left: int,
        *,
        others: Sequence[int] = (),
        details: int | None = None,
        loaded: int = 0,
        before: Reached | None = None,
    ) -> None:
        self._left, self._others, self._details = left, others, details
        self._loaded, self._before = loaded, before
        self._last: ListPage | None = None
        self._is_over = False
        self.pages = 0
        """Pages that were read in this sync."""
        self.is_cut = False
        """Whether reading ended because the ration did."""
        self.start = before.onward if before is not None and not self._fits_now(before) else None
        """Where to begin; None: at the top."""

    def from_the_top(self) -> Ration:
        """The same ration for the list read from its top."""
        return Ration(
            self._left,
            others=self._others,
            details=self._details,
            loaded=self._loaded,
            before=self.without_place(),
        )

    def without_place(self) -> Reached | None:
        """How far an earlier sync came, to be begun anew."""
        before = self._before
        return replace(before, onward=None, is_held_back=False) if before is not None else None

    @property
    def is_part(self) -> bool:
        """Whether only a part of the list was read."""
        return self.is_cut or self.start is not None

    @property
    def may_read_ahead(self) -> bool:
        """Whether pages that are asked for ahead are unlikely to be in vain."""
        return self._before is None and self._left >= AHEAD_FROM

    def goes_on(self, page: ListPage) -> bool:
        """Take in that `page` was read; whether the next one may be."""
        self._last, self.pages = page, self.pages + 1
        onward = page.place.onward
        if page.place.is_last or onward is None:
            return True
        self.is_cut = self.pages >= self._allowed(onward)
        return not self.is_cut

    def end(self) -> None:
        """Take in that nothing comes after the newest page, whatever that said."""
        self._is_over = True

    def reached(self) -> Reached | None:
        """How far the list is read now; None: no page was."""
        if self._last is None:
            return None
        place = self._last.place
        if place.onward is not None and not self._is_over:
            pages, is_length = self._length(place.onward)
            return Reached(pages, is_length, self._left, place.onward)
        before = self.start.rows if self.start is not None else 0
        return Reached(-(-before // max(1, place.size)) + self.pages, True, self._left, None)

    def _fits_now(self, before: Reached) -> bool:
        """Whether the list that did not fit is likely to do so now."""
        if before.is_held_back:
            return False
        if not before.is_length and self._left < TRIED_AGAIN * before.budget:
            return False
        return self._fits(before.pages)

    def _fits(self, pages: int) -> bool:
        return pages + sum(self._others) <= self._left

    def _length(self, onward: Onward) -> tuple[int, bool]:
        """The pages of the list, as far as they are known, and whether they are known to be all."""
        assert self._last is not None
        size, total = max(1, onward.size), self._last.total
        if total is not None and total > onward.rows:
            return -(-total // size), True
        so_far = -(-onward.rows // size) + 1
        if self._before is None:
            return so_far, False
        return max(
            so_far, self._before.pages
        ), self._before.is_length and so_far <= self._before.pages

    def _allowed(self, onward: Onward) -> int:
        """How many pages may be read in all; one is read in any case."""
        pages, is_length = self._length(onward)
        free = self._left - sum(self._others)
        if self._before is None and not is_length:
            # A list that tells no length, and did fit so far.
            is_safe = self._loaded or self._details is None
            return self._left if is_safe else free * 2 // 3
        if self._fits(pages) and (is_length or self.start is None):
            return self._left
        return fair_part(self._left - self._kept_for_details(onward), self._others)

    def _kept_for_details(self, onward: Onward) -> int:
        if self._details is None:
            return 0
        assert self._last is not None
        new = max(0, (self._last.total or 0) - self._loaded)
        return kept_for_details(self._left, self._details + new)


def kept_for_details(left: int, details: int) -> int:
    """How many of `left` requests no list may take where so many `details` are known to be needed."""
    return min(left // 2, details + left // CHANGES)


def fair_part(pool: int, others: Sequence[int]) -> int:
    """What a list gets of `pool` requests beside `others`: an equal part, and what small lists leave over."""
    lists = len(others) + 1
    for pages in sorted(others):
        if pages * lists > pool:
            break
        pool, lists = pool - pages, lists - 1
    return max(1, pool // lists)
