"""Lists that leave out what is null: the last row that has a key loses it, and its version does not move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_list import BY_OFFSET, FaultyList, faulty_list

WHEN = "2026-01-02T03:04:05.678Z"
WITH: dict[str, dict[str, Any]] = {
    "value": {"closed": "x"},
    "value in an object": {"o": {"closed": "x", "z": 1}},
    "object": {"o": {"closed": "x"}},
    "list of objects": {"tags": [{"a": 1}]},
    "list of values": {"tags": [1, 2]},
}
WITHOUT: dict[str, dict[str, Any]] = {"value in an object": {"o": {"z": 1}}}


def _row(key: str, **fields: Any) -> dict[str, Any]:
    return {"id": key, "changed": WHEN, **fields}


def _told(source: FaultyList) -> dict[str, Any]:
    """All that is loaded of the row `a`, without what a column or a list that is empty says."""
    [row] = [row for row in source.loaded() if row["id"] == "a"]
    lists = [t for t in source.store.tables if t.startswith("things__")]
    more = {t: [r for r in source.loaded(t) if r.get("thing_id") == "a"] for t in lists}
    return {k: v for k, v in {**row, **more}.items() if v and not k.startswith("_oa_")}


@pytest.mark.parametrize("what", WITH)
def test_what_the_last_row_loses_is_gone(what: str, tmp_path: Path) -> None:
    without = WITHOUT.get(what, {})
    source = FaultyList([_row("a", **WITH[what]), _row("b", **without)], BY_OFFSET, has_detail=True)
    clean = FaultyList([_row("a", **without), _row("b", **without)], BY_OFFSET, has_detail=True)
    with faulty_list(tmp_path / "1", source), faulty_list(tmp_path / "2", clean):
        source.sync()
        source.rows = clean.rows
        report = source.sync()
        clean.sync()
        assert report.status == "complete"
        assert _told(source) == _told(clean)
        assert report.requests.made == 2, "the list, and the detail of the row that changed"
        assert source.sync().requests.made == 1


def test_what_only_the_detail_tells_from_now_on_stays(tmp_path: Path) -> None:
    source = FaultyList([_row("a", closed="x", name="n"), _row("b")], BY_OFFSET, has_detail=True)
    source.detail = lambda row: {**(row or {}), "closed": "x"}
    with faulty_list(tmp_path, source):
        source.sync()
        source.rows = [_row("a", name="other"), _row("b")]
        assert source.sync().status == "complete"
        assert _told(source)["closed"] == "x"


def test_a_row_that_changes_otherwise_costs_no_detail(tmp_path: Path) -> None:
    """Nor where another row still has the key."""
    source = FaultyList([_row("a", closed="x"), _row("b", closed="y")], BY_OFFSET, has_detail=True)
    with faulty_list(tmp_path, source):
        source.sync()
        source.rows = [_row("a"), _row("b", closed="y")]
        assert source.sync().requests.made == 1
        assert "closed" not in _told(source)


def _maintenance(row: dict[str, Any] | None) -> Any:
    return {"message": "maintenance"}


def test_details_of_a_maintenance_are_asked_for_again(tmp_path: Path) -> None:
    """In the first sync nobody knows that details have a key. The first one that has tells."""
    source = FaultyList([_row("a", n=1), _row("b", n=1)], BY_OFFSET, has_detail=True)
    source.detail = _maintenance
    with faulty_list(tmp_path, source):
        source.sync()
        source.detail = lambda row: row
        source.rows = [_row("a", n=1), {**_row("b", n=1), "changed": "2026-01-05T00:00:00Z"}]
        assert source.sync().requests.made == 2
        assert source.sync().requests.made == 2, "the list, and the detail that had no key"
        assert {row["more"] for row in source.loaded()} == {"of a", "of b"}
        assert {row.get("message") for row in source.loaded()} == {None}
        assert source.sync().requests.made == 1


def test_details_without_a_key_are_left_alone_where_none_has_one(tmp_path: Path) -> None:
    source = FaultyList([_row("a", n=1), _row("b", n=1)], BY_OFFSET, has_detail=True)
    source.detail = lambda row: {"more": row["more"]} if row else None
    with faulty_list(tmp_path, source):
        assert source.sync().requests.made == 3
        assert source.sync().requests.made == 1
        assert {row["more"] for row in source.loaded()} == {"of a", "of b"}
