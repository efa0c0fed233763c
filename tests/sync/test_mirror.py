"""The main job, whole: a workspace served over HTTP, mirrored into DuckDB, compared row by row."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from oa_sync.emulator.data import SAMPLE, load_workspace
from oa_sync.settings import Settings
from tests.support.emulator import emulator
from tests.support.syncing import query, rows_of, run_sync, settings_for

WORKSPACE = Path(__file__).parents[2].parent / "shared" / "workspace"
DATA = WORKSPACE if WORKSPACE.is_dir() else SAMPLE

SHAPES: dict[str, dict[str, Any]] = {
    "as documented": {},
    "seven rows a page": {"max_per_page": 7},
    "no updated_at": {"no_updated_at": True},
    "details inside data": {"wrap_detail": True},
    "lists that say little": {"lean_lists": True},
    "lists that say everything": {"full_lists": True},
}


def records(name: str) -> dict[str, dict[str, Any]]:
    lines = (DATA / f"{name}.ndjson").read_text(encoding="utf-8").splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


def assert_rows_equal(
    settings: Settings, *, ignoring: frozenset[str] = frozenset(), lean: bool = False
) -> None:
    """Every id, scalar field, column, panel and report row of the NDJSON files is in the tables.

    With `lean` lists, dashboards (which have no detail) are only ids and names.
    """
    for name in ("datasets", "reports", "dashboards"):
        expected = records(name)
        loaded = {row["id"]: row for row in rows_of(settings, name)}
        assert loaded.keys() == expected.keys()
        for key, record in expected.items():
            if not (lean and name == "dashboards"):
                assert_fields_equal(loaded[key], record, ignoring)
    assert_children_equal(settings, "datasets", "columns", "dataset_columns", "dataset_id")
    if not lean:
        assert_children_equal(settings, "dashboards", "panels", "dashboard_panels", "dashboard_id")
    assert_report_rows_equal(settings)


def assert_fields_equal(
    row: dict[str, Any], record: dict[str, Any], ignoring: frozenset[str]
) -> None:
    for field, value in record.items():
        if field in ignoring or isinstance(value, list):
            continue
        if field.endswith("_at"):
            assert row[field].isoformat().startswith(value.rstrip("Z")[:19]), (row["id"], field)
        elif not isinstance(value, dict):
            assert row.get(field) == value, (row["id"], field)
        elif row.get(field) is not None:
            assert json.loads(row[field]) == value
        else:
            flattened = {k: v for k, v in row.items() if k.startswith(f"{field}__")}
            assert len([v for v in value.values() if v is not None]) == len(
                [v for v in flattened.values() if v is not None]
            ), (row["id"], field)


def assert_record_equal(row: dict[str, Any], record: dict[str, Any], lists: set[str]) -> None:
    """Every field but `lists` stands in a column of its name, as itself or as JSON."""
    for field, value in record.items():
        if field in lists:
            continue
        held = row.get(field)
        if isinstance(held, datetime):
            assert held == datetime.fromisoformat(value), field
        elif held is None and isinstance(value, dict):
            flattened = {key: row[f"{field}__{key}"] for key in value}
            assert flattened == value, field
        elif held != value:
            assert json.loads(held) == value, field


def assert_children_equal(
    settings: Settings, resource: str, field: str, table: str, parent: str
) -> None:
    expected = {
        (key, position, item.get("name") or item.get("id"))
        for key, record in records(resource).items()
        for position, item in enumerate(record[field])
    }
    name = "name" if table == "dataset_columns" else "id"
    found = query(settings, f"SELECT {parent}, position, {name} FROM {table}")
    assert set(found) == expected
    assert len(found) == len(expected)


def assert_report_rows_equal(settings: Settings) -> None:
    expected = {
        (key, position): item
        for key, record in records("reports").items()
        for position, item in enumerate(record["data"])
    }
    found = query(settings, "SELECT report_id, position, row FROM report_rows")
    assert len(found) == len(expected)
    for report_id, position, text in found:
        assert json.loads(text) == expected[report_id, position]


@pytest.mark.parametrize("dialect", ["page", "cursor"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_sync_mirrors_the_workspace_and_a_second_one_finds_nothing_to_do(
    dialect: str, shape: dict[str, Any], tmp_path: Path
) -> None:
    ignoring = frozenset({"updated_at"}) if shape.get("no_updated_at") else frozenset[str]()
    with emulator(load_workspace(DATA), dialect=dialect, **shape) as server:
        settings = settings_for(server.base_url, tmp_path, dialect="auto")
        first = run_sync(settings)
        assert first.status == "complete"
        assert first.dialect == dialect
        assert first.requests.made == server.state.counters.total
        assert_rows_equal(settings, ignoring=ignoring, lean="lean_lists" in shape)
        before = {table: len(rows_of(settings, table)) for table in first.rows}

        server.state.counters.reset()
        second = run_sync(settings)
        assert second.status == "complete"
        assert second.rows == {"syncs": 1}
        assert all(tally.details_fetched == 0 for tally in second.tallies.values())
        assert not server.state.counters.details
        assert second.requests.made == server.state.counters.total
        after = {table: len(rows_of(settings, table)) for table in first.rows}
        assert after == {**before, "syncs": 2}


def test_agent_runs_come_from_the_list_of_the_cursor_dialect_with_every_step(
    tmp_path: Path,
) -> None:
    with emulator(load_workspace(DATA), dialect="cursor") as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings, "agent_runs")
    runs = records("agent_runs")
    found = rows_of(settings, "agent_runs")
    assert {row["id"]: row["status"] for row in found} == {
        key: record["status"] for key, record in runs.items()
    }
    steps = {(row["run_id"], row["position"]): row for row in rows_of(settings, "agent_run_steps")}
    key_of_call = ("run_id", "step_position", "position")
    calls = {
        tuple(row[name] for name in key_of_call): row
        for row in rows_of(settings, "agent_run_tool_calls")
    }
    for key, record in runs.items():
        for position, step in enumerate(record["steps"]):
            assert_record_equal(steps[key, position], step, {"tool_calls"})
            for number, call in enumerate(step.get("tool_calls") or ()):
                assert_record_equal(calls.pop((key, position, number)), call, set())
    assert not calls
    assert len(steps) == sum(len(record["steps"]) for record in runs.values())


def test_a_missing_optional_list_is_asked_for_once_and_remembered(tmp_path: Path) -> None:
    with emulator(dialect="page") as server:
        settings = settings_for(server.base_url, tmp_path)
        first = run_sync(settings)
        second = run_sync(settings)
    assert first.tallies["agent_runs"].missing
    assert second.tallies["agent_runs"].missing
    assert second.requests.made == 3


def test_only_new_and_changed_rows_cost_a_detail(tmp_path: Path) -> None:
    with emulator(dialect="page") as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings)
        edited, dropped = server.state.ids("reports")[:2]
        server.state.update("reports", edited, {"name": "Edited", "data": [{"a": 1}]})
        server.state.delete("reports", dropped)
        added = server.state.insert("reports", {"name": "Added", "data": [{"a": 1}, {"a": 2}]})
        server.state.counters.reset()
        report = run_sync(settings)
        tally = report.tallies["reports"]
        assert (tally.new, tally.changed, tally.deleted, tally.details_fetched) == (1, 1, 1, 2)
        assert set(server.state.counters.details) == {edited, added}
        living = "SELECT id FROM reports WHERE _oa_deleted_at IS NULL"
        assert {key for (key,) in query(settings, living)} == set(server.state.ids("reports"))
        rows = "SELECT row FROM report_rows WHERE report_id = ? ORDER BY position"
        assert [json.loads(row) for (row,) in query(settings, rows, edited)] == [{"a": 1}]
        assert len(query(settings, rows, added)) == 2


def test_a_row_that_left_keeps_its_place_and_is_alive_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    with emulator(dialect="page") as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings)
        key = server.state.ids("datasets")[0]
        fields = dict(server.state.get("datasets", key))
        server.state.delete("datasets", key)
        run_sync(settings)
        state = "SELECT _oa_deleted_at, name FROM datasets WHERE id = ?"
        [(deleted_at, name)] = query(settings, state, key)
        assert deleted_at is not None
        assert name == fields["name"]
        server.state.insert("datasets", fields)
        report = run_sync(settings)
        assert report.tallies["datasets"].new == 1
        assert query(settings, state, key) == [(None, fields["name"])]


def test_a_list_that_became_shorter_leaves_nothing_behind(tmp_path: Path) -> None:
    with emulator(dialect="page") as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings)
        report_id, dataset_id = server.state.ids("reports")[0], server.state.ids("datasets")[0]
        server.state.update("reports", report_id, {"data": []})
        server.state.update("datasets", dataset_id, {"columns": [], "licenses": []})
        run_sync(settings)
    for table, column, key in (
        ("report_rows", "report_id", report_id),
        ("dataset_columns", "dataset_id", dataset_id),
        ("datasets__licenses", "dataset_id", dataset_id),
    ):
        assert not query(settings, f"SELECT 1 FROM {table} WHERE {column} = ?", key)


def test_a_lost_home_costs_no_detail(tmp_path: Path) -> None:
    with emulator(dialect="page") as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings)
        server.state.counters.reset()
        report = run_sync(settings_for(server.base_url, tmp_path, home=tmp_path / "elsewhere"))
    assert all(tally.details_fetched == 0 for tally in report.tallies.values())
    assert not server.state.counters.details


def test_changed_list_fields_are_loaded_without_a_detail_and_keep_what_the_detail_brought(
    tmp_path: Path,
) -> None:
    with emulator(dialect="page", lean_lists=True) as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings)
        [key, *_] = server.state.ids("reports")
        stamp = server.state.get("reports", key)["updated_at"]
        detail = "SELECT description, row_count FROM reports WHERE id = ?"
        before = query(settings, detail, key)
        server.state.update("reports", key, {"name": "Renamed in passing", "updated_at": stamp})
        server.state.counters.reset()
        report = run_sync(settings)
        assert report.tallies["reports"].changed == 1
        assert not server.state.counters.details
        assert query(settings, "SELECT name FROM reports WHERE id = ?", key) == [
            ("Renamed in passing",)
        ]
        assert query(settings, detail, key) == before
