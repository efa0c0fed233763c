"""An answer to a request for a detail that is not about its row: the loaded row stays, and is asked for again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.sync import sync_async
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from tests.support.memory_target import MemoryStore, MemoryTarget
from tests.support.raw_api import RawApi, raw_api
from tests.support.syncing import settings_for

DEFINITION = """
name: details
client: {paginator: single_page}
resources:
  - name: things
    primary_key: id
    endpoint: {path: things, data_selector: data, incremental: {cursor_path: at}}
    detail: {path: "things/{id}"}
    children: {steps: {table: thing_steps}}
  - {name: others, primary_key: id, endpoint: {path: others, data_selector: data}}
"""
NOT_THE_ROW: dict[str, bytes] = {
    "nothing": b"{}",
    "an error": b'{"error": "try later"}',
    "errors": b'{"errors": [{"message": "shard 3"}]}',
    "no success": b'{"success": false}',
    "an empty envelope": b'{"data": null}',
    "an empty list": b'{"data": []}',
    "words": b'{"message": "maintenance until 3"}',
}
WITHOUT_KEY = b'{"t": 1, "steps": [{"n": 1}]}'


def detail(key: str, t: int) -> bytes:
    return b'{"id": "%s", "t": %d, "steps": [{"n": 1}, {"n": 2}]}' % (key.encode(), t)


def listed(**times: int) -> bytes:
    rows = (b'{"id": "%s", "at": %d}' % (key.encode(), at) for key, at in times.items())
    return b'{"data": [%s]}' % b", ".join(rows)


class World:
    def __init__(self, api: RawApi, folder: Path) -> None:
        (folder / "details.yaml").write_text(DEFINITION)
        self.api, self.store = api, MemoryStore()
        self.settings: Settings = settings_for(
            api.base_url, folder, source=str(folder / "details.yaml"), api_key=None
        )

    def sync(self, **options: Any) -> SyncReport:
        target = MemoryTarget(self.settings, self.store)
        return asyncio.run(sync_async(self.settings, target=target, **options))

    def values(self) -> dict[str, Any]:
        return {row["id"]: row["t"] for row in self.store.rows("things")}


KEPT = {
    "things": listed(a=1, b=1),
    "things/a": detail("a", 1),
    "things/b": detail("b", 1),
    "others": b'{"data": [{"id": 1}]}',
}


@pytest.mark.parametrize("history", [False, True], ids=["plain", "history"])
@pytest.mark.parametrize("kind", NOT_THE_ROW)
def test_a_changed_row_keeps_its_detail(kind: str, history: bool, tmp_path: Path) -> None:
    with raw_api(**KEPT) as api:
        world = World(api, tmp_path)
        assert world.sync(history=history).exit_code == 0
        api.replies |= {"/things": listed(a=2, b=1), "/things/a": NOT_THE_ROW[kind]}
        for _ in range(2):
            report = world.sync()
            assert (report.exit_code, report.tallies["things"].backlog) == (1, 1)
            assert "detail of things a: the answer " in str(report.error)
            assert (world.values(), len(world.store.rows("thing_steps"))) == ({"a": 1, "b": 1}, 4)
        api.replies["/things/a"] = detail("a", 2)
        assert world.sync().exit_code == 0
        assert world.values() == {"a": 2, "b": 1}
        assert world.sync().requests.made == 2, "nothing is asked for again"


@pytest.mark.parametrize("kind", [*NOT_THE_ROW, "another row", "no key"])
def test_an_absent_row_is_not_taken_for_alive(kind: str, tmp_path: Path) -> None:
    """Neither is a row without a key loaded, which would keep out all that is loaded with it."""
    others = {"another row": detail("z", 9), "no key": WITHOUT_KEY}
    with raw_api(**KEPT) as api:
        world = World(api, tmp_path)
        assert world.sync(history=True).exit_code == 0
        api.replies |= {f"/things/{key}": (NOT_THE_ROW | others)[kind] for key in "ab"}
        api.replies |= {"/things": listed(), "/others": b'{"data": [{"id": 1}, {"id": 2}]}'}
        report = world.sync()
        assert (report.exit_code, report.tallies["things"].details_fetched) == (1, 0)
        assert world.values() == {"a": 1, "b": 1}
        assert len(world.store.rows("others")) == 2
        api.replies |= {f"/{path}": body for path, body in KEPT.items() if path != "others"}
        assert world.sync().exit_code == 0
        assert [row["_oa_deleted_at"] for row in world.store.rows("things")] == [None, None]


def test_details_that_never_have_a_key_are_those_of_the_listed_row(tmp_path: Path) -> None:
    with raw_api(**KEPT | {"things/a": WITHOUT_KEY, "things/b": WITHOUT_KEY}) as api:
        world = World(api, tmp_path)
        assert world.sync().exit_code == 0
        assert world.values() == {"a": 1, "b": 1}
        assert world.sync().requests.made == 2


def test_an_error_is_a_field_like_others_beside_the_key(tmp_path: Path) -> None:
    failed = b'{"id": "a", "t": 7, "error": "out of memory", "success": false, "data": null}'
    with raw_api(**KEPT | {"things/a": failed}) as api:
        world = World(api, tmp_path)
        assert world.sync().exit_code == 0
        assert world.values() == {"a": 7, "b": 1}
