"""One page of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from oa_sync.client.paging.onward import Onward
from oa_sync.client.response import NO_CONTENT, Response
from oa_sync.client.rows import UndecodedRows
from oa_sync.shape.body import Body
from oa_sync.shape.lists import cut_list


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page stood in its list, without its rows: enough to read from there again.

    start: rows before the page, where pages are read by position; None for others.
    count: rows on it.
    size, total, is_last: as in `Page`.
    cursor: what the page was asked by, where pages are read by cursor; None for the first.
    received_at: this machine's time of the last byte; `server_date` is the server's.
    is_bare: the answer had no body, and its status did not say so: taken for empty, but no proof.
    is_end_told: the server says that the list ends here, other than by a total; False also where it was silent,
        and that was believed (`oa_sync.client.paging.ends`). Of other pages it says nothing.
    onward, is_full: as in `Page`.
    """

    start: int | None
    count: int
    size: int
    total: int | None
    is_last: bool
    cursor: str | None
    received_at: datetime
    server_date: datetime | None
    is_bare: bool = False
    is_end_told: bool = True
    onward: Onward | None = None
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, as it was read.

    number: what names the page to `fetch_page`: the page number, or the offset of the first row;
        for lists that cannot be read at random, the place in the reading, from 1.
    rows: the decoded rows, perhaps decoded anew each time they are gone through. Not every one need
        be an object.
    total: rows of the whole list by this page, None where it does not say.
    is_last: nothing is to be read after it, by what the server says.
    size: rows of a full page at this server, as far as learned: the most seen on one page.
    rows_path: where in the body the rows stand, dotted (`$` for the body itself).
    response: the answer; its body is the page's exact bytes.
    start, cursor, is_end_told: as in `Place`.
    onward: where the list goes on after this page; None where it does not, or nobody can say.
    is_full: it is the last, and as long as a page that another one followed: a list that is cut ends so.
    """

    number: int
    rows: Sequence[Any] = field(repr=False)
    total: int | None
    is_last: bool
    size: int
    rows_path: str
    response: Response
    start: int | None = None
    cursor: str | None = None
    is_end_told: bool = True
    onward: Onward | None = None
    is_full: bool = False

    @property
    def body(self) -> Body:
        """The exact bytes of the page."""
        return self.response.body

    @property
    def received_at(self) -> datetime:
        """This machine's time of the last byte."""
        return self.response.received_at

    @property
    def server_date(self) -> datetime | None:
        """The server's time by its `Date` header."""
        return self.response.server_date

    @property
    def place(self) -> Place:
        """Where this page stands, to keep it after the rows are processed."""
        return Place(
            start=self.start,
            count=len(self.rows),
            size=self.size,
            total=self.total,
            is_last=self.is_last,
            cursor=self.cursor,
            received_at=self.received_at,
            server_date=self.server_date,
            is_bare=not len(self.body) and self.response.status != NO_CONTENT,
            is_end_told=self.is_end_told,
            onward=self.onward,
            is_full=self.is_full,
        )

    def raw_rows(self) -> list[bytes]:
        """The exact bytes of each row, in the order of `rows`."""
        if isinstance(self.rows, UndecodedRows):
            return self.rows.texts
        found = cut_list(self.body, self.rows_path)
        assert len(found) == len(self.rows)
        return found
