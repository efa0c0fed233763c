"""Rows of lists that a load left behind when it was cut short before their own row, and the journal was lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.emulator import emulator, workspace_of
from tests.support.syncing import query, run_sync, settings_for

DATA = [{"n": n, "a": [{"b": n}]} for n in range(3)]
COLUMNS = [{"name": "c", "type": "text"}, {"name": "d", "type": "text"}]


def _only_children_were_loaded(settings: Any, table: str, key: str) -> None:
    with duckdb.connect(str(settings.database)) as connection:
        connection.execute(f"DELETE FROM {settings.dataset_name}.{table} WHERE id = '{key}'")
    shutil.rmtree(settings.home)


@pytest.mark.parametrize("mode", ["json", "typed", "tables"])
@pytest.mark.parametrize("left", [0, 1], ids=["emptied", "shorter"])
def test_rows_of_a_report_that_comes_again_are_those_it_has_now(
    left: int, mode: str, tmp_path: Path
) -> None:
    reports = [{"id": key, "name": key, "data": DATA} for key in ("r1", "r2")]
    with emulator(workspace_of(reports=reports)) as server:
        settings = settings_for(server.base_url, tmp_path, report_rows=mode)
        run_sync(settings, "reports")
        _only_children_were_loaded(settings, "reports", "r1")
        server.state.update("reports", "r1", {"data": [{"n": 0, "a": []}] * left})
        assert run_sync(settings, "reports").exit_code == 0

        def count(key: str, end: str = "") -> int:
            table = f"report__{key}" if mode == "tables" else "report_rows"
            sql = f"SELECT count(*) FROM {table}{end} WHERE report_id = '{key}'"
            return int(query(settings, sql)[0][0])

        assert (count("r1"), count("r2")) == (left, 3)
        if mode != "json":
            assert (count("r1", "__a"), count("r2", "__a")) == (0, 3)


def test_a_child_list_that_is_empty_when_its_row_comes_again_leaves_none(tmp_path: Path) -> None:
    datasets = [{"id": key, "name": key, "columns": COLUMNS} for key in ("d1", "d2")]
    with emulator(workspace_of(datasets=datasets)) as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings, "datasets")
        _only_children_were_loaded(settings, "datasets", "d1")
        server.state.update("datasets", "d1", {"columns": []})
        assert run_sync(settings, "datasets").exit_code == 0
        counts = query(settings, "SELECT dataset_id, count(*) FROM dataset_columns GROUP BY 1")
        assert counts == [("d2", 2)]
