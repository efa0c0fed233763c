"""Whether the destination equals the source: every living id once, every field, every child row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from oa_sync.emulator.state import EmulatorState
from oa_sync.settings import Settings
from tests.support.syncing import query, rows_of

CHILDREN = {
    "datasets": (("columns", "dataset_columns", "dataset_id"),),
    "dashboards": (("panels", "dashboard_panels", "dashboard_id"),),
    "reports": (("data", "report_rows", "report_id"),),
    "agent_runs": (("steps", "agent_run_steps", "run_id"),),
}
"""Of each resource: (field with a list, its table, the column with the parent's id)."""


def assert_mirrors(settings: Settings, state: EmulatorState, *resources: str) -> None:
    """The DuckDB tables of `settings` are what `state` holds now; nothing missing, old or double."""
    for resource in resources or ("datasets", "reports", "dashboards"):
        expected = {record["id"]: record for record in state.rows(resource)}
        rows = rows_of(settings, resource)
        assert len({row["id"] for row in rows}) == len(rows), f"{resource}: a key stands twice"
        living = {row["id"]: row for row in rows if row["_oa_deleted_at"] is None}
        assert living.keys() == expected.keys(), _difference(resource, living, expected)
        for key, record in expected.items():
            assert_fields(f"{resource} {key}", living[key], record)
        for field, table, parent in CHILDREN[resource]:
            _assert_children(settings, expected, field, table, parent)


def assert_fields(what: str, row: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Every scalar of `record` stands in `row`, in the column of its name."""
    for name, value in record.items():
        if isinstance(value, dict | list):
            continue
        loaded = row.get(name)
        if isinstance(loaded, datetime) and isinstance(value, str):
            loaded = loaded.timestamp()
            value = datetime.fromisoformat(value).timestamp()
        assert loaded == value, f"{what}: {name} is {loaded!r}, not {value!r}"


def _assert_children(
    settings: Settings, records: Mapping[str, Mapping[str, Any]], field: str, table: str, key: str
) -> None:
    expected = {
        (parent, position): item
        for parent, record in records.items()
        for position, item in enumerate(record.get(field) or ())
    }
    if not expected:
        return
    rows = [row for row in rows_of(settings, table) if row[key] in records]
    found = {(row[key], row["position"]): row for row in rows}
    assert len(found) == len(rows), f"{table}: a key stands twice"
    assert found.keys() == expected.keys(), _difference(table, found, expected)
    for place, item in expected.items():
        if table == "report_rows":
            assert json.loads(found[place]["row"]) == item, (table, place)
        else:
            assert_fields(f"{table} {place}", found[place], item)


def _difference(what: str, found: Iterable[Any], expected: Iterable[Any]) -> str:
    have, want = set(found), set(expected)
    return f"{what}: missing {sorted(want - have)[:5]}, too many {sorted(have - want)[:5]}"


def backlog(settings: Settings, resource: str) -> int:
    """Living rows whose newest detail is not loaded."""
    [(count,)] = query(
        settings,
        f'SELECT count(*) FROM "{resource}" WHERE _oa_deleted_at IS NULL'
        " AND _oa_detail_version IS DISTINCT FROM _oa_version",
    )
    return int(count)
