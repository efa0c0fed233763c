"""One list of the API, to be read from its start or across a seam of its pages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from oa_sync.client.paging.across import across
from oa_sync.client.paging.auto import detect
from oa_sync.client.paging.cursor import Cursors
from oa_sync.client.paging.ends import Ends, FullPages
from oa_sync.client.paging.failure_words import total_in
from oa_sync.client.paging.links import linked_pages
from oa_sync.client.paging.listing import Answer, Listing
from oa_sync.client.paging.numbered import Offsets, PageNumbers
from oa_sync.client.paging.onward import Onward
from oa_sync.client.paging.page import Page, Place
from oa_sync.client.paging.signs import Signs
from oa_sync.client.paging.silence import without_total
from oa_sync.client.response import Response
from oa_sync.client.session import ApiClient
from oa_sync.definitions.model import (
    AutoPaginator,
    CursorPaginator,
    Endpoint,
    OffsetPaginator,
    PageNumberPaginator,
    Paginator,
)
from oa_sync.errors import IncompleteListError


class ApiList:
    """A list behind one endpoint, with its parameters set.

    `params` are added to the endpoint's plain ones; `path` replaces the endpoint's where that has
    placeholders. `first` is an answer that already is the first page (see `oa_sync.client.dialect`);
    the first reading uses it. `signs`: what the first answer must hold. `start`: read from there on (None: from
    the first page); nothing is looked for in the first answer then. `deadline`, by the clock's `monotonic()`, bounds every request.
    """

    def __init__(
        self,
        client: ApiClient,
        endpoint: Endpoint,
        paginator: Paginator,
        params: Mapping[str, Any] | None = None,
        *,
        path: str | None = None,
        first: Response | None = None,
        deadline: float | None = None,
        signs: Signs | None = None,
        start: Onward | None = None,
    ) -> None:
        self._signs, self._start = signs if start is None else None, start
        self._paginator = paginator if start is None else start.paginator
        self._listing = Listing(
            client,
            endpoint,
            params,
            path=path,
            deadline=deadline,
            on_first=self._look_at,
            count_paths=_count_paths(paginator),
        )
        self._first = first
        self._doubt: IncompleteListError | None = None

    async def pages(self, concurrency: int = 1) -> AsyncGenerator[Page, None]:
        """All pages in order, each read once, and none after the one that ends it.

        With `concurrency` above 1, up to that many pages by number are read ahead once the first one
        told how many rows there are; they are paid for even if the consumer stops. A consumer that
        stops early closes the iterator (`contextlib.aclosing`).

        Raises:
            NotFoundError: the API has no such list; only before the first page.
            InvalidResponseError: a page without a list of objects, or paging that goes in circles.
            RedirectRefusedError: a link to the next page leaves the configured origin.
            IncompleteListError: the first answer does not tell how the list goes on, and nothing proves that
                it ends there (`oa_sync.client.paging.ends`); or, behind the last page, an answer told of an error.
            BudgetExhausted, ApiError: as `ApiClient.request`.
        """
        first, self._first = self._first, None
        self._listing.begin()
        answer = self._listing.answer(first, first.json()) if first is not None else None
        if isinstance(self._paginator, AutoPaginator):
            answer = answer or await self._listing.read({}, "page 1")
            self._paginator = detect(answer)
            if self._signs is not None:
                self._doubt = self._signs.check(answer, self._paginator, was_found=True)
        walk = self._walk(answer, concurrency)
        full = self._signs.full if self._signs is not None else FullPages()
        try:
            ends = Ends(self._listing, self._paginator, full)
            last: Page | None = None
            async for page in ends.of(walk, lambda: self._doubt):
                last = page
                yield page
        finally:
            await walk.aclose()
        if (failure := self._failure(last)) is not None:
            raise IncompleteListError(
                f"{failure}, so rows may be missing. Those that came are loaded, and no row is taken for deleted. Run"
                " again; if it stays so, tell the vendor"
            )

    def _failure(self, last: Page | None) -> str | None:
        """Which answer says itself that rows are missing, and how; `last` is the last page. None: no one does."""
        if (what := self._listing.failure) is not None:
            return f"{what}: the answer tells of an error beside its rows"
        if last is None:
            return None
        what, count = last.response.what, total_in(last.response.headers)
        if what in self._listing.cut:
            return f"{what}: the answer says that it was cut, and no page follows"
        if count is not None and last.total is not None and count > last.total:
            return (
                f"{what}: the head of the answer says {count:,} rows, and its total {last.total:,}"
            )
        return None

    def _look_at(self, answer: Answer) -> None:
        """See whether the first answer tells how the list goes on, where that is declared."""
        if self._signs is not None and not isinstance(self._paginator, AutoPaginator):
            self._doubt = self._signs.check(answer, self._paginator, was_found=False)

    @property
    def without_total(self) -> str:
        """Its paginator in the words of a definition, so that no total is believed."""
        return without_total(self._paginator)

    async def across(self, left: Place, right: Place | None) -> list[Page]:
        """What lies in the seam of two pages; see `oa_sync.client.paging.across`."""
        return await across(self._listing, self._paginator, left, right)

    def _walk(self, first: Answer | None, concurrency: int) -> AsyncGenerator[Page, None]:
        start = self._start
        match self._paginator:
            case PageNumberPaginator() as paginator:
                return PageNumbers(self._listing, paginator, start=start).pages(first, concurrency)
            case OffsetPaginator() as paginator:
                return Offsets(self._listing, paginator, start=start).pages(first)
            case CursorPaginator() as paginator:
                before, cursor = (start.rows, str(start.at)) if start is not None else (0, None)
                return Cursors(self._listing, paginator, before).pages(first, cursor)
            case AutoPaginator():
                raise AssertionError("auto is resolved before")
            case paginator:
                return linked_pages(self._listing, paginator, first, start)


def _count_paths(paginator: Paginator) -> tuple[str, ...]:
    """Where `paginator` finds how many rows or pages there are."""
    paths = (getattr(paginator, name, None) for name in ("total_path", "total_rows_path"))
    return tuple(path for path in paths if isinstance(path, str))
