"""Changes of shape between syncs: loaded, told, never a failed night, whatever the moment of a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from oa_sync.emulator.server import RunningEmulator
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from tests.faults.processes import Point, sync_until
from tests.support.emulator import emulator, workspace_of
from tests.support.syncing import query, rows_of, run_sync, settings_for

LATER = {"updated_at": "2026-01-02T00:00:00Z"}
WIDENED = Point("oa_sync.load.dlt.warehouse:Warehouse.widen", "after")


def dataset(key: str, **fields: Any) -> dict[str, Any]:
    times = dict.fromkeys(("created_at", "updated_at"), "2026-01-01T00:00:00Z")
    return {"id": key, "name": key, "type": "csv", "columns": [], **times, **fields}


@contextmanager
def datasets(folder: Path, **fields: Any) -> Iterator[tuple[RunningEmulator, Settings]]:
    """Two datasets with `fields`, served and loaded."""
    rows = [dataset("one", **fields), dataset("two", **fields)]
    with emulator(workspace_of(datasets=rows), dialect="page") as server:
        settings = settings_for(server.base_url, folder)
        run_sync(settings, "datasets")
        yield server, settings


def told(report: SyncReport) -> list[tuple[str, str, str | None, str | None]]:
    return [(d["table"], d["column"], d["before"], d["after"]) for d in report.drift]


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"k": value}
    return value


DRIFTS: dict[str, tuple[Any, Any, tuple[str, str | None, str | None], Any]] = {
    "a new field": (..., 5, ("x", None, "bigint"), 5),
    "null then a value": (None, 5, ("x", None, "bigint"), 5),
    "int to float": (5, 1.5, ("x", "bigint", "double"), 1.5),
    "int to text": (5, "abc", ("x", "bigint", "json"), '"abc"'),
    "text to number": ("abc", 5, ("x", "text", "json"), "5"),
    "bool to number": (True, 5, ("x", "bool", "json"), "5"),
    "beyond 64 bits": (5, 2**63, ("x", "bigint", "json"), str(2**63)),
    "far beyond 64 bits": (5, 2**70, ("x", "bigint", "json"), str(2**70)),
    "a very long text": (..., "y" * 2_000_000, ("x", None, "text"), "y" * 2_000_000),
    "object to list": ({"a": 1}, [{"a": 2}], ("x", None, "json"), '[{"a":2}]'),
    "object to text": ({"a": 1}, "s", ("x", None, "json"), '"s"'),
    "list to text": ([{"a": 1}], "s", ("x", None, "json"), '"s"'),
    "list to object": ([{"a": 1}], {"a": 7}, ("x", None, "json"), '{"a":7}'),
    "forty levels deep": (5, nested(40), ("x", "bigint", "json"), json.dumps(nested(40))),
    "a field gone": (5, ..., ("x", "bigint", None), None),
}


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS.keys())
def test_a_change_of_shape_is_loaded_and_told(
    drift: tuple[Any, Any, tuple[str, str | None, str | None], Any], tmp_path: Path
) -> None:
    before, after, change, loaded = drift
    with datasets(tmp_path, **({} if before is ... else {"x": before})) as (server, settings):
        server.state.update("datasets", "one", {"x": after, **LATER})
        report = run_sync(settings, "datasets")
        assert ("datasets", *change) in told(report)
        [(value, name)] = query(settings, "SELECT x, name FROM datasets WHERE id = 'one'")
        assert str(value).replace(" ", "") == str(loaded).replace(" ", "")
        assert name == "one"
        [(summary,)] = query(
            settings, "SELECT summary FROM syncs ORDER BY finished_at DESC LIMIT 1"
        )
        assert json.loads(summary)["schema_changes"] == report.drift
        assert query(settings, "SELECT count(*) FROM datasets") == [(2,)]

        quiet = run_sync(settings, "datasets")
        assert (quiet.drift, quiet.rows) == ([], {"syncs": 1})


def test_what_the_other_rows_held_survives_a_change_of_type(tmp_path: Path) -> None:
    with datasets(tmp_path, x=5, y="abc", z={"a": 1}, w=[{"a": 1}]) as (server, settings):
        server.state.update("datasets", "one", {"x": 1.5, "y": 7, "z": "s", "w": {}, **LATER})
        run_sync(settings, "datasets")
        [row] = [row for row in rows_of(settings, "datasets") if row["id"] == "two"]
        assert (row["x"], row["y"], row["z__a"]) == (5.0, '"abc"', 1)
        assert query(settings, "SELECT dataset_id, a FROM datasets__w") == [("two", 1)]


def test_names_that_collide_or_are_ours_overwrite_nothing(tmp_path: Path) -> None:
    odd = {
        "fooBar": 1,
        "foo_bar": 2,
        "FOO-BAR": 3,
        "x__y": 4,
        "x": {"y": 5},
        "_dlt_id": 6,
        "_oa_deleted_at": 7,
        "_oa_workspace": 8,
        "": 9,
        'q"uo;te': 10,
        "n" * 300: 11,
    }
    with datasets(tmp_path) as (server, settings):
        server.state.update("datasets", "one", {**odd, **LATER})
        run_sync(settings, "datasets")
        rows = {row["id"]: row for row in rows_of(settings, "datasets")}
        assert rows["one"]["_oa_workspace"] == "default"
        assert rows["one"]["_oa_deleted_at"] is None
        ours = ("id", "name", "type", "created_at", "updated_at")
        values = [v for k, v in rows["one"].items() if k not in ours and not k.startswith("_")]
        assert sorted(v for v in values if v is not None) == list(range(1, 12))


@pytest.mark.parametrize(
    ("before", "after"), [(5, 1.5), (5, "abc"), ("abc", 5), (True, "abc"), (1.5, "abc")]
)
def test_a_kill_after_a_column_was_widened_blocks_nothing(
    before: Any, after: Any, tmp_path: Path
) -> None:
    with datasets(tmp_path, x=before) as (server, settings):
        server.state.update("datasets", "one", {"x": after, **LATER})
        sync_until(WIDENED, settings)
        run_sync(settings, "datasets")
        kept = dict(query(settings, "SELECT id, x FROM datasets"))
        told_as_json = isinstance(kept["one"], str)
        assert kept["one"] == (json.dumps(after) if told_as_json else after)
        assert kept["two"] == (json.dumps(before) if told_as_json else before)


def test_a_kill_after_a_column_of_times_was_widened_blocks_nothing(tmp_path: Path) -> None:
    with datasets(tmp_path) as (server, settings):
        server.state.update("datasets", "one", {"created_at": "long ago", **LATER})
        sync_until(WIDENED, settings)
        run_sync(settings, "datasets")
        times = dict(query(settings, "SELECT id, created_at FROM datasets"))
        assert "long ago" in str(times["one"])
        assert "2026-01-01T00:00:00" in str(times["two"])
