"""SIGKILL at chosen instructions. The next run loses nothing, doubles nothing, asks for nothing again
that was in the journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.places import Place, place
from tests.faults.processes import Point, Tuning, sync_until
from tests.support.syncing import query, run_sync

BEFORE, AFTER = ("before",), ("after",)
BOTH = (*BEFORE, *AFTER)


def points(*rows: tuple[str, int, tuple[str, ...]]) -> list[Point]:
    return [Point(function, when, nth) for function, nth, whens in rows for when in whens]


FETCHING = points(
    ("oa_sync.workspace.lock:FileLock.acquire", 1, AFTER),
    ("oa_sync.quota.sqlite_ledger:SqliteLedger._begin", 3, AFTER),
    ("oa_sync.quota.book:Book.close", 3, AFTER),
    ("oa_sync.journal.journal:Journal._open", 1, AFTER),
    ("oa_sync.journal.journal:Journal.append", 1, BOTH),
    ("oa_sync.journal.journal:Journal.append", 3, AFTER),
    ("oa_sync.extract.details.unfinished:Unfinished.note", 1, AFTER),
    ("oa_sync.journal.journal:Journal.rotate", 1, BOTH),
    ("oa_sync.commands.sync:syncs_batch", 1, BEFORE),
    ("dlt.extract.extract:Extract.extract", 1, BEFORE),
)
LOADING = points(
    ("dlt.extract.extract:Extract.commit_packages", 1, BOTH),
    ("dlt.pipeline.pipeline:Pipeline.normalize", 1, BEFORE),
    ("dlt.normalize.normalize:Normalize.spool_files", 1, BOTH),
    ("dlt.common.storages.load_storage:LoadStorage.commit_new_load_package", 1, AFTER),
    ("dlt.pipeline.pipeline:Pipeline.load", 1, BEFORE),
    ("dlt.destinations.impl.duckdb.duck:DuckDbCopyJob.run", 1, BOTH),
    ("dlt.destinations.impl.duckdb.duck:DuckDbCopyJob.run", 2, AFTER),
    ("dlt.common.storages.load_package:PackageStorage.save_pending_transition", 1, AFTER),
    ("dlt.destinations.job_client_impl:SqlLoadJob.run", 1, BOTH),
    ("dlt.destinations.job_client_impl:SqlLoadJob.run", 2, AFTER),
    ("dlt.destinations.job_client_impl:SqlJobClientBase.complete_load", 1, BOTH),
    ("dlt.common.storages.load_package:PackageStorage.complete_loading_package", 1, AFTER),
    ("oa_sync.load.dlt.warehouse:Warehouse.load", 1, AFTER),
    ("oa_sync.journal.journal:Journal.done", 1, AFTER),
)
FIRST_SYNC = points(
    ("oa_sync.workspace.memory:Memory.set", 1, AFTER),
    ("oa_sync.journal.journal:Journal.append", 50, AFTER),
    ("dlt.destinations.job_client_impl:SqlJobClientBase.initialize_storage", 1, AFTER),
    ("dlt.destinations.job_client_impl:SqlJobClientBase._commit_schema_update", 1, BEFORE),
    ("dlt.destinations.impl.duckdb.duck:DuckDbCopyJob.run", 1, AFTER),
    ("dlt.destinations.job_client_impl:SqlJobClientBase.complete_load", 1, BEFORE),
)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A workspace that is loaded; every test changes it, is killed, and leaves it loaded again."""
    with place(tmp_path_factory.mktemp("killed")) as loaded:
        run_sync(loaded.settings)
        yield loaded


@pytest.mark.parametrize("point", FETCHING, ids=str)
def test_a_kill_while_fetching_loses_and_doubles_nothing(loaded: Place, point: Point) -> None:
    loaded.changes.make(6)
    sync_until(point, loaded.settings)
    loaded.recovers()


@pytest.mark.parametrize("point", LOADING, ids=str)
def test_a_kill_while_loading_loses_and_doubles_nothing_and_costs_no_detail(
    loaded: Place, point: Point
) -> None:
    loaded.changes.make(6)
    loaded.state.counters.reset()
    sync_until(point, loaded.settings)
    assert loaded.state.counters.details
    loaded.recovers()
    assert not loaded.state.counters.details


@pytest.mark.parametrize("point", FIRST_SYNC, ids=str)
def test_a_kill_in_the_first_sync_of_all_costs_no_detail_twice(
    point: Point, tmp_path: Path
) -> None:
    with place(tmp_path) as fresh:
        sync_until(point, fresh.settings)
        fresh.recovers()


def test_a_kill_between_two_steps_keeps_the_first_and_loads_the_rest(tmp_path: Path) -> None:
    with place(tmp_path) as fresh:
        point = Point("oa_sync.load.dlt.warehouse:Warehouse.load", "before", nth=3)
        sync_until(point, fresh.settings, Tuning(step_bytes=5_000))
        assert 0 < len(query(fresh.settings, "SELECT id FROM reports")) < 30
        assert fresh.journaled()
        fresh.recovers()
