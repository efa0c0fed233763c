"""Rows of a parent whose absence is proven by its detail, after the lists."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.sync import sync_async
from oa_sync.settings import Settings
from oa_sync.workspace.surroundings import Surroundings
from tests.support.clock import ManualClock
from tests.support.json_api import Server, json_api
from tests.support.memory_target import MemoryStore, MemoryTarget
from tests.support.syncing import settings_for


@dataclass
class Family:
    """Parents and the ids of their parts, a row a page. Only parents have a detail, if any has."""

    parts: dict[str, list[str]]
    store: MemoryStore = field(default_factory=MemoryStore)
    settings: Settings = field(init=False)
    server: Server = field(init=False)

    def complete(self) -> None:
        """A sync that is complete."""
        self.server.asked.clear()
        target, around = MemoryTarget(self.settings, self.store), Surroundings(ManualClock())
        report = asyncio.run(sync_async(self.settings, around=around, target=target))
        assert report.exit_code == 0, report.error

    def living(self) -> set[str]:
        return {row["id"] for row in self.store.rows("parts") if row["_oa_deleted_at"] is None}

    def asked(self, path: str) -> int:
        return sum(one == f"/{path}" for one, _ in self.server.asked)

    def answer(self, path: str, query: dict[str, str]) -> Any:
        match path.strip("/").split("/"):
            case ["parents"]:
                return {**_page(list(self.parts), query), "total": len(self.parts)}
            case ["parents", parent] if parent in self.parts:
                return {"id": parent}
            case ["parents", parent, "parts"] if parent in self.parts:
                return _page(self.parts[parent], query)
        return None


def _page(ids: list[str], query: dict[str, str]) -> dict[str, Any]:
    start = int(query["offset"])
    return {"data": [{"id": one} for one in ids[start : start + 1]]}


@contextmanager
def served(family: Family, folder: Path, *, has_detail: bool) -> Iterator[Family]:
    class Routes(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            return lambda query: family.answer(path, query)

    def endpoint(path: str, total: str | None) -> dict[str, Any]:
        paginator = {"type": "offset", "limit": 1, "total_path": total}
        return {"path": path, "data_selector": "data", "paginator": paginator}

    parent = {"type": "resolve", "resource": "parents", "field": "id"}
    parts = {**endpoint("parents/{parent}/parts", None), "params": {"parent": parent}}
    resources: list[dict[str, Any]] = [
        {"name": "parents", "primary_key": "id", "endpoint": endpoint("parents", "total")},
        {"name": "parts", "primary_key": "id", "endpoint": parts},
    ]
    if has_detail:
        resources[0]["detail"] = {"path": "parents/{id}"}
    definition = folder / "family.yaml"
    definition.write_text(json.dumps({"name": "family", "resources": resources}))
    with json_api(Routes()) as family.server:
        family.settings = settings_for(
            family.server.base_url, folder, source=str(definition), api_key=None
        )
        yield family


@pytest.mark.parametrize("has_detail", [True, False], ids=["detail", "no detail"])
def test_they_go_though_a_new_row_is_in_the_list_of_another_parent(
    has_detail: bool, tmp_path: Path
) -> None:
    """Such a list proves nothing before it is read once more."""
    parts = {"p0": ["a"], **{f"p{n}": [f"b{n}"] for n in range(1, 6)}}
    with served(Family(parts), tmp_path, has_detail=has_detail) as family:
        family.complete()
        once = family.asked("parents/p1/parts")
        del family.parts["p0"]
        family.parts |= {"p1": ["b1", "c"], "p6": []}
        family.complete()
        assert family.asked("parents/p0") == has_detail
        assert family.living() == {part for parts in family.parts.values() for part in parts}
        assert family.asked("parents/p1/parts") == 2 * (once + 1)
