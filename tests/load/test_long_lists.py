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
