"""When the end of a list is believed though the answer leaves out the field that would tell of it.

Many servers leave `next` out of the last page instead of saying null. But an absent field is no statement: a
typo in the definition, a field that was renamed, and an answer that lost its paging object look the same, and
there the list goes on. One thing differs. Where a list goes on, its page is full; at its end, it mostly is not.
So the silence of a first page is believed in these cases, by the first that holds:

- Nothing in the answer speaks of more, and a total in it is the number of its rows (`Signs`).
- *It has no row, or one.* An empty page cuts nothing off, and no server's largest page is one row (assumed, as long
  as no page of one row was followed by another).
- *It has fewer rows than any page that another one followed*, in this list, asked for in the same way
  (`FullPages`). Such pages were found by the very field, so the definition has no typo; and were the field
  renamed since, a page that is not full would still be the last. But pages may have become shorter in the same
  night, so this does not hold where a value stands in the answer that earlier ones did not have (`Signs.beside`).
- By position: the next page is empty, or does not exist. One request, which such a list costs anyway.
- By cursor, where the size can be chosen: *the list is read once more in two pages*, the first one row short
  of all. The first must have the field, so that is spelled right and in use; the second must have the last row,
  and leave the field out like the answer in doubt. Two requests, only as long as no longer page was seen.

In all other cases the list has failed. Where `next` was there on an earlier page of the same reading and is
absent on one that is shorter, it is believed; on one that is as long, the page is asked for once more: an
answer that only lost its paging object has it now, and reading goes on.

A silence that is believed ends the reading. Rows that are loaded and absent then need another proof, unless the
two pages gave it: `Place.is_end_told` is false, and so `oa_sync.extract.lists.evidence` proves nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace

from oa_sync.client.paging.cursor import Cursors
from oa_sync.client.paging.listing import Listing
from oa_sync.client.paging.page import Page
from oa_sync.definitions.model import (
    CursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginator,
)
from oa_sync.errors import IncompleteListError, InvalidRequestError, InvalidResponseError

Pages = AsyncGenerator[Page, None]


@dataclass
class FullPages:
    """How many rows a full page of one list has, as far as was seen.

    `least`: the fewest rows of a page that another one with rows followed. `room`: the most rows that came,
    with more to follow, where just so many were asked for; it counts as long as `least` is not known.
    `remember` is called when they change.
    """

    least: int | None = None
    room: int | None = None
    remember: Callable[[int | None, int | None], None] = lambda least, room: None

    def is_short(self, rows: int) -> bool:
        """Whether a page of `rows` rows is certainly not full."""
        bound = self.least if self.least is not None else self.room
        return rows < (bound if bound is not None else 2)

    def is_full(self, rows: int) -> bool:
        """Whether a page of `rows` rows is as long as one that is known to be full."""
        return self.least is not None and rows >= self.least

    def forget(self) -> None:
        """Let the pages of earlier readings prove nothing in this one."""
        self.least = self.room = None

    def followed(self, rows: int) -> None:
        """A page of `rows` rows was followed by another one with rows."""
        if self.least is None or rows < self.least:
            self.least = rows
            self.remember(self.least, self.room)

    def fitted(self, rows: int) -> None:
        """`rows` rows were asked for and came, and more followed."""
        if self.room is None or rows > self.room:
            self.room = rows
            self.remember(self.least, self.room)


class Ends:
    """Looks after the end of one list; `full` is what is known of its pages."""

    def __init__(self, listing: Listing, paginator: Paginator, full: FullPages) -> None:
        self._listing, self._paginator, self._full = listing, paginator, full

    async def of(self, walk: Pages, doubt: Callable[[], IncompleteListError | None]) -> Pages:
        """The pages of `walk`. `doubt()`, once the first page is there: why its silence is not believed yet.

        Raises:
            IncompleteListError: nothing proves that the list ends there.
        """
        before: Page | None = None
        async for page in walk:
            pages: Iterable[Page] = [page]
            if before is None and (error := doubt()) is not None:
                pages = await self._settled(page, walk, error)
            for one in pages:
                if before is not None and before.rows and one.rows:
                    self._full.followed(len(before.rows))
                before = one
                is_full = one.is_last and self._full.is_full(len(one.rows))
                yield replace(one, is_full=True) if is_full else one

    async def _settled(self, first: Page, walk: Pages, doubt: IncompleteListError) -> list[Page]:
        """The pages of `walk` up to the one that settles it."""
        rows = len(first.rows)
        if self._full.is_short(rows):
            return [replace(first, is_end_told=False)]
        if isinstance(self._paginator, PageNumberPaginator | OffsetPaginator):
            following = await anext(walk, None)
            if following is None or not following.rows:
                return [first] if following is None else [first, following]
        elif await self._ends_in_two_pages(rows):
            self._full.fitted(rows - 1)
            return [first]
        raise doubt

    async def _ends_in_two_pages(self, rows: int) -> bool:
        """Whether the list shows `rows` rows, and the field, where one row less is asked for."""
        if not isinstance(self._paginator, CursorPaginator) or self._paginator.size_param is None:
            return False
        if rows < 2:
            return False
        window = self._paginator.model_copy(update={"size": rows - 1})
        found: list[Page] = []
        try:
            async with aclosing(Cursors(self._listing, window).pages(None)) as pages:
                async for page in pages:
                    found.append(page)
                    if len(found) == 2:
                        break
        except (InvalidRequestError, InvalidResponseError):
            return False
        return [len(page.rows) for page in found] == [rows - 1, 1] and found[-1].is_last
