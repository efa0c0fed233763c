"""On every destination: a declared table is there before its first row, and does not change what that row makes of it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import duckdb
import psycopg
import pytest

from oa_sync.emulator.data import Workspace
from oa_sync.settings import ReportRowsForm, Settings
from oa_sync.workspace.report import SyncReport
from tests.destinations.places import (
    S3,
    DuckDB,
    Place,
    Places,
    PostgreSQL,
    Servers,
    SQLite,
    canonical,
    in_environment,
)
from tests.support.emulator import emulator
from tests.support.json_api import Server, json_api
from tests.support.syncing import run_sync

TABLES = ("things", "thing_parts")
ROWS = [
    {
        "id": f"{n}",
        "made": "2026-01-02T03:04:05Z",
        "size": n,
        "more": {"a": n},
        "free": n / 2,
        "parts": [{"born": "2026-01-02", "name": f"p{n}"}],
    }
    for n in range(3)
]
RECORDS: dict[str, list[dict[str, Any]]] = {
    "reports": [{"id": "r1", "name": "One", "data": [{"a": 1}, {"a": 2}]}],
    "datasets": [{"id": "d1", "name": "One", "columns": [{"name": "c", "type": "text"}]}],
}
DECLARED = {"made": "timestamp", "size": "bigint", "more": "json", "parts.born": "date"}
PAST = frozenset({"_oa_synced_at", "_oa_deleted_at", "_dlt_load_id", "_dlt_id"})


class Night:
    """Syncs of one list into one place."""

    def __init__(self, server: Server, place: Place, types: dict[str, str]) -> None:
        self.place, self._server = place, server
        file = place.folder / "any.yaml"
        things: dict[str, Any] = {"name": "things", "primary_key": "id"}
        things["endpoint"] = {"path": "things", "paginator": {"type": "single_page"}}
        things["columns"] = {path: {"data_type": kind} for path, kind in types.items()}
        things["children"] = {"parts": {"table": "thing_parts", "parent_key": "thing_id"}}
        file.write_text(json.dumps({"name": "any", "resources": [things]}))
        self._settings = place.settings(server.base_url, source=str(file), api_key=None)

    def sync(self) -> SyncReport:
        self._server.asked.clear()
        with in_environment(self.place.environment):
            report = run_sync(self._settings)
        assert report.status == "complete", report.error
        assert len(self._server.asked) == 1
        return report

    def columns(self) -> dict[str, dict[str, str]]:
        with in_environment(self.place.environment):
            return {table: self.place.columns(table) for table in TABLES}

    def rows(self) -> dict[str, list[str]]:
        with in_environment(self.place.environment):
            return {table: canonical(self.place.read(table), PAST) for table in TABLES}


@pytest.fixture
def other(place: Place, request: pytest.FixtureRequest, tmp_path: Any, servers: Servers) -> Place:
    """Another place of the kind of `place`."""
    name = request.node.callspec.params["place"]
    return Places(tmp_path / "other", servers).open(name)


def identity(place: Place, table: str) -> Any:
    """What is another after any change of the definition of `table`."""
    match place:
        case DuckDB():
            with duckdb.connect(str(place.folder / "oa_sync.duckdb"), read_only=True) as connection:
                query = "SELECT table_oid FROM duckdb_tables() WHERE table_name = ?"
                return connection.execute(query, [table]).fetchall()
        case PostgreSQL():
            with psycopg.connect(
                place.environment["DESTINATION__POSTGRES__CREDENTIALS"]
            ) as connection:
                query = "SELECT oid, xmin::text FROM pg_class WHERE relname = %s"
                return connection.execute(query, [table]).fetchall()
        case SQLite():
            with closing(sqlite3.connect(place.folder / "main__openanalyst.sqlite")) as connection:
                query = "SELECT rowid, rootpage FROM sqlite_schema WHERE name = ?"
                return connection.execute(query, [table]).fetchall()
        case S3():
            return place.columns(table)
    found = (place.folder / "lake" / "openanalyst").rglob("*")
    return sorted((str(f), f.stat().st_mtime_ns) for f in found if table in f.parts and f.is_file())


def types_of(columns: dict[str, str]) -> dict[str, str]:
    """Without what may be null: that is so of every column as long as there is no row."""
    return {name: kind.rpartition(" ")[0] for name, kind in columns.items()}


@pytest.mark.parametrize("key", [{"id": "text"}, {}], ids=["typed key", "key without type"])
def test_an_empty_table_has_what_is_declared_and_then_all_that_it_ever_had(
    place: Place, other: Place, key: dict[str, str]
) -> None:
    found: list[Any] = []
    with json_api({"/things": lambda _: found}) as server:
        night, never_empty = (Night(server, where, {**DECLARED, **key}) for where in (place, other))
        night.sync()
        empty = night.columns()
        known = {"_oa_workspace"}
        system = {
            "_oa_deleted_at",
            "_oa_synced_at",
            "_oa_version",
            "_oa_row_hash",
            "_oa_detail_version",
        }
        if place.destination == "sqlalchemy" and not key:
            known.add("_oa_key")  # there, a column of whole numbers cannot become one of texts
        assert empty["things"].keys() == {*known, *system, "made", "size", "more", *key}
        keys = {"position", *(["thing_id"] if key else [])}
        assert empty["thing_parts"].keys() == {*known, *keys, "born"}
        assert night.rows() == {table: [] for table in TABLES}
        made = [identity(place, table) for table in TABLES]
        assert all(made)
        night.sync()
        assert night.columns() == empty
        assert [identity(place, table) for table in TABLES] == made, (
            "neither made nor changed again"
        )
        found.extend(ROWS)
        assert night.sync().tallies["things"].new == 3
        never_empty.sync()
        assert night.columns() == never_empty.columns()
        assert night.rows() == never_empty.rows()
        for table, columns in empty.items():
            assert types_of(columns).items() <= types_of(night.columns()[table]).items()
        found[1:] = []
        night.sync()
        never_empty.sync()
        assert night.rows() == never_empty.rows()


def test_a_first_row_of_another_type_than_declared(place: Place, other: Place) -> None:
    found: list[Any] = []
    with json_api({"/things": lambda _: found}) as server:
        night, never_empty = (
            Night(server, where, {**DECLARED, "id": "text"}) for where in (place, other)
        )
        night.sync()
        assert night.columns()["things"], "made as it is declared"
        found.extend({**row, "made": "soon", "size": "large"} for row in ROWS)
        night.sync()
        never_empty.sync()
        assert night.columns() == never_empty.columns()
        assert night.rows() == never_empty.rows()


def test_columns_that_are_declared_before_the_first_row(place: Place, other: Place) -> None:
    found: list[Any] = []
    with json_api({"/things": lambda _: found}) as server:
        Night(server, place, {}).sync()
        night = Night(server, place, {**DECLARED, "id": "text"})
        night.sync()
        never_empty = Night(server, other, {**DECLARED, "id": "text"})
        never_empty.sync()
        assert {*DECLARED, "id"} <= night.columns()["things"].keys() | {"parts.born"}
        assert night.columns() == never_empty.columns()
        found.extend(ROWS)
        night.sync()
        never_empty.sync()
        assert night.columns() == never_empty.columns()
        assert night.rows() == never_empty.rows()


def test_a_view_on_an_empty_table_stays_when_rows_come(tmp_path: Any, servers: Servers) -> None:
    place, found = Places(tmp_path, servers).open("postgres"), list[Any]()
    url = place.environment["DESTINATION__POSTGRES__CREDENTIALS"]
    with json_api({"/things": lambda _: found}) as server, psycopg.connect(url) as connection:
        connection.autocommit = True
        night = Night(server, place, DECLARED)
        night.sync()
        connection.execute("CREATE VIEW made AS SELECT made, size FROM openanalyst.things")
        found.extend(ROWS)
        night.sync()
        assert connection.execute("SELECT sum(size) FROM made").fetchall() == [(3,)]


@pytest.mark.parametrize("form", get_args(ReportRowsForm))
@pytest.mark.parametrize("history", [False, True])
def test_the_tables_of_the_built_in_definition(
    tmp_path: Path, servers: Servers, form: ReportRowsForm, history: bool
) -> None:
    expected = {"datasets", "dataset_columns", "reports", "report_rows", "dashboards"}
    expected |= {"dashboard_panels", "agent_runs", "agent_run_steps", "agent_run_tool_calls"}
    expected -= {"report_rows"} if form == "tables" else set()
    schemas: list[Any] = []
    for name in ("empty first", "never empty"):
        place = Places(tmp_path / name, servers).open("duckdb")
        with emulator(Workspace()) as server:
            settings = place.settings(server.base_url, report_rows=form)

            def synced(settings: Settings = settings) -> SyncReport:
                report = run_sync(settings, history=history)
                assert report.status == "complete", report.error
                return report

            if name == "empty first":
                synced()
                assert {table for table in expected if not place.columns(table)} == set()
                synced()
            for resource, rows in RECORDS.items():
                for row in rows:
                    server.state.insert(resource, row)
            synced()
            filled = {"reports", "datasets", "dataset_columns", "report_rows"} & expected
            schemas.append({table: place.columns(table) for table in filled})
            assert all(schemas[-1].values())
    assert schemas[0] == schemas[1]
