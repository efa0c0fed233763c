"""Rows of new parents are appended, those of loaded ones replaced, however they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from oa_sync.errors import DestinationError
from oa_sync.load.dlt.loaded_keys import WORTH_ASKING
from oa_sync.load.dlt.warehouse import Warehouse
from oa_sync.settings import Settings
from oa_sync.tables.batches import WORKSPACE, Batch, TableHints
from tests.support.syncing import query

MANY = WORTH_ASKING + 1
HINTS = TableHints("report_rows", merge_key=(WORKSPACE, "report_id"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A DuckDB file and a home below `tmp_path`."""
    return Settings(home=tmp_path / "home", database=tmp_path / "oa_sync.duckdb")


def rows(hints: TableHints = HINTS, **counts: int) -> Batch:
    """As many rows of each parent."""
    parents = [name for name, count in counts.items() for _ in range(count)]
    table = pa.table(
        {
            WORKSPACE: ["default"] * len(parents),
            "report_id": parents,
            "position": list(range(len(parents))),
        }
    )
    return Batch(hints, table)


def childless(parent: str) -> Batch:
    """Removes what `parent` has."""
    return replace(rows(**{parent: 1}), removes=True)


def load(settings: Settings, *packages: list[Batch]) -> None:
    """One run that loads each package."""
    with Warehouse(settings, settings.home / "dlt") as target:
        for package in packages:
            target.load(package)


def loaded(settings: Settings) -> dict[str, int]:
    """Rows by parent, as they stand in the destination."""
    return dict(Counter(name for (name,) in query(settings, "SELECT report_id FROM report_rows")))


def has_staging(settings: Settings) -> bool:
    """Whether a merge was ever done there."""
    sql = "SELECT count(*) FROM information_schema.tables WHERE table_schema LIKE '%staging'"
    return query(settings, sql + " AND table_name = 'report_rows'") != [(0,)]


def test_parents_that_have_no_rows_are_appended(settings: Settings) -> None:
    load(settings, [rows(a=MANY)], [rows(b=MANY), rows(b=5), childless("c")], [rows(d=MANY)])
    assert loaded(settings) == {"a": MANY, "b": MANY + 5, "d": MANY}
    assert not has_staging(settings)


def test_a_loaded_parent_among_new_ones_is_replaced(settings: Settings) -> None:
    """Its rows and those of a new one share a batch that is not the first of its table."""
    load(settings, [rows(a=MANY, b=3)])
    load(settings, [rows(c=MANY), rows(c=2, a=7), childless("b")], [rows(c=MANY + 1), rows(a=1)])
    assert loaded(settings) == {"a": 1, "c": MANY + 1}


def test_what_a_killed_load_left_is_replaced_in_another_run(settings: Settings) -> None:
    load(settings, [rows(a=MANY)], [rows(b=MANY - 900)])
    load(settings, [rows(b=MANY)], [rows(b=MANY + 2), rows(e=1)])
    assert loaded(settings) == {"a": MANY, "b": MANY + 2, "e": 1}


def test_after_a_failed_load_the_destination_is_asked_again(settings: Settings) -> None:
    with Warehouse(settings, settings.home / "dlt") as target:
        target.load([rows(a=MANY)])
        target.load([rows(b=MANY)])

        def failing() -> Iterator[Batch]:
            yield rows(c=MANY)
            raise ValueError("cannot be shaped")

        with pytest.raises(DestinationError, match="cannot be shaped"):
            target.load(failing())
        with Warehouse(settings, settings.home / "other") as other:
            other.load([rows(c=MANY)])
        target.load([rows(c=MANY + 3)])
    assert loaded(settings) == {"a": MANY, "b": MANY, "c": MANY + 3}


def test_rows_with_keys_of_their_own_are_appended_or_replaced_one_by_one(
    settings: Settings,
) -> None:
    own = TableHints("report_rows", primary_key=(WORKSPACE, "report_id"))
    names = {f"r{n}": 1 for n in range(MANY)}
    load(settings, [rows(own, first=1)], [rows(own, **names)])
    assert not has_staging(settings)
    load(settings, [rows(own, **{f"s{n}": 1 for n in range(MANY)}), rows(own, r5=1, new=1)])
    assert set(loaded(settings).values()) == {1}
    assert len(loaded(settings)) == 1 + 2 * MANY + 1


def test_lists_are_there_before_the_row_that_says_they_are_loaded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the order in which they come, and though dlt commits table by table."""
    parents = TableHints("reports", primary_key=(WORKSPACE, "report_id"))
    packages = 0
    run = Warehouse._run

    def until_the_second(self: Warehouse, package: Any) -> None:
        nonlocal packages
        packages += 1
        if packages == 2:
            raise OSError("the machine stops here")
        run(self, package)

    monkeypatch.setattr(Warehouse, "_run", until_the_second)
    with (
        pytest.raises(DestinationError, match="stops here"),
        Warehouse(settings, settings.home / "dlt") as target,
    ):
        target.load([rows(parents, a=1), rows(a=3)])
    assert loaded(settings) == {"a": 3}
    tables = query(settings, "SELECT table_name FROM information_schema.tables")
    assert ("reports",) not in tables


def test_lists_are_removed_before_the_row_that_says_they_are_empty(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = TableHints("reports", primary_key=(WORKSPACE, "report_id"))
    load(settings, [rows(parents, a=1), rows(a=3, b=1)])

    def stopped(*_: object) -> None:
        raise OSError("the machine stops here")

    night = [rows(parents, a=1, c=1), childless("a")]
    for step, left in (("_delete", {"a": 3, "b": 1}), ("_run", {"b": 1})):
        with monkeypatch.context() as patch, pytest.raises(DestinationError, match="stops here"):
            patch.setattr(Warehouse, step, stopped)
            load(settings, night)
        assert loaded(settings) == left
        assert query(settings, "SELECT report_id FROM reports") == [("a",)]
    load(settings, night)
    assert loaded(settings) == {"b": 1}
    assert sorted(query(settings, "SELECT report_id FROM reports")) == [("a",), ("c",)]
