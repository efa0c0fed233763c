"""`_oa_deleted_at` on every destination: true in the own tables of resources, and in no other table."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from oa_sync.commands.copy import _as_loaded, copy
from oa_sync.commands.export import export
from oa_sync.load.opening import open_target
from oa_sync.settings import Settings
from oa_sync.tables.batches import DELETED_AT, INSTANT, Batch
from oa_sync.tables.target import Target
from tests.destinations import scenario
from tests.destinations.places import DuckDB, Place, canonical
from tests.destinations.test_keys import counts
from tests.support.emulator import emulator
from tests.support.json_api import Server, json_api
from tests.support.syncing import run_sync

OWN = ("things", "comments")
LISTS = ("thing_parts", "part_bits", "things__notes")
HISTORIES = tuple(f"{table}_history" for table in (*OWN, *LISTS))
ONE_PAGE = {"paginator": {"type": "single_page"}}
THING = {"type": "resolve", "resource": "things", "field": "id"}
DEFINITION = {
    "name": "any",
    "resources": [
        {
            "name": "things",
            "primary_key": "id",
            "history": True,
            "endpoint": {"path": "things", **ONE_PAGE},
            "detail": {"path": "things/{id}"},
            "children": {
                "parts": {
                    "table": "thing_parts",
                    "parent_key": "thing_id",
                    "children": {
                        "bits": {"table": "part_bits", "parent_key": ["thing_id", "part_position"]}
                    },
                }
            },
        },
        {
            "name": "comments",
            "primary_key": "id",
            "history": True,
            "endpoint": {
                "path": "things/{thing}/comments",
                "params": {"thing": THING},
                **ONE_PAGE,
            },
        },
    ],
}


class Source(dict[str, Any]):
    """Things with parts, which have bits; with notes; and with comments, a list of their own."""

    def __init__(self) -> None:
        self.things = {n: self.thing(n, parts=2) for n in range(4)}

    @staticmethod
    def thing(number: int, parts: int) -> dict[str, Any]:
        bits = [{"n": n} for n in range(2)]
        notes = [{"text": f"note {number}"}] if parts else []
        return {
            "id": number,
            "version": parts,
            "notes": notes,
            "parts": [{"name": f"part {n}", "bits": bits} for n in range(parts)],
        }

    def get(self, path: str, default: Any = None) -> Any:
        _, _, *rest = path.split("/")
        if not rest:
            listed = [
                {name: thing[name] for name in ("id", "version")} for thing in self.things.values()
            ]
            return lambda _: listed
        thing = self.things.get(int(rest[0]))
        if thing is None:
            return default
        return lambda _: thing if len(rest) == 1 else [{"id": thing["id"], "text": "good"}]


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def server(source: Source) -> Iterator[Server]:
    with json_api(source) as running:
        yield running


def settings_of(place: Place, server: Server) -> Settings:
    file = place.folder / "any.yaml"
    file.write_text(json.dumps(DEFINITION))
    return place.settings(server.base_url, source=str(file), api_key=None)


def marked(
    place: Place, tables: tuple[str, ...] = (*OWN, *LISTS, *HISTORIES, "syncs")
) -> list[str]:
    """Those of `tables` that have the column; all of them are there."""
    columns = {table: place.columns(table) for table in tables}
    assert all(columns.values()), columns
    return [table for table in tables if DELETED_AT in columns[table]]


def living(place: Place, table: str) -> list[int]:
    return sorted(row["id"] for row in place.read(table) if row[DELETED_AT] is None)


def parents(place: Place, table: str) -> set[int]:
    """The things that have rows in a list, with the marks of things."""
    return {row["thing_id"] for row in place.read(table)}


def test_only_rows_of_resources_have_marks_and_these_follow_the_api(
    place: Place, source: Source, server: Server
) -> None:
    settings = settings_of(place, server)
    run_sync(settings)
    assert marked(place) == list(OWN)
    gone = source.things.pop(3)
    source.things[2] = Source.thing(2, parts=0)
    run_sync(settings)
    assert marked(place) == list(OWN)
    for table in OWN:
        assert living(place, table) == [0, 1, 2]
    for table in ("thing_parts", "part_bits"):
        assert parents(place, table) == {0, 1, 3}, "what was loaded of a deleted thing stays"
    source.things[3] = gone
    run_sync(settings)
    for table in OWN:
        assert living(place, table) == [0, 1, 2, 3]
    assert parents(place, "part_bits") == {0, 1, 3}


@pytest.mark.parametrize("form", ["json", "typed", "tables"])
def test_rows_of_reports_have_no_marks(tmp_path: Path, form: str) -> None:
    place = DuckDB(tmp_path)
    with emulator(scenario.workspace(), dialect="page") as running:
        settings = place.settings(running.base_url, report_rows=form)
        run_sync(settings)
        running.state.delete("reports", "r03")
        running.state.update("reports", "r02", {"data": []})
        run_sync(settings)
    with open_target(settings, tmp_path / "reading", read_only=True) as target:
        columns = {(c.table, c.name) for c in target.columns()}
    tables = {table for table, name in columns if name == DELETED_AT}
    assert tables == {"reports", "datasets", "dashboards"}
    found = {name for name, _ in columns if name.startswith("report_")}
    rows = {row["report_id"] for name in found for row in place.read(name)}
    assert "r02" not in rows and "r03" in rows


# -- what an earlier version left ---------------------------------------------------------------


def age(settings: Settings, folder: Path) -> None:
    """Give lists and histories the column that earlier versions made, as they made it: by a load."""
    with open_target(settings, folder) as target:
        for table in sorted({c.table for c in target.columns()} & {*LISTS, *HISTORIES}):
            rows = pa.Table.from_batches(target.batches(table)).replace_schema_metadata(None)
            rows = rows.append_column(DELETED_AT, pa.nulls(rows.num_rows, INSTANT))
            target.load([Batch(_as_loaded(target.hints(table)), rows)])


@pytest.mark.parametrize("is_killed", [False, True])
def test_what_an_earlier_version_made_goes_with_the_next_sync(
    place: Place, source: Source, server: Server, tmp_path: Path, is_killed: bool
) -> None:
    settings = settings_of(place, server)
    run_sync(settings)
    before = {table: canonical(place.read(table)) for table in (*OWN, *LISTS, *HISTORIES)}
    age(settings, tmp_path / "work")
    assert marked(place) == [*OWN, *LISTS, *HISTORIES]
    if is_killed:  # after some tables, and before any load
        with open_target(settings, tmp_path / "work") as target:
            for table in ("part_bits", "things_history"):
                target.drop_column(table, DELETED_AT)
    server.asked.clear()
    assert counts(run_sync(settings)) == {"things": (0, 0, 0, 0), "comments": (0, 0, 0, 0)}
    assert len(server.asked) == 1 + len(source.things), "a list each, and no detail"
    assert marked(place) == list(OWN)
    assert {table: canonical(place.read(table)) for table in before} == before
    del source.things[3]
    source.things[2] = Source.thing(2, parts=0)
    run_sync(settings)
    assert marked(place) == list(OWN)
    assert parents(place, "thing_parts") == {0, 1, 3}
    assert living(place, "things") == [0, 1, 2]


def test_a_drop_that_is_cut_off_is_done_by_the_next_sync(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In DuckDB the column goes at once, and dlt's schema of it with the next load."""
    place = DuckDB(tmp_path)
    settings = settings_of(place, server)
    run_sync(settings)
    age(settings, tmp_path / "work")
    with open_target(settings, tmp_path / "work") as target:

        def cut(self: Target, client: Any, table: str, column: str) -> None:
            drop(self, client, table, column)
            raise KeyboardInterrupt

        drop = type(target)._drop  # type: ignore[attr-defined]
        monkeypatch.setattr(type(target), "_drop", cut)
        with pytest.raises(KeyboardInterrupt):
            target.drop_column("part_bits", DELETED_AT)
    monkeypatch.undo()
    assert "part_bits" not in marked(place)
    run_sync(settings)
    assert marked(place) == list(OWN)


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_view_that_needs_the_column_keeps_it_and_the_sync_goes_on(
    place: Place,
    source: Source,
    server: Server,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = settings_of(place, server)
    run_sync(settings)
    age(settings, tmp_path / "work")
    url = place.environment["DESTINATION__POSTGRES__CREDENTIALS"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE VIEW theirs AS SELECT * FROM openanalyst.part_bits")
        source.things[2] = Source.thing(2, parts=1)
        with caplog.at_level(logging.WARNING):
            assert run_sync(settings).status == "complete"
        assert any(told.startswith("part_bits: the column") for told in caplog.messages)
        assert marked(place) == [*OWN, "part_bits"]
        connection.execute("DROP VIEW theirs")
        run_sync(settings)
        assert marked(place) == list(OWN)


def test_an_export_and_a_copy_of_what_an_earlier_version_left_have_no_such_column(
    server: Server, tmp_path: Path
) -> None:
    place, other = DuckDB(tmp_path / "one"), DuckDB(tmp_path / "two")
    for each in (place, other):
        each.folder.mkdir()
    settings = settings_of(place, server)
    run_sync(settings)
    age(settings, tmp_path / "work")
    export(settings, tmp_path / "out")
    for table in (*OWN, *LISTS, *HISTORIES):
        names = ds.dataset(tmp_path / "out" / table).schema.names
        assert (DELETED_AT in names) == (table in OWN), table
    copy(settings, settings_of(other, server))
    assert marked(other) == list(OWN)
    assert marked(place) == [*OWN, *LISTS, *HISTORIES], "both only read"
