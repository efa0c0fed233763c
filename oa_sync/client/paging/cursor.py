"""Lists that are read by cursor: each page says where the next one starts.

A list is over when `has_more` is false, or when the cursor is null, empty or absent. A total alone ends nothing while
there is a cursor: it may be capped, stale, or count the rows of its page. But some servers give a cursor on their
last page too. So a total that is just the rows that came ends the list with a page that is shorter than others; in
any other case, one request more looks, and no row there, the first page once more, or 404, is the end. An empty page
with a new cursor is no end: its server filters after paging. One that gives the cursor that it was asked by is, where
no flag says that there is more. A page that may be no true end is asked for once more (`oa_sync.client.paging.silence`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any

from oa_sync.client.paging.listing import (
    Answer,
    Count,
    EmptyPages,
    Listing,
    NoSuchPageError,
    RepeatGuard,
    refuse_empty,
)
from oa_sync.client.paging.onward import Onward
from oa_sync.client.paging.page import Page
from oa_sync.client.paging.silence import LaterPages
from oa_sync.definitions.model import CursorPaginator
from oa_sync.definitions.paths import select
from oa_sync.errors import InvalidResponseError


class Cursors:
    """Reads by cursor and keeps what was learned. `before`: rows of the list before the first page."""

    def __init__(self, listing: Listing, paginator: CursorPaginator, before: int = 0) -> None:
        self._listing, self._paginator = listing, paginator
        self._guard = RepeatGuard()
        self._used: set[str] = set()
        self._count = Count(before)
        self._size = 0
        self._empty = EmptyPages()
        self._asked_by: str | None = None
        self._is_behind = False
        """Whether the newest page was asked for to see whether the total ends the list."""
        self._later = LaterPages(paginator, self._goes_on, before)
        self._first: Sequence[Any] = ()

    async def pages(
        self, first: Answer | None, start: str | None = None
    ) -> AsyncGenerator[Page, None]:
        """All pages in order, from the cursor `start` on (None: from the list's first row).

        Raises:
            InvalidResponseError: a cursor or a page comes twice, a page without a new cursor says that there is
                more, or `EmptyPages` do. What was read before was yielded before.
        """
        number = 1
        asked_by = start
        answer = first or await self._read(asked_by, number)
        self._first = answer.rows
        while True:
            total = answer.total(self._paginator.total_path)
            cause = f"the API may not know the parameter {self._paginator.cursor_param!r}"
            self._guard.check(answer, total, cause)
            self._learn(answer, total)
            cursor = self._cursor(answer)
            page = self._page(number, answer, total, cursor, asked_by)
            self._empty.note(answer, goes_on=not page.is_last)
            yield page
            if page.is_last:
                return
            number += 1
            asked_by = self._fresh(cursor, answer)
            self._is_behind = self._is_total_reached(answer)
            if self._is_behind:
                behind = await self._behind(asked_by, number)
                if behind is None:
                    return
                answer = behind
                continue
            read = partial(self._read, asked_by, number)
            answer = await self._later.settled(read(), read)

    def _is_total_reached(self, answer: Answer) -> bool:
        """Whether as many rows came as the total says, and nothing else tells whether there are more."""
        tells = answer.flag(self._paginator.has_more_path) is not None
        return not tells and self._count.is_reached(self._count.seen)

    async def _behind(self, cursor: str, number: int) -> Answer | None:
        """The page behind the one with which the total was reached; None: there is none."""
        try:
            answer = await self._read(cursor, number)
        except NoSuchPageError:
            return None
        return None if answer.rows == self._first else answer

    def _goes_on(self, answer: Answer) -> bool:
        has_more = answer.flag(self._paginator.has_more_path)
        if has_more is not None:
            return has_more
        return self._cursor(answer) is not None and not self._repeats_cursor(answer)

    def _repeats_cursor(self, answer: Answer) -> bool:
        """Whether an empty page gives the cursor that it was asked by: behind it there is nothing new."""
        return not answer.rows and self._cursor(answer) == self._asked_by is not None

    async def _read(self, cursor: str | None, number: int) -> Answer:
        asked, self._asked_by = self._paginator, cursor
        params: dict[str, str | int] = {}
        if asked.size_param is not None and asked.size is not None:
            params[asked.size_param] = asked.size
        if cursor is not None:
            params[asked.cursor_param] = cursor
        return await self._listing.read(params, f"page {number}")

    def _learn(self, answer: Answer, total: int | None) -> None:
        rows = len(answer.rows)
        self._later.note(answer)
        self._count.seen += rows
        self._count.tell(total)
        self._size = max(self._size, rows)

    def _cursor(self, answer: Answer) -> str | None:
        value = select(answer.document, self._paginator.cursor_path, None)
        if type(value) in (str, int, float) or not value:
            return str(value) if value else None
        raise InvalidResponseError(
            f"{answer.what}: cursor_path {self._paginator.cursor_path!r} finds neither text nor a"
            " number; set it to where the cursor stands"
        )

    def _page(
        self,
        number: int,
        answer: Answer,
        total: int | None,
        cursor: str | None,
        asked_by: str | None,
    ) -> Page:
        is_last = self._is_last(answer, cursor)
        onward = None
        if not is_last and cursor is not None:
            onward = Onward(self._paginator, cursor, self._count.seen, self._size)
        return Page(
            number=number,
            rows=answer.rows,
            total=total,
            is_last=is_last,
            size=self._size,
            rows_path=answer.rows_path,
            response=answer.response,
            cursor=asked_by,
            onward=onward,
            is_end_told=cursor is None
            or self._repeats_cursor(answer)
            or answer.flag(self._paginator.has_more_path) is False,
        )

    def _is_last(self, answer: Answer, cursor: str | None) -> bool:
        has_more = answer.flag(self._paginator.has_more_path)
        if has_more is not None:
            if has_more and self._repeats_cursor(answer):
                refuse_empty(
                    answer,
                    "it gives the cursor that it was asked by; if the list ends so, take `has_more_path` out of the"
                    " paginator",
                )
            return not has_more
        if cursor is None or self._repeats_cursor(answer):
            return True
        if self._is_total_reached(answer):
            if not answer.rows:
                return self._is_behind or self._paginator.stop_after_empty_page
            # A total that moved and was passed may count the rows of its page.
            is_exact = self._count.seen == self._count.total
            return (is_exact and len(answer.rows) < self._size) or cursor in self._used
        return not answer.rows and self._paginator.stop_after_empty_page

    def _fresh(self, cursor: str | None, answer: Answer) -> str:
        if cursor is None:
            problem = "it says there are more pages and gives no cursor"
        elif cursor in self._used:
            problem = "it gives a cursor that was used before"
        else:
            self._used.add(cursor)
            return cursor
        raise InvalidResponseError(
            f"{answer.what}: {problem}; check cursor_path and cursor_param, then tell the vendor"
        )
