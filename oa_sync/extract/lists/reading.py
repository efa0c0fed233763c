"""Reading lists to their end, or until the rest is proven known, although they may change meanwhile."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

from oa_sync.errors import (
    ApiError,
    BudgetExhausted,
    ConnectionFailedError,
    IncompleteListError,
    NotAuthorisedError,
    OaSyncError,
    RateLimitedError,
    unexpected,
)
from oa_sync.extract.lists.absent import MOST_ASKED, SAMPLE, may_be_asked, to_confirm, to_sample
from oa_sync.extract.lists.changes import identity
from oa_sync.extract.lists.dependent import UnaskedListError
from oa_sync.extract.lists.early_stop import EarlyStop
from oa_sync.extract.lists.evidence import Evidence, Window
from oa_sync.extract.lists.healing import Healing
from oa_sync.extract.lists.listing import ListPage, OpenList
from oa_sync.extract.lists.ration import Ration
from oa_sync.extract.lists.scan import Scan
from oa_sync.extract.lists.second_look import Shown

logger = logging.getLogger(__name__)

AfterPage = Callable[[Scan], Awaitable[None]]

REPEATED_PAGES, REPEATED_ROWS = 3, 100
"""Pages in a row without a new key, and the rows on them, from which on a list is taken for one that never
ends. A list to which rows are added while it is read shows some rows again, but not so many."""


FAR_BEYOND, MANY_PAGES = 10, 100
"""A list that shows more rows than this many times its own total, on more pages than this, beside as many rows as
are loaded, is taken for one that makes up rows without end. A total that is capped or stale is seldom that low."""

FAILURES_IN_A_ROW = 5
"""Lists of parents that fail in a row, from which on the others are left for the next sync."""

MOST_PAGES = 10_000
"""Pages of a list without a total, beside those that the loaded rows fill, from which on it is taken for endless."""


async def _keep_all(result: Scan) -> None:
    """Leave every row in `result`."""


async def scan(
    result: Scan,
    lists: AsyncIterator[OpenList],
    early_stop: EarlyStop | None = None,
    after_page: AfterPage = _keep_all,
    ration: Ration | None = None,
) -> None:
    """Read every one of `lists` to its end, or to the end of the budget, into `result`.

    `early_stop` may end the reading of a single list sooner, and so may its `ration`. `after_page` may take rows out of `result`
    (`Scan.take_full`) that need not be kept until then; what it raises of ours is raised. Never raises `ApiError`
    or `BudgetExhausted`: they end the scan and are in `Scan.error`, as is whatever a library raised.
    """
    unproven: list[_Reading] = []
    failed: ApiError | None = None
    failures_in_a_row = 0
    ends_full = False
    try:
        async for opened in lists:
            reading = _Reading(result, opened, after_page, ration)
            try:
                await reading.run(early_stop)
            except ApiError as error:
                # The lists of other parents are read all the same.
                # One that was not sent cost nothing, and says nothing of the server.
                failures_in_a_row += not isinstance(error, IncompleteListError | UnaskedListError)
                if _is_of_all(error) or failures_in_a_row == FAILURES_IN_A_ROW:
                    raise
                failed = failed or error
                continue
            failures_in_a_row = 0
            ends_full |= reading.evidence.ends_full
            if not (reading.ended_early or reading.evidence.proven):
                unproven.append(reading)
        if failed is not None:
            raise failed
        if result.is_part or (ration is not None and ration.is_part):
            return
        result.finished = True
        if unproven and _is_worth_repeating(result, unproven):
            for reading in unproven:
                await reading.repeat()
    except (ApiError, BudgetExhausted) as error:
        result.error, result.finished = error, False
        return
    except OaSyncError:
        raise
    except Exception as error:
        result.error = unexpected(error, f"{result.resource.name}: reading the list")
        result.finished = False
        return
    result.proven = all(reading.evidence.proven for reading in unproven)
    # A row without a readable key may be any of the absent ones.
    result.proven = result.proven and not result.set_aside and not result.is_bare
    if result.parents_proven is not False:
        claims_all = result.is_complete or result.total is not None
        is_cut = ends_full and claims_all and len(result.absent()) >= SAMPLE
        result.may_be_cut = is_cut and may_be_asked(result.resource)
        asks = to_sample if result.is_in_doubt else to_confirm
        result.pending.update(asks(result))


def _is_of_all(error: ApiError) -> bool:
    """Whether no other list would answer either."""
    if isinstance(error, ConnectionFailedError | RateLimitedError):
        return True
    return isinstance(error, NotAuthorisedError) and error.status == 401


def _is_worth_repeating(result: Scan, unproven: Sequence[_Reading]) -> bool:
    """Whether a second reading can decide about absent ids, and costs less than asking for the detail of
    each. A list that was seen to change is not read again: it would change again. Nor is one that is in
    doubt: it would say the same again."""
    absent = len(result.absent())
    pages = sum(reading.evidence.pages for reading in unproven)
    if not absent or not identity(result.resource):
        return False
    if not (result.parents_proven or result.parents_are_asked_for):
        return False
    if result.is_mass_absent:
        return False
    if may_be_asked(result.resource) and absent <= min(pages, MOST_ASKED):
        return False
    return all(reading.evidence.steady for reading in unproven)


class _Reading:
    """One list on its way into a scan."""

    def __init__(
        self, result: Scan, opened: OpenList, after_page: AfterPage, ration: Ration | None
    ) -> None:
        self._scan, self._opened, self._after_page = result, opened, after_page
        self._ration = ration
        self._is_keyed = bool(identity(result.resource))
        self.evidence = Evidence(
            result.is_loaded, keyed=self._is_keyed, may_be_restored=result.may_be_restored
        )
        self._healing = Healing(opened, self.evidence, self._take)
        self.ended_early = False
        self._total: int | None = None
        self._first_total: int | None = None
        self._repeated_pages = self._repeated_rows = 0

    async def run(self, early_stop: EarlyStop | None) -> None:
        """Read the list once, and again where rows may have slipped through.

        Raises:
            IncompleteListError: the list contradicts itself.
            BudgetExhausted, ApiError: as `OpenList`.
        """
        await self._read(early_stop)
        if self.ended_early or (self._ration is not None and self._ration.is_part):
            return
        if self._is_keyed and self.evidence.missing and self.evidence.collapsed is None:
            await self._optional(self._healing.run())
        if self.evidence.is_end_open:
            await self._optional(self._healing.look_behind())
        self._scan.copies += self.evidence.copies
        if problem := self.evidence.contradiction(len(self._scan.set_aside)):
            raise IncompleteListError(
                f"{self._scan.resource.name}: the list is not whole: {problem}. No row is taken for deleted."
                " Run again; if it stays so, check the paginator in the definition (where its pages begin,"
                " their size), then tell the vendor. If its total counts rows that this key may not see, take the"
                f" total out of the definition: `paginator: {self._opened.without_total}`"
            )

    async def repeat(self) -> None:
        """Read the list a second time. Every row was seen if this reading gives the same rows or is
        itself a proof."""
        await self._optional(self._repeat())

    async def _read(self, early_stop: EarlyStop | None) -> None:
        order, known, ration = self._scan.order, self._scan.known, self._ration
        ahead = early_stop is None and (ration is None or ration.may_read_ahead)
        async with aclosing(self._opened.pages(ahead=ahead)) as pages:
            async for page in pages:
                before = self.evidence.seen
                rows = self._scan.add(page)
                if self._scan.resource.detail is not None:
                    keys = tuple(row.key for row in rows)
                    self._scan.pages_shown.append(Shown(self._opened, page.place, keys))
                seam = self.evidence.add_next(page, rows)
                is_repeated = self.evidence.seen == before
                self._note_repeated(page.total, len(rows) if is_repeated else 0)
                self._scan.is_bare |= page.place.is_bare
                self._note_endless(page)
                self._scan.since = self._scan.since or self.evidence.since
                order.add(rows, known)
                await self._after_page(self._scan)
                if early_stop is not None and early_stop.proves_rest(page.total, rows, order):
                    self._scan.leave_rest(early_stop.rest)
                    self.ended_early = True
                    return
                if ration is not None and not ration.goes_on(page):
                    return
                if seam is not None and self._is_keyed:
                    await self._optional(self._healing.at_once(seam))
        if ration is not None:
            ration.end()

    def _note_repeated(self, total: int | None, rows: int) -> None:
        """Take in that a page has `rows` rows and none of them is new, or 0."""
        if not rows or total != self._total:
            self._repeated_pages = self._repeated_rows = 0
        self._total = total
        self._repeated_pages += rows > 0
        self._repeated_rows += rows
        if self._repeated_pages >= REPEATED_PAGES and self._repeated_rows >= REPEATED_ROWS:
            raise IncompleteListError(
                f"{self._scan.resource.name}: {self._repeated_pages} pages of the list in a row bring no new row,"
                " so reading ends there; the API may not know the parameter that asks for the next page. Correct"
                " the paginator in the definition"
            )

    def _note_endless(self, page: ListPage) -> None:
        """Take in that a page was read, and end a list that would bring new rows for ever."""
        shown, pages, rows = self.evidence.seen, self.evidence.pages, len(page.rows)
        if page.total != rows:  # else it counts the rows of the page
            self._first_total = self._first_total or page.total
        if pages <= MANY_PAGES:
            return
        if self._first_total:
            is_endless = shown > FAR_BEYOND * self._first_total + self._scan.living
            told = f"its total was {self._first_total:,}"
            advice = "if it truly has that many, take the total out of its paginator"
        else:
            is_endless = pages > MOST_PAGES + self._scan.living // max(1, page.place.size)
            told = "it tells no total"
            advice = "if it truly has that many, run again, and it is read further"
        if is_endless:
            raise IncompleteListError(
                f"{self._scan.resource.name}: the list does not end: {pages:,} pages brought {shown:,} rows, and"
                f" {told}, so reading ends there. Tell the vendor; {advice}"
            )

    async def _repeat(self) -> None:
        first = set(self.evidence.keys)
        second = Evidence(
            lambda key: key in first or self._scan.is_loaded(key),
            may_be_restored=self._scan.may_be_restored,
        )
        async with aclosing(self._opened.pages(ahead=False)) as pages:
            async for page in pages:
                second.add(page, self._scan.add(page))
        if second.proven or (second.steady and second.keys == first):
            self.evidence.was_repeated()

    def _take(self, page: ListPage) -> Window:
        return self.evidence.add(page, self._scan.add(page))

    async def _optional(self, step: Awaitable[None]) -> None:
        """Take a step that the scan can do without: if the API refuses it, only the proof is lost."""
        try:
            await step
        except ApiError as error:
            if isinstance(error, NotAuthorisedError) and error.status == 401:
                raise
            logger.info("%s: not read again: %s", self._scan.resource.name, error)
