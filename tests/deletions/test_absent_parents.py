"""Rows of a parent whose absence is proven by its detail, after the lists."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.sync import sync_async
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from oa_sync.workspace.surroundings import Surroundings
from tests.support.clock import ManualClock
from tests.support.json_api import Server, json_api
from tests.support.memory_target import MemoryStore, MemoryTarget
from tests.support.syncing import settings_for


@dataclass
class Family:
    """Parents and the ids of their parts, a row a page. Only parents have a detail, if any has. `left_out`: the
    parent that the list of them does not show. `numbered`: the ids of parents are numbers."""

    parts: dict[str, list[str]]
    tells_total: bool = True
    numbered: bool = False
    left_out: str = ""
    store: MemoryStore = field(default_factory=MemoryStore)
    settings: Settings = field(init=False)
    server: Server = field(init=False)

    def complete(self) -> None:
        """A sync that is complete."""
        report = self.sync()
        assert report.exit_code == 0, report.error

    def sync(self) -> SyncReport:
        self.server.asked.clear()
        target, around = MemoryTarget(self.settings, self.store), Surroundings(ManualClock())
        return asyncio.run(sync_async(self.settings, around=around, target=target))

    def living(self, table: str = "parts") -> set[str]:
        return {row["id"] for row in self.store.rows(table) if row["_oa_deleted_at"] is None}

    def asked(self, path: str) -> int:
        return sum(one == f"/{path}" for one, _ in self.server.asked)

    def answer(self, path: str, query: dict[str, str]) -> Any:
        match path.strip("/").split("/"):
            case ["parents"]:
                ids = [parent for parent in self.parts if parent != self.left_out]
                total = {"total": len(self.parts)} if self.tells_total else {}
                page = _page(ids, query)
                if self.numbered:
                    page["data"] = [{"id": int(row["id"])} for row in page["data"]]
                return {**page, **total}
            case ["parents", parent] if parent in self.parts:
                return {"id": int(parent) if self.numbered else parent}
            case ["parents", parent, "parts"] if parent in self.parts:
                return _page(self.parts[parent], query)
            case ["parts", part, "bits"]:
                return _page([f"bit of {part}"], query)
        return None


def _all(family: Family) -> set[str]:
    return {part for parts in family.parts.values() for part in parts}


def _page(ids: list[str], query: dict[str, str]) -> dict[str, Any]:
    start = int(query["offset"])
    return {"data": [{"id": one} for one in ids[start : start + 1]]}


@contextmanager
def served(
    family: Family,
    folder: Path,
    *,
    has_detail: bool,
    has_bits: bool = False,
    inherits: Sequence[str] = (),
) -> Iterator[Family]:
    class Routes(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            return lambda query: family.answer(path, query)

    def endpoint(path: str, total: str | None) -> dict[str, Any]:
        paginator = {"type": "offset", "limit": 1, "total_path": total}
        return {"path": path, "data_selector": "data", "paginator": paginator}

    parent = {"type": "resolve", "resource": "parents", "field": "id"}
    parts = {**endpoint("parents/{parent}/parts", None), "params": {"parent": parent}}
    total = "total" if family.tells_total else None
    resources: list[dict[str, Any]] = [
        {"name": "parents", "primary_key": "id", "endpoint": endpoint("parents", total)},
        {"name": "parts", "primary_key": "id", "endpoint": parts},
    ]
    if inherits:
        resources[1]["include_from_parent"] = list(inherits)
    if has_bits:
        part = {"type": "resolve", "resource": "parts", "field": "id"}
        bits = {**endpoint("parts/{part}/bits", None), "params": {"part": part}}
        resources.append({"name": "bits", "primary_key": "id", "endpoint": bits})
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


@pytest.mark.parametrize("has_grandchildren", [False, True], ids=["two levels", "three levels"])
def test_the_lists_of_a_parent_that_its_list_left_out_are_read_where_its_detail_answers(
    has_grandchildren: bool, tmp_path: Path
) -> None:
    parts = {f"p{n}": [f"a{n}"] for n in range(4)}
    family = Family(parts, tells_total=False)
    with served(family, tmp_path, has_detail=True, has_bits=has_grandchildren):
        family.complete()
        family.left_out = "p1"
        family.parts["p1"] = ["b", "c"]
        family.complete()
        # What is absent below a parent that its list left out is decided when the list shows it again.
        assert family.living() == {"a1", *_all(family)}
        assert family.asked("parents/p1/parts") == 3
        if has_grandchildren:
            assert {"bit of b", "bit of c"} <= family.living("bits")
        family.left_out = ""
        family.complete()
        assert family.living() == _all(family)
        if has_grandchildren:
            assert family.living("bits") == {f"bit of {part}" for part in _all(family)}


def test_a_number_of_a_parent_that_was_left_out_is_a_number_in_the_rows_below(
    tmp_path: Path,
) -> None:
    """A text in its place would make a text of all numbers in that column."""
    family = Family({f"{n}": [f"a{n}"] for n in range(4)}, tells_total=False, numbered=True)
    with served(family, tmp_path, has_detail=True, inherits=["id"]):
        family.complete()
        family.left_out = "1"
        family.parts["1"].append("b")
        report = family.sync()
        assert (report.exit_code, report.tallies["parts"].changed) == (0, 0), report.error
        parents = {row["id"]: row["_parents_id"] for row in family.store.rows("parts")}
        assert parents == {"a0": 0, "a1": 1, "a2": 2, "a3": 3, "b": 1}


def test_a_parent_whose_fields_the_detail_does_not_tell_is_no_complete_sync(tmp_path: Path) -> None:
    family = Family({f"p{n}": [f"a{n}"] for n in range(4)}, tells_total=False)
    with served(family, tmp_path, has_detail=True, inherits=["name"]):
        family.complete()
        family.left_out = "p1"
        report = family.sync()
        assert (report.exit_code, report.as_json()["error"]["code"]) == (1, "incomplete")
        assert "p1" in str(report.error)
        assert len(family.living()) == 4
        family.left_out = ""
        family.complete()
