"""Lists that are read by position: page numbers and offsets.

When a list is over, in order of trust:

1. `has_more` at its path. Where it is false, and the same answer leads to another page, that is asked for.
2. The number of rows at the total's path, by the newest page: over once that many were seen (page
   numbers) or passed (offsets). Pages are counted by the rows that came, never by the size that
   was asked for: a server that gives 7 rows where 100 were asked, or hides some, loses nothing.
   A total that more rows came than is capped or stale: it ends nothing from then on, and a page
   that is shorter than the pages that had just the size that was asked for is the last. Where the
   same answer says that another page follows (more pages at `total_path`, a flag, a link), the total
   may count the rows of its page, and the next page is asked for.
3. The number of pages at dlt's `total_path`, where there is no number of rows. A number that was
   passed ends nothing.
4. An empty page. A list without any of the others therefore costs one request more than it has
   pages; a short page is not taken for the last, because servers that filter after paging send
   short pages in the middle.
5. A page that does not exist (404), or the last page once more, in a list that tells no total: some
   servers answer so to what lies beyond the end. A 404 counts when it comes twice. The last page does not count
   behind the first page alone: a server that does not know the parameter answers every request with that. A full
   page is asked for far beyond too: where that is another, the list goes on. Then either it moved by a page or a
   cache gave the page before, so the page is read anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from oa_sync.client.paging.doubts import says_more
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
from oa_sync.definitions.model import OffsetPaginator, PageNumberPaginator

FAR_PAGES = 1_000
"""Where a server that answers all beyond the end with its last page does so, and a list that moved shows no such rows."""

_STEP_OVER = "if the API filters after paging, set `stop_after_empty_page: false` in the paginator"


async def _is_there_too(rows: Sequence[Any], far: Awaitable[Answer]) -> bool:
    """Whether the answer from `far` beyond has the same `rows`."""
    try:
        return (await far).rows == rows
    except NoSuchPageError:
        return False


def _later_pages(paginator: PageNumberPaginator | OffsetPaginator, seen: int) -> LaterPages:
    """The pages of a list that tells no length. One with rows may be followed by another."""

    def goes_on(answer: Answer) -> bool:
        return len(answer.rows) > 0 or answer.flag(paginator.has_more_path) is True

    return LaterPages(paginator, goes_on, seen, ends_missing=True)


class PageNumbers:
    """Reads by page number and keeps what was learned: rows seen, rows a page, total. `start`: where to begin
    (None: at the first page)."""

    def __init__(
        self,
        listing: Listing,
        paginator: PageNumberPaginator,
        size: int = 0,
        start: Onward | None = None,
    ) -> None:
        self._listing, self._paginator = listing, paginator
        self._size = start.size if start is not None else size
        self._first = int(start.at) if start is not None else paginator.first_page
        self._count = Count(start.rows if start is not None else 0)
        self._later = _later_pages(paginator, self._count.seen)
        self._total_at: datetime | None = None
        self._guard = RepeatGuard(1 if start is not None and start.rows else 0)

    async def pages(self, first: Answer | None, concurrency: int) -> AsyncGenerator[Page, None]:
        """All pages in order. While one is consumed, up to `concurrency` later ones are read, if
        that is more than 1 and a total says that they exist."""
        number, empty = self._first, EmptyPages()
        ahead: deque[asyncio.Task[Answer]] = deque()

        def read_ahead(last: int) -> None:
            while number + len(ahead) < last:
                ahead.append(asyncio.create_task(self._read(number + 1 + len(ahead))))

        answer = first or await self._read(number)
        try:
            while True:
                self._later.note(answer)
                page = self._next(number, answer)
                empty.note(answer, goes_on=not page.is_last)
                known_last = self._last_number() if concurrency > 1 and not page.is_last else 0
                read_ahead(min(known_last, number + concurrency))
                yield page
                if page.is_last:
                    return
                read_ahead(number + 1)
                following, read = ahead.popleft(), partial(self._read, number + 1)
                pages = answer.count(self._paginator.total_path)
                is_told = page.total is not None or pages is not None
                try:
                    answer = await (following if is_told else self._later.settled(following, read))
                except NoSuchPageError:
                    if is_told and not self._is_total_reached(answer):
                        raise
                    return
                number += 1
                if (settled := await self._settled(number, answer)) is None:
                    return
                answer = settled
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _settled(self, number: int, answer: Answer) -> Answer | None:
        """`answer`, or what the page is when it is read anew because it repeats the one before; None: it is the last
        page once more, from beyond the end."""
        if not self._guard.may_be_beyond_end(answer, self._total(answer)):
            return answer
        if len(answer.rows) < self._size:
            return None
        if await _is_there_too(answer.rows, self._read(number + FAR_PAGES)):
            return None
        self._guard.list_moved()
        return await self._read(number)

    async def page(self, number: int) -> Page:
        """The page `number` alone; it is the last if it says so, or if by its size the list ends there."""
        answer = await self._read(number)
        total = self._total(answer)
        self._size = max(self._size, len(answer.rows))
        before = (number - self._paginator.base_page) * self._size
        passed = total is not None and before + len(answer.rows) >= total
        return self._page(number, answer, total, passed or self._says_last(number, answer, total))

    async def _read(self, number: int) -> Answer:
        asked = self._paginator
        params: dict[str, int] = {asked.page_param: number}
        if asked.size_param is not None and asked.size is not None:
            params[asked.size_param] = asked.size
        return await self._listing.read(params, f"page {number}")

    def _total(self, answer: Answer) -> int | None:
        return answer.total(self._paginator.total_rows_path)

    def _next(self, number: int, answer: Answer) -> Page:
        total = self._total(answer)
        cause = f"the API may not know the parameter {self._paginator.page_param!r}"
        self._guard.check(answer, total, cause)
        self._count.seen += len(answer.rows)
        self._size = max(self._size, len(answer.rows))
        # Pages that are read at the same time arrive out of order: the newest total counts.
        received = answer.response.received_at
        if total is not None and (self._total_at is None or received >= self._total_at):
            self._count.tell(total)
            self._total_at = received
        return self._page(number, answer, total, self._is_over(number, answer))

    def _is_over(self, number: int, answer: Answer) -> bool:
        is_passed = self._count.is_passed and self._is_short(answer)
        if (is_passed or self._is_total_reached(answer)) and not self._goes_on(number, answer):
            return True
        return self._says_last(number, answer, self._count.total)

    def _is_total_reached(self, answer: Answer) -> bool:
        """Whether as many rows came as the total says, and no flag tells that there are more."""
        has_more = answer.flag(self._paginator.has_more_path)
        return not has_more and self._count.is_reached(self._count.seen)

    def _goes_on(self, number: int, answer: Answer) -> bool:
        """Whether `answer` says, beside its total, that another page follows it."""
        asked = self._paginator
        if not answer.rows:
            return False
        is_other = (
            "total_path" in asked.model_fields_set and asked.total_path != asked.total_rows_path
        )
        pages = answer.count(asked.total_path) if is_other else None
        if pages is not None:
            return number + 1 < pages + asked.base_page
        return says_more(answer.document, answer.rows_path)

    def _tells_later_pages(self, number: int, answer: Answer) -> bool:
        """Whether an empty page says that it is not the last one. dlt's default path may hold a number of rows, and
        so may a declared one: then it is the number of rows that came."""
        asked = self._paginator
        pages = answer.count(asked.total_path) if "total_path" in asked.model_fields_set else None
        if pages is None or self._total(answer) is not None or not asked.stop_after_empty_page:
            return False
        return number + 1 < pages + asked.base_page and 0 < self._count.seen != pages

    def _is_short(self, answer: Answer) -> bool:
        """Whether the page has fewer rows than were asked for and came before."""
        return len(answer.rows) < self._size == self._paginator.size

    def _says_last(self, number: int, answer: Answer, total: int | None) -> bool:
        asked = self._paginator
        has_more = answer.flag(asked.has_more_path)
        if asked.maximum_page is not None and number + 1 >= asked.maximum_page:
            return True
        if not answer.rows:
            if has_more and not asked.stop_after_empty_page:
                return False
            if has_more or self._tells_later_pages(number, answer):
                refuse_empty(answer, _STEP_OVER)
            # Without rows the page size is not known, and then nothing else can end the list.
            if asked.stop_after_empty_page or self._size == 0:
                return True
        if has_more is not None:
            return not has_more and not self._goes_on(number, answer)
        if total is not None:
            if self._goes_on(number, answer):
                return False
            covered = (number + 1 - asked.base_page) * self._size
            return not asked.stop_after_empty_page and covered >= total
        pages = answer.count(asked.total_path)
        return pages is not None and number + 1 == pages + asked.base_page

    def _last_number(self) -> int:
        total = self._count.total
        if total is None or self._size == 0:
            return 0
        pages = -(-total // self._size)
        last = self._paginator.first_page + pages - 1
        maximum = self._paginator.maximum_page
        return last if maximum is None else min(last, maximum - 1)

    def _page(self, number: int, answer: Answer, total: int | None, is_last: bool) -> Page:
        return Page(
            number=number,
            rows=answer.rows,
            total=total,
            is_last=is_last,
            size=self._size,
            rows_path=answer.rows_path,
            response=answer.response,
            is_end_told=total is None or answer.flag(self._paginator.has_more_path) is False,
            start=(number - self._paginator.base_page) * self._size,
            onward=None
            if is_last
            else Onward(self._paginator, number + 1, self._count.seen, self._size),
        )


class Offsets:
    """Reads by offset. The next page starts where the rows that came end. `start`: where to begin."""

    def __init__(
        self,
        listing: Listing,
        paginator: OffsetPaginator,
        size: int = 0,
        start: Onward | None = None,
    ) -> None:
        self._listing, self._paginator = listing, paginator
        self._size = start.size if start is not None else size
        self._first = int(start.at) if start is not None else paginator.offset
        self._count = Count()
        self._later = _later_pages(paginator, self._first)
        self._guard = RepeatGuard(1 if start is not None and start.rows else 0)

    async def pages(self, first: Answer | None) -> AsyncGenerator[Page, None]:
        """All pages in order."""
        offset, empty = self._first, EmptyPages()
        answer = first or await self._read(offset)
        while True:
            self._later.note(answer)
            cause = f"the API may not know the parameter {self._paginator.offset_param!r}"
            self._guard.check(answer, answer.total(self._paginator.total_path), cause)
            page = self._page(offset, answer)
            empty.note(answer, goes_on=not page.is_last)
            yield page
            if page.is_last:
                return
            # An empty page that is no end (`stop_after_empty_page: false`) is stepped over.
            following = offset + (len(answer.rows) or self._paginator.limit)
            read = partial(self._read, following)
            is_told = page.total is not None
            try:
                answer = await (read() if is_told else self._later.settled(read(), read))
            except NoSuchPageError:
                if is_told and not self._is_total_reached(offset, answer):
                    raise
                return
            offset = following
            if (settled := await self._settled(offset, answer)) is None:
                return
            answer = settled

    async def _settled(self, offset: int, answer: Answer) -> Answer | None:
        """As `PageNumbers._settled`."""
        if not self._guard.may_be_beyond_end(answer, answer.total(self._paginator.total_path)):
            return answer
        if len(answer.rows) < self._size:
            return None
        far = offset + FAR_PAGES * self._paginator.limit
        if await _is_there_too(answer.rows, self._read(far)):
            return None
        self._guard.list_moved()
        return await self._read(offset)

    async def page(self, offset: int) -> Page:
        """The page that starts at row `offset`."""
        return self._page(offset, await self._read(offset))

    async def _read(self, offset: int) -> Answer:
        asked = self._paginator
        params = {asked.offset_param: offset, asked.limit_param: asked.limit}
        return await self._listing.read(params, f"offset {offset}")

    def _page(self, offset: int, answer: Answer) -> Page:
        total = answer.total(self._paginator.total_path)
        self._count.tell(total)
        self._count.seen = offset + len(answer.rows)
        self._size = max(self._size, len(answer.rows))
        is_last = self._is_last(offset, answer)
        end = offset + (len(answer.rows) or self._paginator.limit)
        return Page(
            number=offset,
            rows=answer.rows,
            total=total,
            is_last=is_last,
            size=self._size,
            rows_path=answer.rows_path,
            response=answer.response,
            is_end_told=total is None or answer.flag(self._paginator.has_more_path) is False,
            start=offset,
            onward=None if is_last else Onward(self._paginator, end, self._count.seen, self._size),
        )

    def _is_last(self, offset: int, answer: Answer) -> bool:
        asked = self._paginator
        has_more = answer.flag(asked.has_more_path)
        end = offset + (len(answer.rows) or asked.limit)
        if asked.maximum_offset is not None and end >= asked.maximum_offset:
            return True
        if not answer.rows:
            if has_more and not asked.stop_after_empty_page:
                return False
            if has_more:
                refuse_empty(answer, _STEP_OVER)
            if asked.stop_after_empty_page or self._count.total is None:
                return True
        goes_on = len(answer.rows) > 0 and says_more(answer.document, answer.rows_path)
        if has_more is not None:
            return not has_more and not goes_on
        is_short = len(answer.rows) < self._size == asked.limit
        if not (self._is_total_reached(offset, answer) or (self._count.is_passed and is_short)):
            return False
        return not goes_on

    def _is_total_reached(self, offset: int, answer: Answer) -> bool:
        """Whether the rows up to the end of this page are as many as the total says, and no flag tells more."""
        end = offset + (len(answer.rows) or self._paginator.limit)
        flag = answer.flag(self._paginator.has_more_path)
        return not flag and self._count.is_reached(end)
