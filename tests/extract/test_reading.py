"""What a scan makes of one list and of several: when it reads again, and what that may prove."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from oa_sync.client.paging import Place
from oa_sync.definitions.model import Resource
from oa_sync.errors import (
    ApiError,
    BudgetExhausted,
    ConnectionFailedError,
    NotAuthorisedError,
    ServerError,
)
from oa_sync.extract.lists.absent import MOST_ASKED
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.early_stop import EarlyStop
from oa_sync.extract.lists.reading import scan
from oa_sync.extract.lists.scan import Scan
from tests.extract.moving_list import (
    LONG_AGO,
    REPORTS,
    START,
    UNDATED,
    MovingList,
    PageRead,
    Paging,
    loaded,
    row_of,
    rows_of,
)

WITHOUT_DETAIL = REPORTS.model_copy(update={"detail": None})
WITHOUT_KEY = WITHOUT_DETAIL.model_copy(update={"primary_key": (), "write_disposition": "replace"})
LATER = START + timedelta(hours=1)


def read(
    *lists: MovingList,
    resource: Resource = WITHOUT_DETAIL,
    known: Mapping[str, Known] | None = None,
    proven: bool = True,
) -> Scan:
    """A scan of `lists` in turn, with `known` loaded before; `proven` as the scan of the parents left it."""

    async def opened() -> AsyncIterator[MovingList]:
        for each in lists:
            yield each

    # Not all that is loaded is absent: such a list is in doubt, and never read again.
    also = loaded(resource, lists[0].rows[:2]) if known and lists[0].rows else {}
    result = Scan(resource, {**also, **(known or {})}, parents_proven=proven or None)
    asyncio.run(scan(result, opened()))
    return result


def named(prefix: str, count: int, **words: object) -> MovingList:
    """A list of `count` rows that reads ten a page and has links, so that nothing looks across seams."""
    rows = [row_of(f"{prefix}{n}", LONG_AGO) for n in range(count)]
    return MovingList(rows, 10, "links", **words)  # type: ignore[arg-type]


def requests(*lists: MovingList) -> list[int]:
    return [each.requests for each in lists]


def at_read(number: int, happening: Callable[[MovingList], object]) -> Callable[[MovingList], None]:
    """`happening` just before the read with this number, counted from 1."""

    def change(source: MovingList) -> None:
        if source.requests == number - 1:
            happening(source)

    return change


GONE = loaded(REPORTS, [row_of("gone", LONG_AGO)])


# -- which lists are read a second time -------------------------------------------------------------


def test_of_several_lists_only_the_ones_that_proved_nothing_are_read_again() -> None:
    sure, unsure = named("a", 20), named("b", 20, tells_total=False)
    result = read(sure, unsure, known=GONE)
    assert requests(sure, unsure) == [2, 4]
    assert result.gone() == ["gone"]


def test_nothing_is_read_again_where_a_parent_may_have_been_missed() -> None:
    """Its list would still be unread, so a second reading could not prove anything."""
    unsure = named("a", 20, tells_total=False)
    result = read(unsure, known=GONE, proven=False)
    assert requests(unsure) == [2]
    assert (result.finished, result.proven, result.gone()) == (True, False, [])


def test_lists_that_prove_themselves_do_not_prove_that_no_parent_was_missed() -> None:
    result = read(named("a", 20), known=GONE, proven=False)
    assert (result.finished, result.is_complete, result.gone()) == (True, False, [])


def test_a_list_without_proof_is_read_once_where_no_loaded_row_is_absent() -> None:
    unsure = named("a", 20, tells_total=False)
    result = read(unsure, known=loaded(REPORTS, unsure.rows))
    assert requests(unsure) == [2]
    assert (result.finished, result.proven) == (True, False)


def test_a_list_without_keys_is_read_once() -> None:
    """Its rows cannot be told apart, so that a second reading would say no more than the first."""
    unsure = MovingList(rows_of(20), 10, "links", hidden=-3)
    result = read(unsure, resource=WITHOUT_KEY, known=loaded(WITHOUT_KEY, rows_of(25)))
    assert requests(unsure) == [2]
    assert (result.finished, result.proven) == (True, False)
    assert len(result.absent()) == 5


def test_no_list_is_read_again_when_one_of_them_was_seen_to_change() -> None:
    """It would change again, and without its proof those of the others decide nothing."""
    steady = named("a", 20, tells_total=False)
    changing = named("b", 20, tells_total=False, change=at_read(2, lambda it: it.insert(0)))
    result = read(steady, changing, known=GONE)
    assert requests(steady, changing) == [2, 3]
    assert (result.proven, result.gone()) == (False, [])


@pytest.mark.parametrize(
    ("pages", "absent", "repeated"),
    [
        (3, 2, False),
        (3, 3, False),
        (3, 4, True),
        (MOST_ASKED - 1, MOST_ASKED, True),
        (MOST_ASKED, MOST_ASKED, False),
        (MOST_ASKED + 1, MOST_ASKED, False),
        (MOST_ASKED + 1, MOST_ASKED + 1, True),
    ],
)
def test_a_list_is_read_again_only_where_that_is_cheaper_than_to_ask_for_each_absent_id(
    pages: int, absent: int, repeated: bool
) -> None:
    rows = rows_of(6 * pages + absent)
    source = MovingList(rows[: 6 * pages], 6, "links", tells_total=False)
    result = read(source, resource=REPORTS, known=loaded(REPORTS, rows))
    assert source.requests == (2 * pages if repeated else pages)
    asked = [key for key, row in result.pending.items() if row.wants_detail]
    assert len(result.gone()) == (absent if repeated else 0)
    assert len(asked) == (0 if repeated else absent)


# -- what the second reading proves -----------------------------------------------------------------


def test_the_second_reading_is_in_turn() -> None:
    """One page after the other: pages read at once may hide a change from each other."""
    asked: list[bool] = []

    class Watched(MovingList):
        async def pages(self, *, ahead: bool) -> AsyncIterator[PageRead]:  # type: ignore[override]
            asked.append(ahead)
            async for page in super().pages(ahead=ahead):
                yield page

    read(Watched(rows_of(20), 10, "links", tells_total=False), known=GONE)
    assert asked == [True, False]


def test_a_second_reading_that_saw_the_list_change_proves_nothing_though_its_rows_are_the_same() -> (
    None
):
    """A row may have left and another one may have come while it read."""

    def total_grows(source: MovingList) -> None:
        source.hidden -= 1

    source = named("a", 20, hidden=-3, change=at_read(4, total_grows))
    result = read(source, known=GONE)
    assert source.requests == 4
    assert (result.finished, result.proven, result.gone()) == (True, False, [])


def twice(first: Sequence[str], second: Sequence[Sequence[str]]) -> MovingList:
    """A list of undated rows whose total is always 4 and whose second reading shows `second`, page by page."""

    class Scripted(MovingList):
        async def pages(self, *, ahead: bool) -> AsyncIterator[PageRead]:  # type: ignore[override]
            self.made += 1
            pages = [first[:2], first[2:]] if self.made == 1 else second
            for number, keys in enumerate(pages):
                self.requests += 1
                yield PageRead(
                    [row_of(key, START) for key in keys], 4, 2 * number, False, START, False
                )

        async def across(self, left: Place, right: Place | None) -> Sequence[PageRead]:
            return []

    return Scripted([], 2)


def test_rows_of_the_first_reading_count_as_there_from_the_start_of_the_second() -> None:
    """New rows without a time: the first reading cannot tell whether they came meanwhile. The second one
    sees four rows that were there before it, of four; that a row stands on two pages matters no more."""
    source = twice(["a", "b", "c", "d"], [["a", "b"], ["b", "c"], ["d"]])
    result = read(source, resource=_undated(), known=_with_one_shown())
    assert source.requests == 5
    assert result.gone() == ["gone"]


def test_loaded_rows_count_as_there_from_the_start_of_the_second_reading_too() -> None:
    """A loaded row that slipped through the first reading."""
    known = {**_with_one_shown(), **loaded(_undated(), [row_of("d", START)])}
    source = twice(["a", "b", "c", "e"], [["a", "b"], ["c", "d"]])
    result = read(source, resource=_undated(), known=known)
    assert result.gone() == ["gone"]


def test_rows_that_only_the_second_reading_shows_prove_nothing() -> None:
    source = twice(["a", "b", "c", "e"], [["a", "b"], ["c", "new"]])
    result = read(source, resource=_undated(), known=_with_one_shown())
    assert source.requests == 4
    assert (result.proven, result.gone()) == (False, [])


def _with_one_shown() -> dict[str, Known]:
    """The row that is gone, and one of the first page."""
    return {**GONE, **loaded(_undated(), [row_of("a", START)])}


def _undated() -> Resource:
    return UNDATED.model_copy(update={"detail": None})


# -- looking for rows that slipped through -----------------------------------------------------------


@pytest.mark.parametrize("paging", ["number", "cursor", "links"])
def test_no_seam_is_looked_into_where_rows_have_no_keys(paging: Paging) -> None:
    """Nothing could tell whether a window shows a new row."""
    change = at_read(3, lambda source: source.delete(0))
    source = MovingList(rows_of(40), 10, paging, change, random.Random(0), at_once=1)
    result = read(source, resource=WITHOUT_KEY)
    assert source.requests == 4
    assert (result.finished, result.proven) == (True, False)


class Overlapping(MovingList):
    """Each page but the first begins with the last row of the page before."""

    def _read(self, start: int, size: int) -> PageRead:
        return super()._read(max(0, start - 1), size)


def test_nothing_is_looked_for_where_the_rest_is_proven_known() -> None:
    """Rows of pages that were left unread are not missing."""
    young = [row_of(f"y{n}", START - timedelta(seconds=n)) for n in range(10)]
    old = [row_of(f"o{n}", LONG_AGO - timedelta(seconds=n)) for n in range(50)]
    source = Overlapping([*young, *old], 10, "links")
    known = loaded(REPORTS, source.rows)
    result = Scan(REPORTS, known)

    async def opened() -> AsyncIterator[MovingList]:
        yield source

    asyncio.run(scan(result, opened(), EarlyStop(known, START)))
    assert (source.requests, result.rest_known) == (2, 41)
    assert (result.finished, result.proven, result.gone()) == (True, True, [])


def test_the_scan_began_when_the_first_page_of_the_first_list_was_read() -> None:
    result = read(named("a", 5), named("b", 5, now=LATER))
    assert result.since == START + timedelta(seconds=2)


# -- what ends a scan, and what only costs the proof --------------------------------------------------


@dataclass
class Refusing(MovingList):
    """Raises `error` in place of its second reading."""

    error: Exception = field(default_factory=OSError)

    async def pages(self, *, ahead: bool) -> AsyncIterator[PageRead]:  # type: ignore[override]
        if not ahead:
            raise self.error
        async for page in super().pages(ahead=ahead):
            yield page


def refused(error: Exception) -> Scan:
    return read(Refusing(rows_of(20), 10, "links", tells_total=False, error=error), known=GONE)


@pytest.mark.parametrize(
    "error",
    [
        NotAuthorisedError("no", status=403),
        ServerError("no", status=500),
        ConnectionFailedError("no"),
    ],
)
def test_a_second_reading_that_is_refused_costs_only_the_proof(error: ApiError) -> None:
    result = refused(error)
    assert (result.error, result.finished, result.proven) == (None, True, False)
    assert len(result.seen) == 20


@pytest.mark.parametrize(
    "error", [NotAuthorisedError("no", status=401), BudgetExhausted("no more today")]
)
def test_a_second_reading_ends_the_scan_where_no_request_can_succeed_any_more(
    error: ApiError | BudgetExhausted,
) -> None:
    result = refused(error)
    assert (result.error, result.finished) == (error, False)
    assert result.gone() == []
