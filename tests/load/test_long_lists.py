"""Reports larger than a batch, whose columns change type on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from oa_sync.tables import long_lists
from tests.support.emulator import emulator, workspace_of
from tests.support.syncing import query, run_sync, settings_for

ROWS = [{"v": f"text {n}", "n": n} for n in range(300)] + [
    {"v": n, "n": n} for n in range(300, 600)
]


@pytest.mark.parametrize("mode", ["json", "typed", "tables"])
def test_no_row_is_lost_when_text_becomes_json_in_the_middle_of_a_report(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_lists, "BATCH_BYTES", 1000)
    reports = [
        {"id": "r1", "name": "Mixed", "data": ROWS},
        {"id": "r2", "name": "Plain", "data": ROWS[:100]},
    ]
    with emulator(workspace_of(reports=reports)) as server:
        settings = settings_for(server.base_url, tmp_path, report_rows=mode)
        run_sync(settings, "reports")
        tables = ["report_rows"] if mode != "tables" else ["report__mixed", "report__plain"]
        counts = {
            key: count
            for table in tables
            for key, count in query(
                settings, f"SELECT report_id, count(DISTINCT position) FROM {table} GROUP BY 1"
            )
        }
        assert counts == {"r1": 600, "r2": 100}
        if mode == "typed":
            ends = "SELECT v FROM report_rows WHERE n IN (0, 599) ORDER BY n"
            assert query(settings, ends) == [('"text 0"',), ('"text 0"',), ("599",)]


def test_a_column_that_widens_in_a_later_sync_keeps_every_value(tmp_path: Path) -> None:
    with emulator(workspace_of(reports=[{"id": "r1", "name": "A", "data": [{"v": 1}]}])) as server:
        settings = settings_for(server.base_url, tmp_path, report_rows="typed")
        run_sync(settings, "reports")
        server.state.insert("reports", {"name": "B", "data": [{"v": 1.5}]})
        run_sync(settings, "reports")
        assert query(settings, "SELECT v FROM report_rows ORDER BY v") == [(1.0,), (1.5,)]
        server.state.insert("reports", {"name": "C", "data": [{"v": "text"}]})
        report = run_sync(settings, "reports")
        assert {"table": "report_rows", "column": "v", "before": "double", "after": "json"} in (
            report.drift
        )
        values = query(settings, "SELECT CAST(v AS VARCHAR) FROM report_rows ORDER BY 1")
        assert values == [('"text"',), ("1.0",), ("1.5",)]


@pytest.mark.parametrize("batch_bytes", [40, 1_000_000], ids=["in pieces", "whole"])
@pytest.mark.parametrize("mode", ["typed", "tables"])
def test_lists_inside_rows_that_are_emptied_leave_nothing_behind(
    mode: str, batch_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_lists, "BATCH_BYTES", batch_bytes)
    full = [{"n": n, "a": [{"b": n}], "c": [{"d": n}]} for n in range(3)]
    reports = [{"id": f"r{n}", "name": "Same", "data": full} for n in range(3)]
    tables = ["report_rows"] * 3
    if mode == "tables":
        tables = ["report__same", "report__same_r1", "report__same_r2"]

    with emulator(workspace_of(reports=reports)) as server:
        settings = settings_for(server.base_url, tmp_path, report_rows=mode)
        run_sync(settings, "reports")

        def counts(report: str, table: str) -> list[int]:
            sql = f"SELECT count(*) FROM {{}} WHERE report_id = '{report}'"
            return [
                query(settings, sql.format(f"{table}{end}"))[0][0] for end in ("", "__a", "__c")
            ]

        names = dict(zip(("r0", "r1", "r2"), tables, strict=True))
        if mode == "tables":
            names = {
                key: name
                for name in {t for (t,) in query(settings, TABLES)}
                for (key,) in query(settings, f"SELECT DISTINCT report_id FROM {name}")
            }
        assert [counts(*one) for one in sorted(names.items())] == [[3, 3, 3]] * 3
        server.state.update("reports", "r0", {"data": [{**row, "a": []} for row in full]})
        server.state.update("reports", "r2", {"data": [{**row, "c": []} for row in full[:1]]})
        assert run_sync(settings, "reports").exit_code == 0
        now = [counts(*one) for one in sorted(names.items())]
        assert now == [[3, 0, 3], [3, 3, 3], [1, 1, 0]]


TABLES = (
    "SELECT table_name FROM information_schema.tables"
    " WHERE starts_with(table_name, 'report__') AND NOT contains(substr(table_name, 9), '__')"
)
