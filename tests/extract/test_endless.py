"""Lists whose pages never end and bring new rows all the same: nothing but the quota would end them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.sync import sync
from oa_sync.errors import IncompleteListError
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.reading import FAR_BEYOND, MANY_PAGES, MOST_PAGES, scan
from oa_sync.extract.lists.scan import Scan
from tests.extract.moving_list import LONG_AGO, REPORTS, START, PageRead, loaded, row_of
from tests.support.json_api import json_api
from tests.support.syncing import settings_for

Total = Callable[[int], int | None]
"""From the rows before a page to the total that it tells."""

STEADY: Total = lambda before: 323  # noqa: E731
GROWING: Total = lambda before: before + 30  # noqa: E731
UNTOLD: Total = lambda before: None  # noqa: E731
OF_THE_PAGE: Total = lambda before: 10  # noqa: E731


@dataclass
class MadeUp:
    """A list of ten new rows a page, `pages` of them."""

    total: Total
    last: int = 1_000_000
    read: int = 0

    async def pages(self, *, ahead: bool) -> AsyncGenerator[PageRead, None]:
        for number in range(self.last):
            self.read += 1
            rows = [row_of(f"r{number * 10 + n}", LONG_AGO) for n in range(10)]
            total = self.total(number * 10)
            yield PageRead(rows, total, number * 10, number + 1 == self.last, START, True)

    async def across(self, left: Any, right: Any) -> list[PageRead]:
        return []


def read(source: MadeUp, known: dict[str, Known] | None = None) -> Scan:
    async def only() -> AsyncIterator[MadeUp]:
        yield source

    result = Scan(REPORTS.model_copy(update={"detail": None}), known or {})
    asyncio.run(scan(result, only()))
    return result


@pytest.mark.parametrize("total", [STEADY, GROWING], ids=["steady", "growing"])
def test_new_rows_far_beyond_the_total_end_the_list(total: Total) -> None:
    source = MadeUp(total)
    result = read(source)
    assert isinstance(result.error, IncompleteListError)
    assert "reports: the list does not end" in str(result.error)
    first = total(0)
    assert first is not None
    assert MANY_PAGES < source.read <= max(MANY_PAGES, FAR_BEYOND * first // 10) + 1
    assert not result.finished, "so no row is taken for gone"


@pytest.mark.parametrize("total", [UNTOLD, OF_THE_PAGE], ids=["none", "of the page"])
def test_many_thousand_pages_end_a_list_without_a_total(total: Total) -> None:
    source = MadeUp(total)
    assert isinstance(read(source).error, IncompleteListError)
    assert source.read == MOST_PAGES + 1


@pytest.mark.parametrize("total", [STEADY, UNTOLD, OF_THE_PAGE])
def test_a_long_list_whose_total_is_too_low_is_read_to_its_end(total: Total) -> None:
    result = read(MadeUp(total, last=FAR_BEYOND * 323 // 10))
    assert (result.error, result.finished) == (None, True)


def test_what_is_loaded_lets_a_longer_list_be_read_further() -> None:
    """A list that truly is so long is read a piece more each night."""
    rows = [row_of(f"r{n}", LONG_AGO) for n in range(MANY_PAGES * 10)]
    source = MadeUp(STEADY)
    read(source, loaded(REPORTS, rows))
    assert source.read == (FAR_BEYOND * 323 + len(rows)) // 10 + 1


def test_the_other_resources_are_read_all_the_same(tmp_path: Path) -> None:
    """Over HTTP: one list invents rows by cursor, the one behind it is healthy."""

    def invented(query: dict[str, str]) -> Any:
        start = int(query.get("after", 0))
        rows = [{"id": n} for n in range(start, start + 2)]
        return {"data": rows, "total": 5, "next": str(start + 2)}

    routes = {"/invented": invented, "/true": lambda _: {"data": [{"id": 1}], "total": 1}}
    by_cursor = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}
    by_cursor["total_path"] = "total"
    lists = [
        {"name": name, "primary_key": "id", "endpoint": {"path": name, "paginator": pager}}
        for name, pager in (("invented", by_cursor), ("true", {"type": "single_page"}))
    ]
    definition = tmp_path / "api.yaml"
    definition.write_text(json.dumps({"name": "api", "resources": lists}))
    with json_api(routes) as server:
        report = sync(settings_for(server.base_url, tmp_path, source=str(definition), api_key=None))
        assert report.exit_code == 1
        assert "invented: the list does not end" in str(report.error)
        assert report.tallies["true"].new == 1
        assert len(server.asked) == MANY_PAGES + 2
