"""Report rows in their three forms."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from oa_sync.shape.report_rows import ReportTables, report_rows_spec, rows_as_json
from oa_sync.shape.shaper import Shaper
from oa_sync.shape.spec import Bounds

CONSTANTS = {"_oa_workspace": "default"}
POSITIONS = pa.array([0, 1])


def test_json_mode_is_the_texts_with_their_keys() -> None:
    texts = pa.array(['{"a": 1.50}', "[not even JSON"])
    table = rows_as_json(texts, pa.array(["r", "r"]), pa.array([7, 8], pa.int32()), CONSTANTS)
    assert table.to_pylist() == [
        {"report_id": "r", "position": 7, "row": '{"a": 1.50}', "_oa_workspace": "default"},
        {"report_id": "r", "position": 8, "row": "[not even JSON", "_oa_workspace": "default"},
    ]
    assert table.schema.field("position").type == pa.int64()


def test_typed_mode_has_a_column_for_every_key() -> None:
    shaper = Shaper(report_rows_spec(CONSTANTS))
    extras = {"report_id": pa.array(["r", "r"]), "position": POSITIONS}
    table = shaper.shape(b'{"Title": 300}\n{"Title": "Up"}\n', extras).tables["report_rows"]
    assert table.column("title").to_pylist() == ["300", '"Up"']
    assert table.column_names == ["report_id", "position", "title", "_oa_workspace"]


def tables_of(reports: ReportTables, report_id: str, name: str) -> list[str]:
    rows = b'{"a": 1}\n{"parts": [{"x": 1}]}\n'
    return list(reports.shape(report_id, name, rows, POSITIONS).tables)


def test_each_report_has_a_table_of_its_own_name() -> None:
    reports = ReportTables(CONSTANTS)
    assert tables_of(reports, "r1", "Sales by Région (2024)") == [
        "report__sales_by_r_gion_2024x",
        "report__sales_by_r_gion_2024x__parts",
    ]


def test_reports_of_one_name_have_two_tables() -> None:
    reports = ReportTables(CONSTANTS)
    first, second = (tables_of(reports, r, "Sales")[0] for r in ("r1", "r2"))
    assert first == "report__sales"
    assert second.startswith("report__sales_")
    assert len(second) == len(first) + 7


def test_a_renamed_report_keeps_its_table_across_syncs() -> None:
    before = ReportTables(CONSTANTS)
    tables_of(before, "r1", "Sales")
    after = ReportTables(CONSTANTS, before.names, before.learned)
    assert tables_of(after, "r1", "Turnover")[0] == "report__sales"
    assert tables_of(after, "r2", "Sales")[0] != "report__sales"


def test_memory_of_one_report_is_not_that_of_another() -> None:
    before = ReportTables(CONSTANTS)
    tables_of(before, "r1", "Sales")
    before.shape("r2", "Sales of parts", b'{"b": "x"}\n{"b": "y"}\n', POSITIONS)
    after = ReportTables(CONSTANTS, before.names, before.learned)

    def columns(table: str) -> set[str]:
        return {c.name for c in after.learned.columns(table)}

    after.shape("r1", "Sales", b'{"a": 1}\n{"parts": [{"x": 1}]}\n', POSITIONS)
    assert columns("report__sales") == {"a"}
    assert columns("report__sales_of_parts") == {"b"}
    assert columns("report__sales__parts") == {"position", "x"}


def test_a_name_without_a_letter_becomes_the_hash_of_the_id() -> None:
    names: list[Any] = tables_of(ReportTables(CONSTANTS), "r1", "  ")
    assert names[0].startswith("report__")
    assert len(names[0]) == len("report__") + 6


def kinds(reports: ReportTables, table: str) -> dict[str, str]:
    return {column.name: column.data_type for column in reports.learned.columns(table)}


def shape(reports: ReportTables, report_id: str, name: str, row: bytes) -> None:
    reports.shape(report_id, name, row + b"\n", POSITIONS[:1])


def test_a_report_remembers_its_columns_from_batch_to_batch_and_from_sync_to_sync() -> None:
    reports = ReportTables(CONSTANTS)
    shape(reports, "r1", "Sales", b'{"a":"x","parts":[{"n":"x"}]}')
    shape(reports, "r1", "Sales", b'{"b":1}')
    after = ReportTables(CONSTANTS, reports.names, reports.learned)
    shape(after, "r1", "Sales", b'{"a":1,"parts":[{"n":1}]}')
    assert kinds(after, "report__sales") == {"a": "json", "b": "bigint"}
    assert kinds(after, "report__sales__parts") == {"n": "json", "position": "bigint"}


def test_lists_inside_the_rows_of_two_reports_have_two_tables_after_a_restart() -> None:
    before = ReportTables(CONSTANTS)
    shape(before, "r1", "Sales", b'{"a":1}')
    shape(before, "r2", "Costs", b'{"parts":[{"n":1}]}')
    after = ReportTables(CONSTANTS, before.names, before.learned)
    assert tables_of(after, "r1", "Sales") == ["report__sales", "report__sales__parts"]
    assert tables_of(after, "r2", "Costs") == ["report__costs", "report__costs__parts"]


def test_the_table_of_a_report_is_bounded_like_any_other() -> None:
    reports = ReportTables(CONSTANTS, bounds=Bounds(columns=2))
    shape(reports, "r1", "Sales", b'{"a":1,"b":2,"c":3}')
    assert kinds(reports, "report__sales") == {"a": "bigint", "b": "bigint", "value": "json"}
