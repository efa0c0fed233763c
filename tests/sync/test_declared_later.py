"""A detail or a child list that is declared when rows are loaded already is fetched for them, once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.sync import sync_async
from oa_sync.errors import DestinationError
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from oa_sync.workspace.surroundings import Surroundings
from tests.support.clock import ManualClock
from tests.support.json_api import Server, json_api
from tests.support.memory_target import MemoryStore, MemoryTarget
from tests.support.syncing import settings_for

ROWS = 5
DETAIL = {"detail": {"path": "things/{id}"}}
PARTS = {"children": {"parts": {"table": "thing_parts", "parent_key": "thing_id"}}}
NESTED = {
    "children": {
        "parts": {
            **PARTS["children"]["parts"],
            "children": {"bolts": {"table": "thing_bolts", "parent_key": ["thing_id", "part"]}},
        }
    }
}
NO_CHANGES = (0, 0, 0, 0)


@dataclass
class Shop:
    """Things with a body and parts, which their detail has, or the list too (`lists_parts`)."""

    folder: Path
    server: Server
    lists_parts: bool = False
    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    step: Callable[[str], object] = lambda what: None

    def things(self) -> list[dict[str, Any]]:
        parts = [{"name": "wheel", "bolts": [{"size": 3}, {"size": 5}]}, {"name": "seat"}]
        shown = {"parts": parts} if self.lists_parts else {}
        return [{"id": n, "updated_at": "2026-01-01T00:00:00Z", **shown} for n in range(ROWS)]

    def detail(self, number: int) -> dict[str, Any]:
        self.lists_parts, before = True, self.lists_parts
        row = self.things()[number]
        self.lists_parts = before
        return {**row, "body": f"body {number}"}

    def settings(self, **changes: Any) -> Settings:
        source = str(self.folder / "shop.yaml")
        return settings_for(
            self.server.base_url, self.folder, source=source, api_key=None, **changes
        )

    def sync(self, declared: dict[str, Any], **changes: Any) -> SyncReport:
        """A sync by the definition with what is `declared`."""
        things = {"name": "things", "primary_key": "id", **declared}
        things["endpoint"] = {
            "path": "things",
            "paginator": {"type": "single_page"},
            "incremental": {"cursor_path": "updated_at"},
        }
        definition = {"name": "shop", "resources": [things]}
        (self.folder / "shop.yaml").write_text(json.dumps(definition))
        settings = self.settings(**changes)
        target = MemoryTarget(settings, self.store, self.step)
        around = Surroundings(self.clock)
        self.server.asked.clear()
        return asyncio.run(sync_async(settings, around=around, target=target))

    def details_asked(self) -> list[str]:
        return sorted(path for path, _ in self.server.asked if path.startswith("/things/"))

    def column(self, table: str, name: str) -> list[Any]:
        return sorted(row.get(name) for row in self.store.rows(table))


ALL = [f"/things/{n}" for n in range(ROWS)]
BODIES = [f"body {n}" for n in range(ROWS)]


@contextmanager
def a_shop(folder: Path, **options: Any) -> Iterator[Shop]:
    class Routes(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            number = path.rpartition("/")[2]
            return lambda _: shop.detail(int(number)) if number.isdigit() else shop.things()

    with json_api(Routes()) as server:
        shop = Shop(folder, server, **options)
        yield shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with a_shop(tmp_path) as opened:
        yield opened


def counts(report: SyncReport) -> tuple[int, int, int, int]:
    tally = report.tallies["things"]
    return tally.new, tally.changed, tally.deleted, tally.details_fetched


def test_a_detail_that_is_declared_later_is_asked_for_once_for_each_loaded_row(shop: Shop) -> None:
    assert counts(shop.sync({})) == (ROWS, 0, 0, 0)
    report = shop.sync(DETAIL)
    assert shop.details_asked() == ALL
    assert counts(report) == (0, 0, 0, ROWS), "the rows themselves did not change"
    assert shop.column("things", "body") == BODIES
    assert counts(shop.sync(DETAIL)) == NO_CHANGES
    assert shop.details_asked() == []


@pytest.mark.parametrize("before", [{}, DETAIL], ids=["no detail", "detail"])
def test_a_child_list_that_is_declared_later_is_read_for_each_loaded_row(
    shop: Shop, before: dict[str, Any]
) -> None:
    shop.sync(before)
    assert shop.sync(DETAIL | PARTS).status == "complete"
    assert shop.details_asked() == ALL
    assert shop.column("thing_parts", "thing_id") == sorted([*range(ROWS)] * 2)
    assert shop.sync(DETAIL | NESTED).status == "complete"
    assert shop.details_asked() == ALL
    assert len(shop.store.rows("thing_bolts")) == 2 * ROWS
    assert counts(shop.sync(DETAIL | NESTED)) == NO_CHANGES


@pytest.mark.parametrize("with_detail", [False, True])
def test_a_child_list_that_the_list_has_costs_no_request(with_detail: bool, tmp_path: Path) -> None:
    with a_shop(tmp_path, lists_parts=True) as shop:
        shop.sync({})
        declared = PARTS | (DETAIL if with_detail else {})
        assert shop.sync(declared).status == "complete"
        assert shop.details_asked() == []
        assert shop.column("thing_parts", "thing_id") == sorted([*range(ROWS)] * 2)
        assert counts(shop.sync(declared)) == NO_CHANGES


def test_what_is_taken_out_and_declared_again_is_read_again(shop: Shop) -> None:
    shop.sync(DETAIL | PARTS)
    assert counts(shop.sync({})) == NO_CHANGES
    shop.sync(DETAIL | PARTS)
    assert shop.details_asked() == ALL
    assert counts(shop.sync(DETAIL)) == NO_CHANGES, "less is declared: nothing is asked for"


def test_the_budget_bounds_what_is_asked_for_again(shop: Shop) -> None:
    shop.sync({})
    asked = []
    for left in (3, 1, 0):
        report = shop.sync(DETAIL, max_requests=3)
        assert report.exit_code == (3 if left else 0)
        assert report.tallies["things"].backlog == left
        asked += shop.details_asked()
    assert sorted(asked) == ALL, "each row is asked for once"
    assert shop.column("things", "body") == BODIES


@pytest.mark.parametrize("number", range(1, 6))
def test_a_load_that_fails_does_not_lose_the_need(shop: Shop, number: int) -> None:
    """The rows become backlog first; only then what they are read with is noted."""
    shop.sync({})
    loads = 0

    def refused(what: str) -> None:
        nonlocal loads
        loads += 1
        if loads == number:
            raise DestinationError("the disk is full")

    shop.step = refused
    shop.sync(DETAIL | PARTS)
    shop.step = lambda what: None
    asked = shop.details_asked()
    assert shop.sync(DETAIL | PARTS).status == "complete"
    assert shop.column("things", "body") == BODIES
    assert len(shop.store.rows("thing_parts")) == 2 * ROWS
    assert sorted([*asked, *shop.details_asked()]) == ALL, "nothing is paid for twice"


def test_each_workspace_of_a_dataset_reads_for_itself(shop: Shop) -> None:
    for workspace in ("north", "south"):
        shop.sync({}, workspace=workspace)
    for workspace in ("north", "south"):
        shop.sync(DETAIL | PARTS, workspace=workspace)
        assert shop.details_asked() == ALL, workspace


def test_the_version_of_a_history_is_completed(shop: Shop) -> None:
    shop.sync({"history": True})
    shop.sync(DETAIL | {"history": True})
    assert shop.column("things_history", "body") == BODIES, "one version for each row"


def test_rows_that_an_earlier_version_loaded_are_not_asked_for_again(shop: Shop) -> None:
    """Where it is not known what rows were read with, the definition of the first sync counts."""
    shop.sync(DETAIL)
    del shop.store.tables["_oa_readings"]
    assert counts(shop.sync(DETAIL | PARTS)) == NO_CHANGES
    shop.sync(DETAIL | NESTED)
    assert shop.details_asked() == ALL, "what is declared from then on is read"
