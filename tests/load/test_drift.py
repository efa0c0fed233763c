"""Making room for wider values: in which order, so that a kill in between blocks nothing."""

from __future__ import annotations

from pathlib import Path

from oa_sync.settings import Settings
from oa_sync.shape.shaper import Drift
from oa_sync.tables.drift import SchemaChanges
from tests.support.memory_target import MemoryStore, MemoryTarget


def test_a_history_is_widened_before_its_table_which_tells_what_is_to_be_widened(
    tmp_path: Path,
) -> None:
    class Recording(MemoryTarget):
        def widen(self, table: str, column: str, data_type: str) -> None:
            widened.append((table, column, data_type))

    widened: list[tuple[str, str, str]] = []
    target = Recording(Settings(home=tmp_path), MemoryStore())
    list(SchemaChanges(target).settle([Drift("rows", "size", ("size",), "bigint", "double")]))
    assert widened == [("rows_history", "size", "double"), ("rows", "size", "double")]


def test_a_column_that_stays_json_is_no_change_for_the_report(tmp_path: Path) -> None:
    changes = SchemaChanges(MemoryTarget(Settings(home=tmp_path), MemoryStore()))
    same = Drift("reports", "tags", ("tags",), "json", "json")
    wider = Drift("reports", "age", ("age",), "bigint", "double")
    list(changes.settle([same, wider]))
    assert [one["column"] for one in changes.seen] == ["age"]
