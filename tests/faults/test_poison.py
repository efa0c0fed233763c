"""A row that the destination does not take, and a destination that takes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.sync import sync
from oa_sync.errors import DestinationError
from oa_sync.load.dlt import warehouse
from oa_sync.load.dlt.warehouse import Warehouse
from oa_sync.tables.batches import Batch
from tests.faults.mirror import assert_mirrors
from tests.faults.places import Place, place
from tests.faults.processes import Point, sync_until
from tests.support.syncing import query, run_sync

BEFORE_LOAD = Point("oa_sync.load.dlt.warehouse:Warehouse.widen")


@pytest.fixture
def rigid(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """DuckDB as a destination that does not take one value."""

    def refuse(*_: Any) -> list[str]:
        raise DestinationError("does not fit")

    monkeypatch.setattr(warehouse, "widen_sql", refuse)
    return monkeypatch


def spoil(poisoned: Place) -> str:
    """Give one report a value that needs another type of column, beside other changes."""
    key = poisoned.state.ids("reports")[9]
    poisoned.changes.make(8)
    stamp = {"updated_at": "2026-02-01T00:00:00Z"}
    poisoned.state.update("reports", key, {"row_count": "many", **stamp})
    return key


def test_a_row_that_the_destination_does_not_take_keeps_nothing_else_out(
    rigid: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with place(tmp_path) as poisoned:
        run_sync(poisoned.settings)
        key = spoil(poisoned)
        for night in (1, 2):
            poisoned.state.counters.reset()
            report = sync(poisoned.settings)
            assert report.exit_code == 1
            assert f"reports {key}: the destination does not take this row" in str(report.error)
            assert len(report.tallies["reports"].errors) == 1
            assert report.tallies["reports"].backlog == 1
            assert report.rows["syncs"] == 1
            asked = set(poisoned.state.counters.details)
            assert asked == {key} if night == 2 else key in asked
            assert not list(poisoned.folder.rglob("*.oaj"))
        rigid.undo()
        run_sync(poisoned.settings)
        poisoned.state.update(
            "reports", key, {"row_count": 3, "updated_at": "2026-02-02T00:00:00Z"}
        )
        names = dict(query(poisoned.settings, "SELECT id, name FROM reports"))
        assert names[key] == poisoned.state.get("reports", key)["name"]


def test_a_poisoned_journal_does_not_block_the_run_that_finds_it(
    rigid: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with place(tmp_path) as poisoned:
        run_sync(poisoned.settings)
        key = spoil(poisoned)
        sync_until(BEFORE_LOAD, poisoned.settings)
        journaled = poisoned.journaled()
        assert key in journaled
        poisoned.state.counters.reset()
        report = sync(poisoned.settings)
        assert report.exit_code == 1
        assert set(poisoned.state.counters.details) == {key}, "the others came from the journal"


def test_a_destination_that_takes_nothing_loses_nothing_and_grows_nothing_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Warehouse, batches: Iterable[Batch]) -> dict[str, int]:
        if any(True for _ in batches):
            raise DestinationError("the warehouse is out of order")
        return {}

    with place(tmp_path) as broken:
        with monkeypatch.context() as patched:
            patched.setattr(Warehouse, "load", refuse)
            report = sync(broken.settings)
            assert (report.exit_code, report.error and report.error.code) == (1, "destination")
            kept = broken.journaled()
            assert len(kept) == 35
            size = sum(file.stat().st_size for file in broken.folder.rglob("*.oaj"))
            for _ in range(2):
                broken.state.counters.reset()
                assert sync(broken.settings).exit_code == 1
                assert broken.state.counters.details.total() == 0
            assert sum(f.stat().st_size for f in broken.folder.rglob("*.oaj")) == size
        broken.state.counters.reset()
        run_sync(broken.settings)
        assert broken.state.counters.details.total() == 0
        assert_mirrors(broken.settings, broken.state)


def test_what_a_destination_refuses_once_is_loaded_and_nothing_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load, loads = Warehouse.load, 0

    def refuse_once(target: Warehouse, batches: Iterable[Batch]) -> dict[str, int]:
        nonlocal loads
        loads += 1
        if loads == 1:
            raise DestinationError("not now")
        return load(target, batches)

    with place(tmp_path, "reports=1,rows=3,datasets=1") as refused:
        monkeypatch.setattr(Warehouse, "load", refuse_once)
        assert sync(refused.settings, ["reports"]).exit_code == 0
        assert loads > 1
        assert len(refused.state.counters.details) == 1
        assert_mirrors(refused.settings, refused.state, "reports")
