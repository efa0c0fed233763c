"""Each step of reading a list: what ends it, what is looked at afterwards, and what is kept for later steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from oa_sync.client.paging import Onward, Place
from oa_sync.definitions.model import Resource, SinglePagePaginator
from oa_sync.errors import (
    ApiError,
    ConnectionFailedError,
    DestinationError,
    IncompleteListError,
    InvalidRequestError,
    NotAuthorisedError,
    OaSyncError,
    RateLimitedError,
    ServerError,
)
from oa_sync.extract.lists import reading
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.dependent import UnaskedListError
from oa_sync.extract.lists.early_stop import EarlyStop
from oa_sync.extract.lists.ration import AHEAD_FROM, Ration
from oa_sync.extract.lists.reading import (
    FAILURES_IN_A_ROW,
    FAR_BEYOND,
    MANY_PAGES,
    REPEATED_PAGES,
    REPEATED_ROWS,
    scan,
)
from oa_sync.extract.lists.scan import Scan
from tests.extract.moving_list import LONG_AGO, REPORTS, START, PageRead, loaded, row_of

WITHOUT_DETAIL = REPORTS.model_copy(update={"detail": None})
WITHOUT_KEY = WITHOUT_DETAIL.model_copy(update={"primary_key": (), "write_disposition": "replace"})


@dataclass
class Told:
    """A list that gives out what a test says. `windows` are the answers to `across`, one after the other."""

    read: Sequence[PageRead]
    windows: list[list[PageRead]] = field(default_factory=list)
    ahead: list[bool] = field(default_factory=list)
    asked: int = 0
    crossed_at: list[int] = field(default_factory=list)
    """After how many pages it was read across a seam."""
    without_total: str = "{type: auto}"

    async def pages(self, *, ahead: bool) -> AsyncGenerator[PageRead, None]:
        self.ahead.append(ahead)
        for page in self.read:
            self.asked += 1
            yield page

    async def across(self, left: Place, right: Place | None) -> Sequence[PageRead]:
        self.crossed_at.append(self.asked)
        return self.windows.pop(0) if self.windows else []


def page(keys: Sequence[str], total: int | None = None, start: int = 0, **more: Any) -> PageRead:
    return PageRead(
        [row_of(key, LONG_AGO) for key in keys], total, start, False, START, True, **more
    )


def onward_from(start: int, size: int) -> Onward:
    return Onward(SinglePagePaginator(), start, start, size)


def in_pages(count: int, size: int, *, total: int | None = None) -> Told:
    """A list of `count` rows whose pages say how it goes on."""
    starts = range(0, count, size)
    rows = [[f"r{n}" for n in range(start, min(start + size, count))] for start in starts]
    return Told(
        [
            page(
                keys,
                total,
                start,
                onward=onward_from(start + size, size) if start + size < count else None,
            )
            for start, keys in zip(starts, rows, strict=True)
        ]
    )


def read(
    *lists: Told,
    resource: Resource = WITHOUT_DETAIL,
    known: dict[str, Known] | None = None,
    ration: Ration | None = None,
    **state: Any,
) -> Scan:
    async def opened() -> AsyncIterator[Told]:
        for each in lists:
            yield each

    result = Scan(resource, known or {}, **state)
    asyncio.run(scan(result, opened(), ration=ration))
    return result


def known(*keys: str, resource: Resource = REPORTS) -> dict[str, Known]:
    return loaded(resource, [row_of(key, LONG_AGO) for key in keys])


# -- several lists ----------------------------------------------------------------------------------


def test_the_first_list_that_contradicts_itself_is_told_and_the_others_are_read() -> None:
    lists = [Told([page("ab", 5)]), Told([page("cd", 2)]), Told([page("ef", 7)])]
    result = read(*lists)
    assert "it says that it has 5 rows, and shows 2" in str(result.error)
    assert result.seen == set("abcdef")
    assert not result.finished


class Failing(Told):
    """A list that fails with `error`."""

    def __init__(self, error: ApiError) -> None:
        super().__init__([])
        self.error = error

    async def pages(self, *, ahead: bool) -> AsyncGenerator[PageRead, None]:
        self.asked += 1
        raise self.error
        yield  # a generator


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        # No request was sent.
        (UnaskedListError("no"), 9),
        (ServerError("no", status=500), FAILURES_IN_A_ROW),
        (NotAuthorisedError("no", status=403), FAILURES_IN_A_ROW),
        (IncompleteListError("no"), 9),
        # No other list would answer either.
        (NotAuthorisedError("no", status=401), 1),
        (InvalidRequestError("no", status=401), FAILURES_IN_A_ROW),
        (ConnectionFailedError("no"), 1),
        (RateLimitedError("no", status=429), 1),
    ],
)
def test_lists_that_fail_in_a_row_end_the_scan_and_one_where_all_would(
    error: ApiError, asked: int
) -> None:
    lists = [Failing(error) for _ in range(9)]
    result = read(*lists)
    assert sum(each.asked for each in lists) == asked
    assert (result.error, result.finished) == (error, False)


def test_a_list_that_answers_in_between_begins_the_row_anew() -> None:
    error = ServerError("no", status=500)
    lists = [Failing(error) for _ in range(2 * FAILURES_IN_A_ROW - 2)]
    most = FAILURES_IN_A_ROW - 1
    result = read(*lists[:most], Told([page("ab", 2)]), *lists[most:], Told([page("cd", 2)]))
    assert all(each.asked == 1 for each in lists)
    assert result.seen == set("abcd")
    lists = [Failing(error) for _ in range(2 * FAILURES_IN_A_ROW)]
    read(*lists[:1], Told([page("ab", 2)]), *lists[1:])
    assert sum(each.asked for each in lists) == 1 + FAILURES_IN_A_ROW


# -- what ends a scan -------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1], ids=["first", "second reading"])
def test_what_a_library_raises_ends_the_scan_and_is_told(at: int) -> None:
    class Broken(Told):
        async def pages(self, *, ahead: bool) -> AsyncGenerator[PageRead, None]:
            self.asked += 1
            if self.asked > at:
                raise RuntimeError("a library is broken")
            for each in self.read:
                yield each

    result = read(Broken([page("ab"), page("cd")]), known=known("a", "gone"))
    assert "reports: reading the list" in str(result.error)
    assert not result.finished
    assert result.gone() == []


def test_what_is_raised_of_ours_behind_a_page_is_raised() -> None:
    async def refuse(_: Scan) -> None:
        raise DestinationError("the disk is full")

    async def only() -> AsyncIterator[Told]:
        yield Told([page("ab")])

    with pytest.raises(OaSyncError, match="the disk is full"):
        asyncio.run(scan(Scan(WITHOUT_DETAIL, {}), only(), after_page=refuse))


# -- what costs a list its proof --------------------------------------------------------------------


def test_a_row_without_a_key_may_be_any_of_the_absent_ones() -> None:
    odd = replace(
        page("ab", 3), rows=[row_of("a", LONG_AGO), row_of("b", LONG_AGO), {"name": "odd"}]
    )
    result = read(Told([odd]), known=known("a", "gone"))
    assert (result.error, result.finished, result.proven, result.gone()) == (None, True, False, [])


@pytest.mark.parametrize("bare", [True, False])
def test_an_answer_without_a_body_proves_nothing(bare: bool) -> None:
    result = read(Told([page("ab", 2), page("", 2, is_bare=bare)]), known=known("a", "gone"))
    assert (result.finished, result.is_bare, result.proven) == (True, bare, not bare)


# -- which absent rows are asked for ----------------------------------------------------------------


def absent(result: Scan) -> list[str]:
    return [key for key, row in result.pending.items() if row.listed.version and not row.raw]


def test_absent_rows_of_a_list_without_proof_are_asked_for() -> None:
    lists = Told([page("ab"), page("cd")])
    result = read(lists, resource=REPORTS, known=known("a", *"vwxyz"))
    assert lists.asked == 4, "five details cost more than two pages"
    lists = Told([page("ab"), page("cd")])
    assert absent(read(lists, resource=REPORTS, known=known("a", "y", "z"))) == ["y", "z"]
    assert lists.asked == 2
    assert result.gone() == list("vwxyz")


def test_three_rows_are_asked_for_of_a_list_in_doubt_and_it_is_not_read_again() -> None:
    lists = Told([page("ab"), page("cd")])
    assert absent(read(lists, resource=REPORTS, known=known(*"vwxyz"))) == ["v", "x", "z"]
    assert lists.asked == 2
    plain = Told([page("ab"), page("cd")])
    read(plain, known=known(*"vwxyz"))
    assert plain.asked == 2


@pytest.mark.parametrize(
    ("proven", "are_asked_for", "asked"),
    [(True, False, 4), (None, False, 2), (None, True, 4), (False, False, 2)],
)
def test_a_list_is_read_again_only_where_absent_parents_are_decided_about(
    proven: bool | None, are_asked_for: bool, asked: int
) -> None:
    lists = Told([page("ab"), page("cd")])
    read(
        lists,
        known=known("a", "y", "z"),
        parents_proven=proven,
        parents_are_asked_for=are_asked_for,
    )
    assert lists.asked == asked


@pytest.mark.parametrize("proven", [None, False])
def test_no_row_is_asked_for_whose_parents_were_not_all_read(proven: bool | None) -> None:
    """Where the parents are read, and only not proven, their details tell of them, and those of rows of the rows."""
    lists = Told([page("ab"), page("cd")])
    result = read(lists, resource=REPORTS, known=known("a", "y", "z"), parents_proven=proven)
    assert absent(result) == (["y", "z"] if proven is None else [])


# -- what is looked at when the list was read -------------------------------------------------------


def test_a_list_that_collapsed_is_not_looked_into() -> None:
    """It is a failure, whatever is found."""
    lists = Told([page([f"r{n}" for n in range(30)], 100), page("ab", 50, 30)])
    result = read(lists)
    assert isinstance(result.error, IncompleteListError)
    assert "its total fell from 100 to 50" in str(result.error)
    assert (lists.asked, lists.crossed_at) == (2, [])


def test_rows_that_are_missing_are_looked_for() -> None:
    lists = Told([page("ab", 6), page("d", 5, 2), page("ef", 5, 3)], [[page("bcd", 5, 1)]])
    result = read(lists)
    assert (result.error, lists.crossed_at) == (None, [3])
    assert result.seen == set("abcdef")


def test_by_cursor_rows_that_are_likely_to_be_hidden_are_looked_for_at_once() -> None:
    pages = [page("ab", 6), page("d", 5, 2), page("ef", 5, 3)]
    lists = Told([replace(each, by_position=False) for each in pages], [[page("bcd", 5, 1)]])
    result = read(lists)
    assert (result.error, lists.crossed_at) == (None, [2])
    assert result.seen == set("abcdef")
    unkeyed = Told(lists.read)
    read(unkeyed, resource=WITHOUT_KEY)
    assert unkeyed.crossed_at == []


def test_what_lies_behind_the_last_page_is_looked_at_where_copies_make_up_the_total() -> None:
    short = [page("aab", 4, is_end_told=False), page("c", 4, 3, is_end_told=False)]
    lists = Told(short, [[page("cd", 4, 3, room=1)]])
    result = read(lists)
    assert (lists.crossed_at, result.error) == ([2], None)
    assert result.seen == set("abcd")
    assert result.copies == 1
    # Nothing lies there.
    assert read(Told(short, [[page("c", 4, 3, room=1)]])).error is None
    # Nobody can tell.
    assert isinstance(read(Told(short)).error, IncompleteListError)


def test_copies_of_all_lists_are_counted() -> None:
    result = read(Told([page("aab", 3)]), Told([page("cccd", 4)]))
    assert (result.error, result.copies) == (None, 3)


def test_equal_rows_of_a_list_without_key_are_no_copies() -> None:
    lists = Told([page("aab", 4, is_end_told=False), page("c", 4, 3, is_end_told=False)])
    result = read(lists, resource=WITHOUT_KEY)
    assert (result.error, result.copies, lists.crossed_at) == (None, 0, [])


# -- what is kept of the pages ----------------------------------------------------------------------


def test_pages_are_kept_where_a_row_may_be_looked_for_in_its_place() -> None:
    lists = in_pages(5, 2)
    shown = read(lists, resource=REPORTS).pages_shown
    assert [one.keys for one in shown] == [("r0", "r1"), ("r2", "r3"), ("r4",)]
    assert [one.place.start for one in shown] == [0, 2, 4]
    assert all(one.opened is lists for one in shown)
    assert read(in_pages(5, 2)).pages_shown == []


def test_lists_of_only_some_parents_are_a_part_that_proves_nothing() -> None:
    result = read(Told([page("ab", 2)]), known=known("a", "gone"), is_part=True)
    assert (result.error, result.finished, result.gone()) == (None, False, [])


# -- a ration ---------------------------------------------------------------------------------------


def test_a_ration_that_ends_leaves_a_part_that_proves_nothing_and_contradicts_nothing() -> None:
    lists = in_pages(50, 10, total=50)
    result = read(lists, ration=Ration(2), known=known("r0", "r49"))
    assert (lists.asked, len(result.seen)) == (2, 20)
    assert (result.error, result.finished, result.gone()) == (None, False, [])


def test_a_list_that_fits_its_ration_is_read_and_judged_as_any_other() -> None:
    lists, ration = in_pages(50, 10, total=50), Ration(5)
    result = read(lists, ration=ration, known=known("r0", "gone"))
    assert (lists.asked, result.finished, result.gone()) == (5, True, ["gone"])
    reached = ration.reached()
    assert reached is not None
    assert (reached.pages, reached.is_length, reached.onward) == (5, True, None)
    cut = in_pages(50, 10, total=60)
    assert isinstance(read(cut, ration=Ration(9)).error, IncompleteListError)


def test_a_list_that_ends_although_its_last_page_says_more_was_read_to_its_end() -> None:
    lists, ration = Told([page("ab", onward=onward_from(2, 2))]), Ration(5)
    read(lists, ration=ration)
    reached = ration.reached()
    assert reached is not None
    assert (reached.is_length, reached.onward) == (True, None)


@pytest.mark.parametrize(
    ("ration", "ahead"),
    [(None, True), (Ration(AHEAD_FROM), True), (Ration(AHEAD_FROM - 1), False)],
)
def test_pages_are_asked_for_ahead_where_a_ration_has_enough(
    ration: Ration | None, ahead: bool
) -> None:
    lists = in_pages(5, 2)
    read(lists, ration=ration)
    assert lists.ahead == [ahead]


def test_no_page_is_asked_for_ahead_where_the_rest_may_be_known() -> None:
    lists = in_pages(5, 2)
    before = known("r0")

    async def only() -> AsyncIterator[Told]:
        yield lists

    asyncio.run(scan(Scan(REPORTS, before), only(), EarlyStop(before, START)))
    assert lists.ahead == [False]


# -- a list that gives the same page for ever -------------------------------------------------------


def repeating(size: int, count: int = 500, *, total: int | None = None) -> list[PageRead]:
    return [page([f"r{n}" for n in range(size)], total) for _ in range(count)]


@pytest.mark.parametrize(
    ("size", "repeats"),
    [(1, 100), (20, 5), (25, 4), (33, 4), (34, 3), (100, 3), (300, 3)],
)
def test_three_pages_in_a_row_with_a_hundred_rows_and_no_new_one_end_the_list(
    size: int, repeats: int
) -> None:
    assert repeats >= REPEATED_PAGES
    assert size * repeats >= REPEATED_ROWS
    lists = Told(repeating(size))
    result = read(lists)
    assert f"{repeats} pages of the list in a row bring no new row" in str(result.error)
    assert lists.asked == 1 + repeats


@pytest.mark.parametrize("between", ["a new row", "another total", "no row"])
def test_they_count_anew_where_something_comes_between(between: str) -> None:
    other = {
        "a new row": page(["new"]),
        "another total": page([f"r{n}" for n in range(100)], 7),
        "no row": page([]),
    }[between]
    lists = Told([*repeating(100, 3), other, *repeating(100, 2), page(["last"])])
    assert read(lists).error is None
    assert lists.asked == 7


# -- a list that never ends -------------------------------------------------------------------------


def is_endless(lists: Told, loaded: int = 0) -> bool:
    result = read(lists, known=known(*(f"l{n}" for n in range(loaded))))
    return "the list does not end" in str(result.error)


@pytest.mark.parametrize(
    ("pages", "total", "loaded", "endless"),
    [
        (MANY_PAGES, 3, 0, False),
        (MANY_PAGES + 1, 3, 0, True),
        (MANY_PAGES + 1, 3, 70, True),
        (MANY_PAGES + 1, 3, 71, False),
        (MANY_PAGES + 10, 11, 0, False),
        (MANY_PAGES + 11, 11, 0, True),
        (MANY_PAGES + 1, None, 0, False),
        # It counts the rows of the page.
        (MANY_PAGES + 1, 1, 0, False),
    ],
)
def test_ten_times_its_total_and_what_is_loaded_on_over_a_hundred_pages_end_a_list(
    pages: int, total: int | None, loaded: int, endless: bool
) -> None:
    assert FAR_BEYOND == 10
    assert is_endless(in_pages(pages, 1, total=total), loaded) is endless


@pytest.mark.parametrize("totals", [(3, 1_000), (None, 3, 1_000), (1, 3, 1_000)])
def test_the_first_total_that_says_something_counts(totals: tuple[int | None, ...]) -> None:
    pages = in_pages(MANY_PAGES + 1, 1).read
    told = [*totals, *[totals[-1]] * len(pages)]
    lists = Told([replace(each, total=total) for each, total in zip(pages, told, strict=False)])
    assert is_endless(lists)


@pytest.mark.parametrize(
    ("pages", "loaded", "endless"),
    [(150, 0, False), (151, 0, True), (152, 5, False), (153, 5, True), (153, 6, False)],
)
def test_very_many_pages_beside_those_of_the_loaded_rows_end_a_list_without_total(
    pages: int, loaded: int, endless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_PAGES", 150)
    assert is_endless(in_pages(2 * pages, 2), loaded) is endless


def test_pages_without_rows_are_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_PAGES", 150)
    assert not is_endless(Told([page("") for _ in range(155)]), 5)
    assert is_endless(Told([page("") for _ in range(156)]), 5)
