"""`schema_contract`: who wants a change of shape to fail, or to be left out, gets just that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.sync import sync
from oa_sync.emulator.server import RunningEmulator
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from tests.faults.mirror import assert_mirrors, backlog
from tests.faults.test_drift import LATER, dataset
from tests.support.emulator import emulator, workspace_of
from tests.support.syncing import query, rows_of, run_sync, settings_for

DEFINITION = """
name: contracts
client:
  auth: {{type: bearer}}
  paginator: {{type: page_number, base_page: 1, page_param: page, total_path: meta.total_pages}}
resource_defaults: {{primary_key: id, endpoint: {{data_selector: data}}}}
resources:
  - name: datasets
    endpoint: {{path: datasets, incremental: {{cursor_path: updated_at}}}}
    detail: {{path: "datasets/{{id}}"}}
    children: {{columns: {{table: dataset_columns, parent_key: dataset_id}}}}
    schema_contract: {contract}
  - name: dashboards
    endpoint: {{path: dashboards}}
    children: {{panels: {{table: dashboard_panels, parent_key: dashboard_id}}}}
"""


@contextmanager
def under(contract: str, folder: Path, **fields: Any) -> Iterator[tuple[RunningEmulator, Settings]]:
    """Two datasets with `fields`, loaded; from then on under the contract."""
    source = folder / "contracts.yaml"
    source.write_text(DEFINITION.format(contract=contract))
    rows = [dataset("one", **fields), dataset("two", **fields)]
    boards = [{"id": "b", "name": "board", "panels": [{"id": "p", "title": "t"}]}]
    with emulator(workspace_of(datasets=rows, dashboards=boards), dialect="page") as server:
        settings = settings_for(server.base_url, folder, source=str(source))
        run_sync(settings)
        yield server, settings


def change(server: RunningEmulator, key: str = "one", **fields: Any) -> None:
    server.state.update("datasets", key, {**fields, **LATER})


def row(settings: Settings, key: str) -> dict[str, Any]:
    [found] = [row for row in rows_of(settings, "datasets") if row["id"] == key]
    return found


FROZEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "columns": ("{columns: freeze}", {"y": 5}, "column datasets.y is new (bigint)"),
    "data_type": ("{data_type: freeze}", {"x": "text"}, "from bigint to json"),
    "tables": ("{tables: freeze}", {"y": [{"a": 1}]}, "table datasets__y is new"),
    "everything": ("freeze", {"x": 1.5}, "from bigint to double"),
}


@pytest.mark.parametrize(("contract", "fields", "said"), FROZEN.values(), ids=FROZEN.keys())
def test_what_is_frozen_fails_the_resource_alone_until_it_is_relaxed(
    contract: str, fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with under(contract, tmp_path, x=5) as (server, settings):
        before = row(settings, "one")
        change(server, name="changed", **fields)
        server.state.update("dashboards", "b", {"name": "changed too", **LATER})
        for _ in range(2):  # the second night is as the first
            report = sync(settings)
            assert (report.exit_code, report.error and report.error.code) == (1, "schema_contract")
            assert said in str(report.error)
            assert "schema_contract." in str(report.error)
            assert report.tallies["datasets"].backlog == 1
            assert row(settings, "one") == before
            assert query(settings, "SELECT name FROM dashboards") == [("changed too",)]
            statuses = "SELECT error_code FROM syncs ORDER BY started_at DESC LIMIT 1"
            assert query(settings, statuses) == [("schema_contract",)]
            assert not list(settings.journal.rglob("*.oaj"))

        (tmp_path / "contracts.yaml").write_text(DEFINITION.format(contract="evolve"))
        run_sync(settings)
        assert row(settings, "one")["name"] == "changed"
        assert backlog(settings, "datasets") == 0
        assert_mirrors(settings, server.state, "dashboards")


def discarded(report: SyncReport) -> list[tuple[str, str]]:
    return [(d["column"], d["contract"]) for d in report.drift if "contract" in d]


def test_a_discarded_new_column_leaves_the_rest_of_the_row(tmp_path: Path) -> None:
    with under("{columns: discard_value}", tmp_path, x=5) as (server, settings):
        change(server, x=6, y=7)
        report = run_sync(settings)
        assert discarded(report) == [("y", "discard_value")]
        assert row(settings, "one")["x"] == 6
        assert "y" not in row(settings, "one")
        assert run_sync(settings).rows == {"syncs": 1}


@pytest.mark.parametrize(
    ("before", "after", "other"), [(5, "text", 6), (5, 1.5, 6), ("abc", 5, "5"), (True, 0, False)]
)
def test_a_discarded_value_of_another_type_is_null_and_fitting_ones_are_kept(
    before: Any, after: Any, other: Any, tmp_path: Path
) -> None:
    with under("{data_type: discard_value}", tmp_path, x=before) as (server, settings):
        change(server, "one", x=after, name="changed")
        change(server, "two", x=other)
        report = run_sync(settings)
        assert discarded(report) == [("x", "discard_value")]
        assert (row(settings, "one")["x"], row(settings, "one")["name"]) == (None, "changed")
        assert row(settings, "two")["x"] == other
        server.state.delete("datasets", "two")
        run_sync(settings)
        assert row(settings, "two")["x"] == other


def test_a_discarded_table_is_not_made(tmp_path: Path) -> None:
    with under("{tables: discard_value}", tmp_path) as (server, settings):
        change(server, y=[{"a": 1}], name="changed")
        run_sync(settings)
        assert row(settings, "one")["name"] == "changed"
        tables = "SELECT table_name FROM information_schema.tables"
        assert ("datasets__y",) not in query(settings, tables)


@pytest.mark.parametrize("fields", [{"y": 7}, {"x": "text"}])
def test_a_discarded_row_stays_as_it_was_with_its_children(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    contract = "{columns: discard_row, data_type: discard_row}"
    columns = [{"name": "c", "type": "integer"}]
    with under(contract, tmp_path, x=5, columns=columns) as (server, settings):
        before = row(settings, "one")
        change(server, "one", name="changed", columns=[], **fields)
        change(server, "two", x=6, columns=[])
        run_sync(settings)
        assert row(settings, "one") == before
        assert row(settings, "two")["x"] == 6
        assert query(settings, "SELECT dataset_id FROM dataset_columns") == [("one",)]


def test_a_first_sync_is_free(tmp_path: Path) -> None:
    with under("freeze", tmp_path, x=5, y=[{"a": 1}]) as (_, settings):
        assert row(settings, "one")["x"] == 5
        assert len(query(settings, "SELECT a FROM datasets__y")) == 2


def test_the_first_rows_of_a_declared_list_are_no_change(tmp_path: Path) -> None:
    with under("freeze", tmp_path) as (server, settings):
        change(server, columns=[{"name": "c", "type": "integer"}])
        run_sync(settings)
        assert query(settings, "SELECT dataset_id, name FROM dataset_columns") == [("one", "c")]
