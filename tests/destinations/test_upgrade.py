"""Databases that an earlier version wrote go on: nothing is deleted, doubled or asked for again.

`earlier.tar.xz` holds what the commit 0d88dc7 wrote after one sync of `ROWS` into each destination, the
definition, and a segment of its journal: a new row of `kept` (3), and the rows 0 of `kept` and (a, 1) of
`tenants`, gone.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from oa_sync.settings import Settings
from tests.destinations.places import DuckDB, Parquet, Place, Row, SQLite, in_environment
from tests.destinations.test_keys import counts
from tests.support.json_api import Answer, Server, json_api
from tests.support.syncing import run_sync

AT = "2026-01-01T00:00:0"
PLACES = {"duckdb": DuckDB, "parquet": Parquet, "sqlalchemy": SQLite}
DATED = {"updated_at": f"{AT}0Z"}
ROWS: dict[str, list[Row]] = {
    "texts": [{"id": f"t{n}", "v": n, **DATED} for n in range(3)],
    "numbers": [{"id": n, "v": n, **DATED} for n in range(3)],
    "days": [{"day": f"2026-01-0{n}", "v": n} for n in (1, 2, 3)],
    "pairs": [{"shop": s, "day": f"2026-01-0{n}", "v": n} for s in ("a", "b") for n in (1, 2)],
    "mixed": [{"id": 1, "v": 1}, {"id": "k", "v": 2}],
    "kept": [{"id": n, "v": n, **DATED} for n in (1, 2, 3)],
    "again": [{"id": n, "created_at": f"{AT}{n}.500Z", "v": n, **DATED} for n in range(3)],
    "tenants": [{"shop": s, "id": n, "v": n} for s in ("a", "b") for n in (1, 2)][1:],
    "times": [{"made_at": f"{AT}{n}Z", "v": n} for n in (1, 2)],
}
"""What the API shows to the first sync of this version."""


class Source(dict[str, Answer]):
    """The API; `rows` may be changed."""

    def __init__(self) -> None:
        self.rows = {name: [dict(row) for row in rows] for name, rows in ROWS.items()}

    def get(self, path: str, default: Any = None) -> Any:
        _, name, *key = path.split("/")
        if not key:
            return lambda _: self.rows[name]
        row = next(row for row in self.rows[name] if str(row["id"]) == unquote(key[0]))
        return lambda _: {**row, "steps": [{"n": 1}, {"n": 2}]}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A destination as the earlier version left it."""
    with tarfile.open(Path(__file__).with_name("earlier.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    opened = PLACES[request.param](tmp_path / request.param)
    with in_environment(opened.environment):
        yield opened


def settings_of(place: Place, server: Server) -> Settings:
    source = str(place.folder.parent / "any.yaml")
    settings = place.settings(server.base_url, source=source, api_key=None)
    if not settings.journal.exists():
        shutil.copytree(place.folder.parent / "journal", settings.journal)
    return settings


def living(place: Place, table: str) -> list[Any]:
    rows = place.read(table)
    return sorted(row["v"] for row in rows if row["_oa_deleted_at"] is None)


def check(place: Place, source: Source) -> None:
    """Each row of the source stands once."""
    for name, rows in source.rows.items():
        assert living(place, name) == sorted(row["v"] for row in rows), name
    for table, of in {
        "text_steps": "texts",
        "number_steps": "numbers",
        "kept_steps": "kept",
    }.items():
        parent = next(c for c in place.read(table)[0] if c.endswith("_id"))
        steps = sorted(str(row[parent]) for row in place.read(table))
        assert "_oa_deleted_at" not in place.columns(table)
        present = [str(row["id"]) for row in place.read(of) if row["v"] in living(place, of)]
        assert [step for step in steps if step in present] == sorted(present * 2), table


def test_the_first_sync_finds_everything_unchanged(place: Place) -> None:
    source = Source()
    with json_api(source) as server:
        settings = settings_of(place, server)
        assert counts(run_sync(settings)) == dict.fromkeys(ROWS, (0, 0, 0, 0))
        check(place, source)
        assert not any("_oa_key" in row for row in place.read("texts") + place.read("numbers"))


def test_changes_and_deletions_are_followed(place: Place) -> None:
    source = Source()
    with json_api(source) as server:
        settings = settings_of(place, server)
        for rows in source.rows.values():
            del rows[0]
            rows[0] |= {"v": 9, **({"updated_at": f"{AT}9Z"} if "updated_at" in rows[0] else {})}
        details = {"texts", "numbers", "kept", "again"}
        expected = {name: (0, 1, 1, 1 if name in details else 0) for name in ROWS}
        assert counts(run_sync(settings)) == expected
        check(place, source)
        assert counts(run_sync(settings)) == dict.fromkeys(ROWS, (0, 0, 0, 0))
        check(place, source)


def test_a_time_that_is_spelled_otherwise_is_one_row(place: Place) -> None:
    """What it was when it was loaded is not known: it is written once more, and nothing is doubled."""
    source = Source()
    for row in source.rows["times"]:
        row["made_at"] = row["made_at"].replace("Z", "+00:00")
    for row in source.rows["again"]:
        row["created_at"] = row["created_at"].replace("00Z", "Z")
    with json_api(source) as server:
        settings = settings_of(place, server)
        assert run_sync(settings).status == "complete", (
            "the old spellings are not taken for deletions"
        )
        check(place, source)
        assert (len(place.read("times")), len(place.read("again"))) == (2, 3)
        assert counts(run_sync(settings)) == dict.fromkeys(ROWS, (0, 0, 0, 0))
        check(place, source)
