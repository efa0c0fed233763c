"""A list that shows a row twice: by itself, or because it moved. A copy never stands in for a row that was missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.sync import sync_async
from oa_sync.workspace.report import SyncReport
from tests.support.faulty_list import PAGERS, Body, FaultyList, faulty_list, things
from tests.support.memory_target import MemoryStore, MemoryTarget
from tests.support.raw_api import raw_api
from tests.support.syncing import settings_for

COUNTED = ["page", "offset", "cursor"]


def with_copies(rows: list[Body], *places: int) -> list[Body]:
    """`rows`, and a copy behind each of those at `places`, as a join gives it."""
    return [one for n, row in enumerate(rows) for one in [row] * (1 + (n in places))]


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
@pytest.mark.parametrize("by", COUNTED)
@pytest.mark.parametrize(
    ("count", "places"),
    [(30, [3]), (30, [9]), (30, [14]), (30, [29]), (29, [3, 25]), (7, [2]), (19, [18]), (3, [0])],
)
def test_a_row_that_the_list_shows_twice_is_counted_twice(
    count: int, places: list[int], by: str, has_detail: bool, tmp_path: Path
) -> None:
    source = FaultyList(with_copies(things(count), *places), PAGERS[by], has_detail)
    with faulty_list(tmp_path, source):
        for _ in range(2):
            report = source.sync()
            assert report.exit_code == 0, report.error
            assert source.living() == source.ids
            assert report.tallies["things"].total == len(source.rows)


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
@pytest.mark.parametrize("by", COUNTED)
def test_a_row_goes_from_a_list_with_copies(by: str, has_detail: bool, tmp_path: Path) -> None:
    source = FaultyList(with_copies(things(30), 3), PAGERS[by], has_detail)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.rows.pop(20)
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (0, 1)
        assert source.living() == source.ids


@pytest.mark.parametrize("by", COUNTED)
def test_a_row_goes_from_a_page_whose_total_is_below_its_rows(by: str, tmp_path: Path) -> None:
    """The total counts distinct rows: the only page with rows has more, and tells none then."""
    source = FaultyList(with_copies(things(10), 0), PAGERS[by])
    source.fault = lambda body, query: {
        **body,
        "meta": {**body["meta"], "total": len(source.ids)},
    }
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.rows.pop(5)
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (0, 1)
        assert source.living() == source.ids


@pytest.mark.parametrize("by", COUNTED)
@pytest.mark.parametrize("count", [27, 28, 29, 30])
def test_a_total_of_the_distinct_rows_cuts_none(count: int, by: str, tmp_path: Path) -> None:
    """The copies take the place of the last rows, where reading ends by the total."""
    source = FaultyList(things(count), PAGERS[by])

    def distinct(body: Body, query: dict[str, str]) -> Body:
        return {**body, "meta": {**body["meta"], "total": len(source.ids)}}

    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.fault = distinct
        source.rows[:] = with_copies(source.rows, 3)
        for _ in range(2):
            report = source.sync()
            assert report.tallies["things"].deleted == 0
            assert source.living() == source.ids
            assert report.exit_code in (0, 1)
            source.rows.extend(things(1, 100 + len(source.rows)))


Shift = Callable[[list[Body], dict[str, str]], list[Body]]


def _slides(rows: list[Body], query: dict[str, str]) -> list[Body]:
    """No order is fixed: where page 2 is asked for, a row of it stands on page 1, and one of page 1 on it."""
    moved = list(rows)
    if int(query.get("page", 1)) == 2 or int(query.get("offset", query.get("after", 0))) == 10:
        moved[9], moved[14] = moved[14], moved[9]
    return moved


def _page_again(rows: list[Body], query: dict[str, str]) -> list[Body]:
    """Page 3 is page 2 once more."""
    return rows[:20] + rows[10:20] + rows[30:]


def _part_again(rows: list[Body], query: dict[str, str]) -> list[Body]:
    """Page 3 begins with a row of page 1, in place of its own."""
    return [*rows[:20], rows[0], *rows[21:]]


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("by", COUNTED)
@pytest.mark.parametrize("shift", [_slides, _page_again, _part_again], ids=lambda s: s.__name__)
def test_a_row_that_comes_twice_stands_in_for_none_that_was_missed(
    shift: Shift, by: str, is_first: bool, has_detail: bool, tmp_path: Path
) -> None:
    source = FaultyList(things(35), PAGERS[by], has_detail)

    def shifted(body: Body, query: dict[str, str]) -> Any:
        rows, source.rows, source.fault = source.rows, shift(source.rows, query), None
        try:
            return source.page(query)
        finally:
            source.rows, source.fault = rows, shifted

    with faulty_list(tmp_path, source):
        if not is_first:
            assert source.sync().exit_code == 0
        source.fault = shifted
        report = source.sync()
        assert report.tallies["things"].deleted == 0
        assert report.exit_code == 1 or source.living() == source.ids
        source.fault = None
        assert source.sync().exit_code == 0
        assert source.living() == source.ids


@pytest.mark.parametrize(("by", "more"), [("page", 1), ("offset", 1), ("cursor", 0)])
def test_what_lies_behind_is_looked_at_once(by: str, more: int, tmp_path: Path) -> None:
    """A list by cursor ends by its cursor, so its total is not needed for that."""
    source = FaultyList(with_copies(things(30), 3), PAGERS[by])
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        assert len(source.asked()) == 4 + more


def test_where_nothing_shows_what_lies_behind_the_list_has_failed(tmp_path: Path) -> None:
    """A total of the distinct rows, pages whose size cannot be chosen, and a page that ends just there."""
    unsized = {**PAGERS["page"], "size_param": None, "size": None}
    source = FaultyList(things(30), unsized)
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        source.rows[:] = with_copies(source.rows, 3)
        source.fault = lambda body, query: {**body, "meta": {"total": 30}}
        report = source.sync()
        assert (report.exit_code, report.tallies["things"].deleted) == (1, 0)
        assert "shows 29 (30 came, some of them twice)" in str(report.error)
        assert source.living() == source.ids


@pytest.mark.parametrize("by", COUNTED)
def test_a_copy_in_one_answer_proves_no_row_gone(by: str, tmp_path: Path) -> None:
    """One answer shows a row in place of another, and the total fits."""
    source = FaultyList(things(6), PAGERS[by])
    with faulty_list(tmp_path, source):
        assert source.sync().exit_code == 0
        answers = iter(range(100))

        def once(body: Body, query: dict[str, str]) -> Body:
            rows = body["data"]
            return body if next(answers) else {**body, "data": [*rows[:3], rows[0], *rows[4:]]}

        source.fault = once
        assert source.sync().tallies["things"].deleted == 0
        assert source.living() == source.ids


# -- two rows, and one key -------------------------------------------------------------------------

ONE_KEY: dict[str, tuple[bytes, bytes]] = {
    "a key that needs a further field": (b'{"id": "k", "shop": "a"}', b'{"id": "k", "shop": "b"}'),
    "a number and its digits": (b'{"id": 5, "v": 1}', b'{"id": "5", "v": 2}'),
    "half an emoji": (rb'{"id": "k\ud83d", "v": 1}', rb'{"id": "k\ude00", "v": 2}'),
    "NUL": (rb'{"id": "k\u0000", "v": 1}', rb'{"id": "k\ufffd", "v": 2}'),
    "no UTF-8": (b'{"id": "k\xe9", "v": 1}', b'{"id": "k\xe8", "v": 2}'),
    "more digits than a double": (
        b'{"id": 0.12345678901234567891, "v": 1}',
        b'{"id": 0.12345678901234567892, "v": 2}',
    ),
}
ONE_PAGE = """
name: copies
client: {paginator: single_page}
resources: [{name: things, primary_key: id, endpoint: {path: things, data_selector: data}}]
"""


@pytest.mark.parametrize("kind", ONE_KEY)
def test_of_two_rows_with_one_key_one_is_set_aside_by_name(kind: str, tmp_path: Path) -> None:
    """Neither is a copy of the other, so no sync that loads one of them alone is complete."""
    one, other = ONE_KEY[kind]
    (tmp_path / "copies.yaml").write_text(ONE_PAGE)
    store = MemoryStore()
    with raw_api() as api:
        settings = settings_for(
            api.base_url, tmp_path, source=str(tmp_path / "copies.yaml"), api_key=None
        )

        def night(*rows: bytes) -> SyncReport:
            api.replies["/things"] = b'{"data": [%s]}' % b", ".join(rows)
            return asyncio.run(sync_async(settings, target=MemoryTarget(settings, store)))

        for _ in range(2):
            report = night(b'{"id": "x"}', b'{"id": "y"}', one, other, one)
            tally = report.tallies["things"]
            assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "set_aside")
            [apart] = tally.set_aside
            assert (apart.where, apart.key is not None) == ("page 1, row 4", True)
            assert "primary_key in the definition needs a further field" in apart.reason
            assert len(store.rows("things")) == 3
        assert (tally.new, tally.changed, tally.unchanged) == (0, 0, 3)
        # Its key is known, so it is none of the rows that are absent.
        assert night(b'{"id": "x"}', one, other).tallies["things"].deleted == 1
        assert night(b'{"id": "x"}', one, one).exit_code == 0
