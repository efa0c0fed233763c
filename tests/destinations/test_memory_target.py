"""What only the target in memory can be asked: where a load may be cut, and whole syncs beside DuckDB."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from oa_sync.commands.sync import sync_async
from oa_sync.emulator.server import RunningEmulator
from oa_sync.settings import Settings
from oa_sync.tables.batches import DELETED_AT, VALID_FROM, VALID_TO
from oa_sync.tables.target import Target
from oa_sync.workspace.surroundings import Surroundings
from tests.destinations import scenario
from tests.destinations.conforming import Row, lists, read, rows, types_of
from tests.destinations.places import DuckDB
from tests.support.clock import ManualClock
from tests.support.emulator import emulator
from tests.support.memory_target import MemoryStore, MemoryTarget, Step
from tests.support.syncing import settings_for

TIMES = {"_oa_synced_at", DELETED_AT, VALID_FROM, VALID_TO, "started_at", "finished_at"}
BY_CHANCE = {"summary", "requests_made"}
HOME = Settings(workspace="default")


class Killed(BaseException):
    """The process is gone."""


def killing_at(number: int, seen: list[str]) -> Step:
    def step(what: str) -> None:
        seen.append(what)
        if len(seen) == number:
            raise Killed

    return step


class TestSteps:
    """`step` is called before each table is merged and before each column is widened."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        store = MemoryStore()
        self.load(MemoryTarget(HOME, store), 1)
        return store

    def load(self, target: Target, n: int) -> None:
        own, more = rows("own", {"id": "a", "n": n}, n="bigint"), rows("more", {"id": "a"})
        target.load([own, lists("list", {"a": [str(n)]}), more])

    def test_lists_come_before_the_rows_that_say_they_are_loaded(self, store: MemoryStore) -> None:
        steps: list[str] = []
        self.load(MemoryTarget(HOME, store, steps.append), 2)
        assert steps == ["load list", "load own", "load more"]

    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_a_table_is_merged_whole_or_not_at_all(self, store: MemoryStore, number: int) -> None:
        with pytest.raises(Killed):
            self.load(MemoryTarget(HOME, store, killing_at(number, [])), 2)
        again = MemoryTarget(HOME, store)
        assert read(again, "list", "value") == [("2" if number > 1 else "1",)]
        assert read(again, "own", "n") == [(2 if number > 2 else 1,)]
        self.load(again, 2)
        assert (read(again, "list", "value"), read(again, "own", "n")) == ([("2",)], [(2,)])

    def test_a_table_that_was_not_reached_is_not_there(self) -> None:
        store, steps = MemoryStore(), list[str]()
        with pytest.raises(Killed):
            self.load(MemoryTarget(HOME, store, killing_at(2, steps)), 1)
        assert {column.table for column in MemoryTarget(HOME, store).columns()} == {"list"}

    def test_a_column_is_widened_whole_or_not_at_all(self, store: MemoryStore) -> None:
        steps: list[str] = []
        with pytest.raises(Killed):
            MemoryTarget(HOME, store, killing_at(1, steps)).widen("own", "n", "double")
        assert steps == ["widen own.n"]
        assert types_of(MemoryTarget(HOME, store), "own")["n"] == "bigint"
        again = MemoryTarget(HOME, store, steps.append)
        for _ in range(2):
            again.widen("own", "n", "double")
            again.widen("unknown", "n", "double")
        assert steps == ["widen own.n"] * 2
        assert store.rows("own") == [{"_oa_workspace": "default", "id": "a", "n": 1.0}]


# -- whole syncs --------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[RunningEmulator]:
    with emulator(scenario.workspace(), dialect="page") as running:
        yield running


def test_syncs_load_the_same_into_memory_as_into_duckdb(
    server: RunningEmulator, tmp_path: Path
) -> None:
    store, place = MemoryStore(), DuckDB(tmp_path / "duckdb")
    memory = settings_for(server.base_url, tmp_path / "memory")
    duckdb = place.settings(server.base_url)
    for night in range(3):
        if night > 0:
            scenario.edit(server, night)
        if night > 1:
            scenario.drift(server)
        one_night(memory, night, MemoryTarget(memory, store))
        one_night(duckdb, night, None)
        for table in store.tables:
            assert counted(store.rows(table)) == counted(place.read(table)), (night, table)
    gone = [row["id"] for row in store.rows("reports") if row["_oa_deleted_at"] is not None]
    assert len(gone) == 2
    assert {"report_rows", "dataset_columns", "reports_history", "syncs"} < store.tables.keys()


def one_night(settings: Settings, night: int, target: Target | None) -> None:
    """A sync with history, with the clock and the chance of its night."""
    start = datetime.fromisoformat(f"2026-03-0{night + 1}T03:00:00Z")
    around = Surroundings(ManualClock(start), Random(night))
    report = asyncio.run(sync_async(settings, history=True, around=around, target=target))
    assert report.status == "complete", report.error


def counted(found: list[Row]) -> Counter[frozenset[tuple[str, object]]]:
    """Rows in no order, without NULLs and without what dlt adds. Of the times of a sync only the night, and not
    its requests: whether it reads a page once more, and waits for that, differs by chance."""
    return Counter(
        frozenset(
            (name, value.date() if name in TIMES else value)
            for name, value in row.items()
            if value is not None and name not in BY_CHANCE and not name.startswith("_dlt")
        )
        for row in found
    )
