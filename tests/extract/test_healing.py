"""Where a scan looks for missing rows, in which order, and when it gives up (see `healing.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from oa_sync.client.paging import Place
from oa_sync.extract.lists.changes import listed
from oa_sync.extract.lists.evidence import Evidence, Seam, Window
from oa_sync.extract.lists.healing import WINDOWS_A_SEAM, Healing
from oa_sync.extract.lists.listing import ListPage
from tests.extract.moving_list import LONG_AGO, REPORTS, START, PageRead, row_of


@dataclass
class Told:
    """A list that gives out what a test says, and writes down what it was asked for.

    `windows` are the answers to `across`, one after the other; `head` the pages from the start.
    """

    windows: list[list[PageRead]] = field(default_factory=list)
    head: list[PageRead] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def pages(self, *, ahead: bool) -> AsyncGenerator[PageRead, None]:
        assert not ahead, "one page may be enough"
        for page in self.head:
            self.asked.append(("head", _name(page.place)))
            yield page

    async def across(self, left: Place, right: Place | None) -> Sequence[PageRead]:
        self.asked.append((_name(left), _name(right) if right else "end"))
        return self.windows.pop(0)


def _name(place: Place) -> str:
    return f"{place.start if place.cursor is None else place.cursor}"


class Case:
    """A list with pages read in turn, and its healing."""

    def __init__(self, opened: Told, *pages: PageRead) -> None:
        self.opened = opened
        self.evidence = Evidence(lambda _: False)
        self.healing = Healing(opened, self.evidence, self._take)
        self.seams = [self.evidence.add_next(page, entries(page)) for page in pages]

    def _take(self, page: ListPage) -> Window:
        return self.evidence.add(page, entries(page))

    def run(self) -> list[tuple[str, str]]:
        asyncio.run(self.healing.run())
        return self.opened.asked

    def at_once(self, seam: Seam | None) -> list[tuple[str, str]]:
        assert seam is not None
        asyncio.run(self.healing.at_once(seam))
        return self.opened.asked


def entries(page: ListPage) -> list[object]:
    return [listed(REPORTS, row) for row in page.rows]  # type: ignore[misc]


def page(
    keys: str, total: int, start: int, *, cursor: bool = False, is_last: bool = False
) -> PageRead:
    """A page whose rows are the letters of `keys`."""
    rows = [row_of(key, LONG_AGO) for key in keys]
    at = START + timedelta(seconds=start)
    return PageRead(rows, total, start, is_last, at, by_position=not cursor)


# -- when nothing is to be done ---------------------------------------------------------------------


def test_nothing_is_read_where_nothing_is_missing() -> None:
    case = Case(Told(), page("ab", 4, 0), page("cd", 3, 2))
    assert case.evidence.missing == 0
    assert case.run() == []


# -- 1: seams where the total changed and whose pages share no row ----------------------------------


def test_1_a_seam_where_the_total_changed_is_looked_into_first() -> None:
    told = Told(windows=[[page("dxe", 5, 3)]], head=[page("ab", 5, 0)])
    case = Case(told, page("ab", 6, 0), page("cd", 6, 2), page("e", 5, 4))
    assert case.run() == [("2", "4")]
    assert case.evidence.proven


def test_1_pages_that_share_a_row_have_no_seam_between_them() -> None:
    told = Told(windows=[[page("cxd", 5, 3)]])
    case = Case(told, page("ab", 5, 0), page("bc", 6, 2), page("d", 5, 4))
    assert case.run() == [("2", "4")]


def test_1_a_seam_that_was_looked_into_in_vain_is_not_looked_into_again() -> None:
    told = Told(
        windows=[[page("bc", 6, 1)], [page("c", 6, 2, is_last=True)]], head=[page("ab", 6, 0)]
    )
    case = Case(told, page("ab", 7, 0), page("c", 6, 2))
    assert not case.evidence.is_explained
    assert case.run() == [("0", "2"), ("2", "end"), ("head", "0")]


def test_1_no_further_seam_is_looked_into_once_nothing_is_missing() -> None:
    told = Told(windows=[[page("bxc", 4, 1)]])
    case = Case(told, page("ab", 5, 0), page("c", 4, 2), page("d", 3, 3))
    assert case.run() == [("0", "2")]


def test_1_a_seam_that_was_looked_into_at_once_is_not_looked_into_again() -> None:
    told = Told(windows=[[page("ab", 4, 0, cursor=True), page("bc", 4, 1, cursor=True)]])
    case = Case(told, page("ab", 5, 0, cursor=True), page("c", 4, 2, cursor=True))
    case.at_once(case.seams[1])
    told.head = [page("ab", 4, 0)]
    assert case.run() == [("0", "2"), ("head", "0")]


# -- at once, by cursor -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "right", "cursor", "looked"),
    [
        (4, "c", True, True),
        (5, "c", True, False),  # the list did not become shorter
        (4, "bc", True, False),  # nothing lies between the pages
        (4, "c", False, False),  # by position the place is found again later
    ],
)
def test_a_seam_is_looked_into_at_once_only_where_it_is_lost_soon(
    total: int, right: str, cursor: bool, looked: bool
) -> None:
    told = Told(windows=[[page("bc", 4, 1, cursor=True)]])
    case = Case(told, page("ab", 5, 0, cursor=cursor), page(right, total, 2, cursor=cursor))
    assert case.at_once(case.seams[1]) == ([("0", "2")] if looked else [])


def test_no_seam_is_looked_into_at_once_after_the_list_could_not_be_crossed() -> None:
    told = Told(windows=[[]])
    first, second, third = (
        page("ab", 6, 0, cursor=True),
        page("c", 5, 2, cursor=True),
        page("d", 4, 3, cursor=True),
    )
    case = Case(told, first, second, third)
    case.at_once(case.seams[1])
    assert case.at_once(case.seams[2]) == [("0", "2")]


# -- one seam ---------------------------------------------------------------------------------------


def close(*windows: PageRead, right: PageRead | None = None, left_cursor: bool = False) -> Told:
    """What is asked for to close a seam between `ab` and `right`, when it is answered by `windows`."""
    told = Told(windows=[[window] for window in windows])
    case = Case(told, page("ab", 30, 0, cursor=left_cursor))
    seam = Seam(next(case.evidence.seams()).left, None)
    if right is not None:
        seam = Seam(seam.left, Window(right.place, frozenset(row["id"] for row in right.rows)))
    asyncio.run(case.healing._close(seam))
    return told


def test_a_window_that_touches_both_pages_closes_the_seam() -> None:
    told = close(page("bxc", 30, 1), right=page("cd", 30, 10))
    assert told.asked == [("0", "10")]


def test_a_window_that_touches_neither_page_ends_the_search() -> None:
    """The place was not found: what lies where is not known."""
    told = close(page("xyz", 30, 5), page("bc", 30, 1), right=page("cd", 30, 10))
    assert told.asked == [("0", "10")]


def test_after_a_window_that_does_not_touch_the_right_page_the_search_goes_on_behind_it() -> None:
    told = close(page("bxy", 30, 1), page("yc", 30, 4), right=page("cd", 30, 10))
    assert told.asked == [("0", "10"), ("1", "10")]


def test_after_a_window_that_does_not_touch_the_left_page_the_search_goes_on_before_it() -> None:
    told = close(page("yc", 30, 8), page("bxy", 30, 1), right=page("cd", 30, 10))
    assert told.asked == [("0", "10"), ("0", "8")]


def test_by_cursor_nothing_can_be_read_before_a_window() -> None:
    told = close(
        page("yc", 30, 8, cursor=True),
        page("bxy", 30, 1),
        right=page("cd", 30, 10),
        left_cursor=True,
    )
    assert told.asked == [("0", "10")]


def test_windows_are_read_for_a_seam_no_more_often_than_said() -> None:
    steps = [page(f"{'bvwxyz'[n : n + 2]}", 30, n + 1) for n in range(5)]
    told = close(*steps, right=page("cd", 30, 10))
    assert len(told.asked) == WINDOWS_A_SEAM == 3


def test_behind_the_last_page_a_window_to_the_end_of_the_list_closes_the_seam() -> None:
    told = close(page("bx", 30, 1, is_last=True))
    assert told.asked == [("0", "end")]


def test_behind_the_last_page_the_search_goes_on_until_the_end_of_the_list() -> None:
    told = close(page("bx", 30, 1), page("xy", 30, 2, is_last=True))
    assert told.asked == [("0", "end"), ("1", "end")]


def test_of_two_windows_by_cursor_the_first_may_touch_the_left_page_and_the_last_must_the_right() -> (
    None
):
    lead, spanning = page("ab", 30, 0, cursor=True), page("xc", 30, 2, cursor=True)
    told = Told(windows=[[lead, spanning], [page("bc", 30, 9)]])
    case = Case(told, page("ab", 30, 0, cursor=True))
    right = page("cd", 30, 10, cursor=True)
    seam = Seam(
        next(case.evidence.seams()).left,
        Window(right.place, frozenset("cd")),
    )
    asyncio.run(case.healing._close(seam))
    assert told.asked == [("0", "10")]
    assert case.evidence.keys == set("abxc"), "both windows were taken in"


def test_of_two_windows_by_cursor_the_search_goes_on_behind_the_last() -> None:
    lead, spanning = page("ab", 30, 0, cursor=True), page("xy", 30, 2, cursor=True)
    told = Told(windows=[[lead, spanning], [page("yc", 30, 4, cursor=True)]])
    case = Case(told, page("ab", 30, 0, cursor=True))
    right = page("cd", 30, 10, cursor=True)
    seam = Seam(next(case.evidence.seams()).left, Window(right.place, frozenset("cd")))
    asyncio.run(case.healing._close(seam))
    assert told.asked == [("0", "10"), ("2", "10")]


# -- 2: the top of the list -------------------------------------------------------------------------


def shrunk(told: Told) -> Case:
    """Two rows are missing, one deletion was seen, and no seam is open where the total changed."""
    return Case(told, page("ab", 6, 0), page("bc", 5, 2), page("d", 5, 4))


def test_2_the_top_is_read_until_nothing_is_missing() -> None:
    told = Told(head=[page("xa", 5, 0), page("yb", 5, 2), page("zc", 5, 4)])
    case = shrunk(told)
    assert case.evidence.missing == 2
    assert case.run() == [("head", "0"), ("head", "2")]


def test_2_the_top_is_read_until_a_page_brings_nothing_new() -> None:
    told = Told(
        head=[page("xa", 5, 0), page("ab", 5, 2), page("yb", 5, 4)], windows=[[page("cd", 5, 3)]]
    )
    assert shrunk(told).run()[:2] == [("head", "0"), ("head", "2")]
    assert ("head", "4") not in told.asked


# -- 3: every other open seam -----------------------------------------------------------------------


def test_3_then_the_seams_where_the_total_stood_still_are_looked_into() -> None:
    """A deletion and an insertion together leave it as it was."""
    told = Told(head=[page("ab", 5, 0)], windows=[[page("cxd", 5, 3)]])
    assert shrunk(told).run() == [("head", "0"), ("2", "4")]


def test_3_not_where_the_total_fell_by_as_many_rows_as_are_missing() -> None:
    told = Told(head=[page("ab", 5, 0)])
    case = Case(told, page("ab", 5, 0), page("bc", 4, 2), page("d", 4, 4))
    assert case.evidence.missing == 1
    assert case.run() == [("head", "0")]


# -- a list that cannot be read across a seam -------------------------------------------------------


def test_a_list_that_cannot_be_crossed_is_read_once_more_to_its_end() -> None:
    """Also where a page brings nothing new; and no other seam is tried."""
    told = Told(windows=[[]], head=[page("ab", 6, 0), page("cd", 6, 2), page("ex", 6, 4)])
    case = Case(told, page("ab", 7, 0), page("c", 6, 2), page("d", 6, 3), page("e", 6, 4))
    assert not case.evidence.is_explained
    assert case.run() == [("0", "2"), ("head", "0"), ("head", "2"), ("head", "4")]


def test_a_list_that_cannot_be_crossed_is_not_read_again_where_nothing_is_missing() -> None:
    told = Told(windows=[[]], head=[page("ab", 3, 0, cursor=True)])
    case = Case(
        told,
        page("ab", 4, 0, cursor=True),
        page("c", 3, 2, cursor=True),
        page("d", 3, 3, cursor=True),
    )
    case.at_once(case.seams[1])
    assert case.run() == [("0", "2")]


def test_a_list_that_cannot_be_crossed_is_read_only_until_nothing_is_missing() -> None:
    told = Told(windows=[[]], head=[page("xa", 4, 0), page("cd", 4, 2)])
    case = Case(told, page("ab", 4, 0), page("c", 3, 2))
    assert case.evidence.missing == 1
    assert case.run() == [("0", "2"), ("head", "0")]
