"""Rows of parents: as many go with a parent as its list showed, and no more."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.sync import sync_async
from oa_sync.extract.deletions import CONFIRMED_AFTER
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from oa_sync.workspace.surroundings import Surroundings
from tests.support.clock import ManualClock
from tests.support.json_api import Told, json_api
from tests.support.memory_target import MemoryStore, MemoryTarget
from tests.support.syncing import settings_for

Answer = Callable[[str, Any], Any]


@dataclass
class Family:
    """Parents with the ids of their parts, and where wanted a bolt for each part. `fault` may make anything of the list of one parent's parts."""

    parts: dict[str, list[str]]
    has_detail: bool = False
    has_bolts: bool = False
    fault: Answer = lambda parent, body: body
    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    settings: Settings = field(init=False)

    def sync(self) -> SyncReport:
        target = MemoryTarget(self.settings, self.store)
        return asyncio.run(
            sync_async(self.settings, around=Surroundings(self.clock), target=target)
        )

    def living(self, table: str = "parts") -> set[str]:
        return {row["id"] for row in self.store.rows(table) if row["_oa_deleted_at"] is None}

    @property
    def ids(self) -> set[str]:
        return {part for parts in self.parts.values() for part in parts}

    def answer(self, path: str) -> Any:
        match path.strip("/").split("/"):
            case ["parents"]:
                return _list(list(self.parts))
            case ["parents", parent, "parts"] if parent in self.parts:
                return self.fault(parent, _list(self.parts[parent]))
            case ["parts", part] if part in self.ids:
                return {"id": part}
            case ["parts", part, "bolts"] if part in self.ids:
                return _list([f"bolt of {part}"])
        return None


def _list(ids: list[str]) -> dict[str, Any]:
    return {"data": [{"id": one} for one in ids], "meta": {"total": len(ids)}}


@contextmanager
def served(family: Family, folder: Path) -> Iterator[Family]:
    class Routes(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            return lambda _: family.answer(path)

    whole = {"data_selector": "data", "paginator": {"type": "single_page"}}
    parent = {"type": "resolve", "resource": "parents", "field": "id"}
    parts = {"path": "parents/{parent}/parts", "params": {"parent": parent}, **whole}
    resources: list[dict[str, Any]] = [
        {"name": "parents", "primary_key": "id", "endpoint": {"path": "parents", **whole}},
        {"name": "parts", "primary_key": "id", "endpoint": parts},
    ]
    if family.has_detail:
        resources[1]["detail"] = {"path": "parts/{id}"}
    if family.has_bolts:
        part = {"type": "resolve", "resource": "parts", "field": "id"}
        bolts = {"path": "parts/{part}/bolts", "params": {"part": part}, **whole}
        resources.append({"name": "bolts", "primary_key": "id", "endpoint": bolts})
    definition = folder / "family.yaml"
    definition.write_text(json.dumps({"name": "family", "resources": resources}))
    with json_api(Routes()) as server:
        family.settings = settings_for(
            server.base_url, folder, source=str(definition), api_key=None
        )
        yield family


def a_family(parents: int = 10, parts: int = 5, **options: Any) -> Family:
    names = [f"p{n}" for n in range(parents)]
    return Family({p: [f"{p}-{n}" for n in range(parts)] for p in names}, **options)


FAULTS: dict[str, Answer] = {
    "empty": lambda parent, body: _list([]),
    "404": lambda parent, body: None,
    "half": lambda parent, body: body if parent < "p5" else _list([]),
}


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_parent_that_goes_takes_no_rows_of_others_along(
    fault: str, has_detail: bool, tmp_path: Path
) -> None:
    with served(a_family(has_detail=has_detail), tmp_path) as family:
        assert family.sync().exit_code == 0
        del family.parts["p0"]
        family.fault = FAULTS[fault]
        for _ in range(2):
            assert family.sync().exit_code == 1
            assert family.living() >= family.ids
        family.fault = lambda parent, body: body
        assert family.sync().exit_code == 0
        assert family.living() == family.ids


SHARED = [f"shared-{n}" for n in range(30)]


@pytest.mark.parametrize(
    ("is_moved", "by"),
    [(False, "p1"), (False, "p2"), (True, "p1")],
    ids=["shared", "shared with the one that is cut", "moved"],
)
def test_a_parent_that_goes_explains_no_loss_of_others(
    is_moved: bool, by: str, tmp_path: Path
) -> None:
    """Its rows are below `by` too, or go there. The list of p2 is cut meanwhile."""
    family = a_family(parts=5, parents=2)
    family.parts["p0"] = list(SHARED)
    family.parts["p2"] = [f"p2-{n}" for n in range(40)]
    if not is_moved:
        family.parts[by] += SHARED
    with served(family, tmp_path):
        for _ in range(2):
            assert family.sync().exit_code == 0
        if is_moved:
            family.parts[by] += SHARED
        del family.parts["p0"]
        family.fault = lambda parent, body: (
            _list([one for one in family.parts["p2"] if one < "p2-15" or one in SHARED])
            if parent == "p2"
            else body
        )
        for _ in range(2):
            assert family.sync().exit_code == 1
            assert family.living() == family.ids
        family.fault = lambda parent, body: body
        assert family.sync().exit_code == 0
        assert family.living() == family.ids


@pytest.mark.parametrize("fault", [None, "empty", "404"])
def test_the_many_rows_of_a_parent_go_with_it(fault: str | None, tmp_path: Path) -> None:
    """At once, or by the next list that is whole."""
    family = a_family(parts=2)
    family.parts["p0"] = [f"p0-{n}" for n in range(60)]
    with served(family, tmp_path):
        assert family.sync().exit_code == 0
        del family.parts["p0"]
        if fault is not None:
            family.fault = FAULTS[fault]
            assert family.sync().exit_code == 1
            assert family.living() >= family.ids
            family.fault = lambda parent, body: body
        assert family.sync().exit_code == 0
        assert family.living() == family.ids


@pytest.mark.parametrize("answer", [Told(), {}, {"error": "away"}], ids=["no body", "{}", "error"])
def test_a_list_that_is_absent_takes_no_row_along(answer: Any, tmp_path: Path) -> None:
    """A few rows of many go by a complete list alone. An answer that states nothing is none."""
    with served(a_family(), tmp_path) as family:
        assert family.sync().exit_code == 0
        family.fault = lambda parent, body: answer if parent == "p3" else body
        family.sync()
        assert family.living() == family.ids


def test_all_parts_of_the_only_parent_go_with_it(tmp_path: Path) -> None:
    family = a_family(parts=0)
    family.parts["p0"] = ["a", "b"]
    with served(family, tmp_path):
        assert family.sync().exit_code == 0
        del family.parts["p0"]
        assert family.sync().exit_code == 0
        assert family.living() == set()


@pytest.mark.parametrize("has_detail", [False, True], ids=["plain", "detail"])
def test_the_list_of_a_listed_parent_that_answers_404_once_takes_no_row_along(
    has_detail: bool, tmp_path: Path
) -> None:
    with served(a_family(has_detail=has_detail), tmp_path) as family:
        assert family.sync().exit_code == 0
        family.fault = lambda parent, body: None if parent == "p3" else body
        family.parts["p5"].pop()
        for _ in range(2):
            report = family.sync()
            assert report.exit_code == 1
            assert "p3" in str(report.error)
            assert family.living() >= family.ids
            family.clock.advance(3_600)
        family.fault = lambda parent, body: body
        assert family.sync().exit_code == 0
        assert family.living() == family.ids


def test_404_for_an_empty_list_is_believed_a_day_later(tmp_path: Path) -> None:
    with served(a_family(), tmp_path) as family:
        assert family.sync().exit_code == 0
        family.parts["p3"].clear()
        family.fault = lambda parent, body: body if family.parts[parent] else None
        assert family.sync().exit_code == 1
        family.clock.advance(CONFIRMED_AFTER.total_seconds())
        for _ in range(2):
            assert family.sync().exit_code == 0
            assert family.living() == family.ids


def test_404_on_one_day_is_no_proof_for_another_one_weeks_later(tmp_path: Path) -> None:
    with served(a_family(), tmp_path) as family:
        assert family.sync().exit_code == 0
        for _ in range(2):
            family.fault = lambda parent, body: None if parent == "p3" else body
            assert family.sync().exit_code == 1
            assert family.living() == family.ids
            family.fault = lambda parent, body: body
            assert family.sync().exit_code == 0
            family.clock.advance(30 * CONFIRMED_AFTER.total_seconds())


def test_404_for_a_list_that_was_empty_before_says_nothing_new(tmp_path: Path) -> None:
    with served(a_family(), tmp_path) as family:
        family.parts["p3"].clear()
        for emptied in (False, True):
            if emptied:
                family.parts["p4"].pop()
            assert family.sync().exit_code == 0
            assert family.living() == family.ids
            family.fault = lambda parent, body: body if family.parts[parent] else None


def one_answers_404(parent: str, body: Any) -> Any:
    return None if parent == "p3" else body


def test_a_404_takes_no_row_along_when_the_home_folder_was_lost(tmp_path: Path) -> None:
    with served(a_family(), tmp_path) as family:
        assert family.sync().exit_code == 0
        shutil.rmtree(family.settings.home)
        family.fault = one_answers_404
        for _ in range(2):
            assert family.sync().exit_code == 1
            assert family.living() == family.ids
        family.parts["p3"].clear()
        family.clock.advance(CONFIRMED_AFTER.total_seconds())
        assert family.sync().exit_code == 0
        assert family.living() == family.ids


@pytest.mark.parametrize("was_read", [False, True], ids=["new", "empty before"])
def test_a_404_takes_no_row_along_that_a_failed_sync_had_loaded(
    was_read: bool, tmp_path: Path
) -> None:
    """What the list showed is not known as long as no sync read all lists, or it is known from before."""
    with served(a_family(), tmp_path) as family:
        rows = family.parts.pop("p3") if not was_read else list(family.parts["p3"])
        if was_read:
            family.parts["p3"].clear()
        assert family.sync().exit_code == 0
        family.parts |= {"p3": rows, "p9": family.parts.pop("p9")}
        family.fault = lambda parent, body: Told({}, 400) if parent == "p9" else body
        assert family.sync().exit_code == 1
        assert family.living() == family.ids
        family.fault = one_answers_404
        assert family.sync().exit_code == 1
        assert family.living() == family.ids


def test_a_new_parent_whose_empty_list_answers_404_holds_nothing_up(tmp_path: Path) -> None:
    """Some servers answer so. Nothing of a parent is loaded that was never listed."""
    with served(a_family(), tmp_path) as family:
        family.fault = lambda parent, body: body if family.parts[parent] else None
        for number in range(3):
            assert family.sync().exit_code == 0
            assert family.living() == family.ids
            family.parts[f"new{number}"] = []
            family.parts[f"p{number}"].pop()
            family.clock.advance(86_400)


def test_a_404_takes_no_row_along_two_levels_below(tmp_path: Path) -> None:
    with served(a_family(has_bolts=True), tmp_path) as family:
        assert family.sync().exit_code == 0
        family.fault = one_answers_404
        assert family.sync().exit_code == 1
        assert family.living() == family.ids
        assert family.living("bolts") == {f"bolt of {part}" for part in family.ids}


@pytest.mark.parametrize("has_bolts", [False, True], ids=["children", "grandchildren"])
def test_rows_that_went_with_a_parent_explain_none_that_are_absent_the_next_night(
    has_bolts: bool, tmp_path: Path
) -> None:
    family = a_family(parents=3, parts=2, has_bolts=has_bolts)
    family.parts["p0"] = [f"p0-{n}" for n in range(10)]
    with served(family, tmp_path):
        assert family.sync().exit_code == 0
        del family.parts["p0"]
        assert family.sync().exit_code == 0
        assert family.living() == family.ids
        family.fault = FAULTS["empty"]
        for _ in range(2):
            assert family.sync().exit_code == 1
            assert family.living() == family.ids
