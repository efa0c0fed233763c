"""A second look at the place of a row that its list showed, and whose detail answers 404.

A row may be deleted between the two requests. That is no fault, and needs a second witness: the list itself, asked
once more around the place of the row. The row has left its place if one answer shows both rows that stood beside
it, and not the row itself, because rows that stay keep their order. Rows that came or went above shift all three.
It may still have been moved by a change; so where the list tells totals, its total must have fallen too. At an
edge of the list there is one neighbour, and the answer must show the edge.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace

from oa_sync.client.paging import Place
from oa_sync.definitions.model import Resource
from oa_sync.errors import InvalidResponseError
from oa_sync.extract.lists.changes import listed
from oa_sync.extract.lists.listing import ListPage, OpenList


@dataclass(frozen=True, slots=True)
class Shown:
    """A page that was read in turn: of which list, where it stood, and the keys of its rows in order."""

    opened: OpenList
    place: Place
    keys: tuple[str, ...]


async def has_left(resource: Resource, pages: list[Shown], key: str) -> bool:
    """Whether the row with `key` has left the list of which `pages` were read. One request, two by cursor; none
    where the list cannot be read around a place.

    Raises:
        BudgetExhausted, ApiError: as `OpenList`.
    """
    page = next((page for page in pages if key in page.keys), None)
    if page is None:
        return False
    of_list = [one for one in pages if one.opened is page.opened]
    place, at = page.keys.index(key), of_list.index(page)
    before = _neighbour(of_list, at, place - 1)
    after = _neighbour(of_list, at, place + 1)
    if before is None and after is None:
        return False
    windows = await _around(of_list, at, place)
    try:
        keys = {listed(resource, row).key for window in windows for row in window.rows}
    except InvalidResponseError:
        return False
    if not windows or key in keys:
        return False
    if before is None and not _is_start(windows[0].place):
        return False
    if after is None and not _is_end(windows[-1].place):
        return False
    total = windows[-1].total
    has_fallen = total is None or page.place.total is None or total < page.place.total
    return has_fallen and all(one in keys for one in (before, after) if one is not None)


def _neighbour(pages: list[Shown], at: int, row: int) -> str | None:
    """The key of row `row` of page `at`, which may be the row before the page or behind it; None: an edge."""
    if row < 0:
        return pages[at - 1].keys[-1] if at and pages[at - 1].keys else None
    if row < len(pages[at].keys):
        return pages[at].keys[row]
    return pages[at + 1].keys[0] if at + 1 < len(pages) and pages[at + 1].keys else None


async def _around(pages: list[Shown], at: int, row: int) -> list[ListPage]:
    """The list around row `row` of page `at`, as it is now; empty where it cannot be read so."""
    page = pages[at]
    if page.place.start is None:
        # By cursor, what is read begins with a page: with the one before for the first row of a page.
        place = pages[at - 1].place if row == 0 and at else page.place
    else:
        place = replace(page.place, start=max(1, page.place.start + row), count=0)
    windows = list(await page.opened.across(place, None))
    if windows or len(pages) > 1:
        return windows
    async with aclosing(page.opened.pages(ahead=False)) as again:
        async for first in again:
            return [first]
    return []


def _is_end(place: Place) -> bool:
    return place.count < place.size or (place.is_last and place.is_end_told)


def _is_start(place: Place) -> bool:
    return place.start == 0 if place.start is not None else place.cursor is None
