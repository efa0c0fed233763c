"""The lists of parents: read in turn where a day cannot pay for all, and each with its own failures."""

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
from oa_sync.extract.lists.reading import FAILURES_IN_A_ROW
from oa_sync.extract.lists.turns import Turn, Turns, requests_for
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from oa_sync.workspace.surroundings import Surroundings
from tests.support.clock import ManualClock
from tests.support.json_api import Server, Told, json_api
from tests.support.memory_target import MemoryStore, MemoryTarget
from tests.support.syncing import settings_for

Body = dict[str, Any]


@dataclass
class Library:
    """Shelves, and for each of them its books in pages of ten, of which each may have a detail."""

    shelves: list[Body]
    books: int = 1
    """On each shelf."""
    has_detail: bool = False
    faulty: dict[str, Told] = field(default_factory=dict)
    """What the list of these shelves answers instead."""
    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    server: Server = field(init=False)
    settings: Settings = field(init=False)

    def sync(self) -> SyncReport:
        self.server.asked.clear()
        target, around = MemoryTarget(self.settings, self.store), Surroundings(self.clock)
        report = asyncio.run(sync_async(self.settings, around=around, target=target))
        assert report.requests.made == len(self.server.asked)
        self.clock.advance(86_400 + 60)
        return report

    def asked(self) -> list[str]:
        """The shelves whose lists were asked for by the newest sync, in turn."""
        paths = [path.strip("/").split("/") for path, _ in self.server.asked]
        return list(dict.fromkeys(path[1] for path in paths if path[-1] == "books"))

    def loaded(self) -> set[str]:
        return {row["id"] for row in self.store.rows("books") if row["_oa_deleted_at"] is None}

    def answer(self, path: str, query: dict[str, str]) -> Any:
        match path.strip("/").split("/"):
            case ["shelves"]:
                return {"data": self.shelves}
            case ["shelves", shelf, "books"] if shelf in self.faulty:
                return self.faulty[shelf]
            case ["shelves", shelf, "books"]:
                start = (int(query["page"]) - 1) * 10
                ids = [f"{shelf}-{n}" for n in range(self.books)][start : start + 10]
                return {"data": [{"id": one} for one in ids], "meta": {"total": self.books}}
            case ["books", book]:
                return {"id": book, "title": book}
        return None


def shelves(count: int) -> list[Body]:
    return [{"id": f"s{n:02d}", "room": "north"} for n in range(count)]


@contextmanager
def served(library: Library, folder: Path, **settings: Any) -> Iterator[Library]:
    class Routes(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            return lambda query: library.answer(path, query)

    resolved = {
        name: {"type": "resolve", "resource": "shelves", "field": field}
        for name, field in {"shelf": "id", "room": "room"}.items()
    }
    pager = {
        "type": "page_number",
        "base_page": 1,
        "page_param": "page",
        "total_rows_path": "meta.total",
    }
    whole = {"path": "shelves", "data_selector": "data", "paginator": {"type": "single_page"}}
    books = {
        "path": "shelves/{shelf}/books",
        "params": resolved,
        "data_selector": "data",
        "paginator": pager,
    }
    detail = {"detail": {"path": "books/{id}"}} if library.has_detail else {}
    definition = folder / "library.yaml"
    definition.write_text(
        json.dumps(
            {
                "name": "library",
                "resources": [
                    {"name": "shelves", "primary_key": "id", "endpoint": whole},
                    {"name": "books", "primary_key": "id", "endpoint": books, **detail},
                ],
            }
        )
    )
    with json_api(Routes(), library.clock.now) as server:
        library.server = server
        values = {"source": str(definition), "api_key": None, "reserve": 0.0, **settings}
        library.settings = settings_for(server.base_url, folder, **values)
        yield library


# -- in turn ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("books", [1, 15], ids=["a page each", "two pages each"])
def test_lists_of_parents_are_read_on_where_the_budget_ended(books: int, tmp_path: Path) -> None:
    with served(Library(shelves(30), books), tmp_path, rpd=13) as library:
        asked: list[str] = []
        for _ in range(6):
            report = library.sync()
            assert (report.exit_code, report.tallies["books"].deleted) == (3, 0)
            assert [warned.code for _, warned in report.warnings()] == ["budget_too_small"]
            asked += library.asked()
        assert len(library.loaded()) == 30 * books
        assert [int(shelf[1:]) for shelf in asked[:30]] == list(range(30)), "each in its turn"


def test_details_have_their_share_beside_the_lists_of_parents(tmp_path: Path) -> None:
    with served(Library(shelves(30), has_detail=True), tmp_path, rpd=13) as library:
        fetched = [library.sync().tallies["books"].details_fetched for _ in range(12)]
        assert sum(fetched) == 30, "none twice"
        assert all(row["title"] for row in library.store.rows("books"))


def test_with_a_budget_for_all_they_are_read_from_the_first_one_on(tmp_path: Path) -> None:
    with served(Library(shelves(30)), tmp_path, rpd=13) as library:
        library.sync()
        more = {"home": library.settings.home, "database": library.settings.database}
        (tmp_path / "more").mkdir()
        with served(library, tmp_path / "more", rpd=31, **more):
            for _ in range(2):
                report = library.sync()
                assert (report.exit_code, [*report.warnings()]) == (0, [])
                assert library.asked() == [shelf["id"] for shelf in library.shelves]


def test_a_parent_that_went_meanwhile_begins_the_turns_anew(tmp_path: Path) -> None:
    with served(Library(shelves(30)), tmp_path, rpd=13) as library:
        library.sync()
        del library.shelves[12]
        library.sync()
        assert library.asked()[0] == "s00"


def test_a_turn_is_remembered_as_json_and_anything_else_is_none() -> None:
    turn = Turn("s01", 20, 10)
    assert Turn.from_fact(json.loads(json.dumps(turn.as_fact()))) == turn
    facts: list[Any] = [None, 1, {}, {"next": 1, "pages": 1, "parents": 1}]
    assert [Turn.from_fact(fact) for fact in facts] == [None] * 4


def test_at_least_one_list_is_read_and_none_is_begun_beyond_the_share() -> None:
    turns = Turns(["a", "b", "c"], Turn("b", 1, 1), 2)
    assert turns.order == ["b", "c", "a"]
    assert turns.may_begin(5)
    turns.end_one()
    assert [turns.may_begin(pages) for pages in (1, 2, 3)] == [True, False, False]
    assert turns.reached(7) == Turn("c", 7, 1)
    turns.end_one()
    turns.end_one()
    assert turns.reached(9) is None


@pytest.mark.parametrize(
    "before, requests",
    [(None, 30), (Turn("s", 0, 0), 30), (Turn("s", 20, 10), 60), (Turn("s", 5, 10), 30)],
)
def test_the_requests_for_all_lists_are_told_by_those_that_were_read(
    before: Turn | None, requests: int
) -> None:
    assert requests_for(30, before) == requests


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_list_that_fails_keeps_no_other_one_out(status: int, tmp_path: Path) -> None:
    library = Library(shelves(6), faulty={"s01": Told({"error": "no"}, status)})
    with served(library, tmp_path, rpd=0):
        report = library.sync()
        assert (report.exit_code, len(report.tallies["books"].errors)) == (1, 1)
        assert library.loaded() == {f"s{n:02d}-0" for n in (0, 2, 3, 4, 5)}
        library.faulty.clear()
        assert library.sync().exit_code == 0
        assert len(library.loaded()) == 6


def test_a_parent_without_the_value_to_ask_by_keeps_no_other_one_out(tmp_path: Path) -> None:
    with served(Library(shelves(6)), tmp_path, rpd=0) as library:
        library.shelves[1]["room"] = None
        report = library.sync()
        assert report.exit_code == 1
        assert "no 'room'" in str(report.error)
        assert len(library.loaded()) == 5


def test_rows_of_a_list_that_fails_are_not_taken_for_deleted(tmp_path: Path) -> None:
    with served(Library(shelves(6)), tmp_path, rpd=0) as library:
        assert library.sync().exit_code == 0
        library.faulty["s01"] = Told({"error": "no"}, 422)
        for _ in range(3):
            assert library.sync().exit_code == 1
            assert len(library.loaded()) == 6


@pytest.mark.parametrize("status", [401, 422, 503])
def test_lists_that_all_fail_are_not_all_asked_for(status: int, tmp_path: Path) -> None:
    faulty = {shelf["id"]: Told({"error": "no"}, status) for shelf in shelves(20)}
    with served(Library(shelves(20), faulty=faulty), tmp_path, rpd=0) as library:
        report = library.sync()
        assert report.exit_code == (5 if status == 401 else 1)
        assert len(library.asked()) == (1 if status == 401 else FAILURES_IN_A_ROW)
