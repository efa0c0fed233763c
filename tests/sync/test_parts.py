"""Lists with more pages than a day has requests: read in parts, and everything else has its share."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.plan import Plan, plan
from oa_sync.commands.status import Status, status
from oa_sync.commands.sync import sync_async
from oa_sync.settings import Settings
from oa_sync.workspace.report import SyncReport
from oa_sync.workspace.surroundings import Surroundings
from tests.support.clock import ManualClock
from tests.support.faulty_list import PAGERS, Body
from tests.support.json_api import Server, Told, json_api
from tests.support.memory_target import MemoryStore, MemoryTarget
from tests.support.syncing import run_sync, settings_for

CHANGED = "2026-01-02T03:04:05.678Z"
UNTOLD = {
    "page": {**PAGERS["page"], "total_rows_path": None},
    "offset": {**PAGERS["offset"], "total_path": None},
    "cursor": {**PAGERS["cursor"], "total_path": None},
}
FOUND_OUT: dict[str, Body] = {"auto": {"type": "auto"}}
WAYS = {**PAGERS, **{f"{name}, no total": way for name, way in UNTOLD.items()}, **FOUND_OUT}


@dataclass
class Source:
    """Lists of rows by name, ten a page, each row with a detail."""

    lists: dict[str, list[Body]]
    pager: Mapping[str, Any]
    has_detail: bool = True
    forgets: bool = False
    """Whether cursors and links of an earlier day answer `forgets_as`."""
    forgets_as: int = 400
    allowed: int | None = None
    """Requests that are answered a day, whatever the plan says; None: all."""
    retry_after: str | None = None
    """What a refusal says of the time."""
    repeats_last: bool = False
    """Whether a place behind the end answers with the last page."""
    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    server: Server = field(init=False)
    settings: Settings = field(init=False)

    def sync(self, **options: Any) -> SyncReport:
        self.server.asked.clear()
        target, around = MemoryTarget(self.settings, self.store), Surroundings(self.clock)
        report = asyncio.run(sync_async(self.settings, around=around, target=target, **options))
        assert report.requests.made == len(self.server.asked)
        return report

    def days(self, count: int) -> Iterator[SyncReport]:
        for _ in range(count):
            yield self.sync()
            self.clock.advance(86_400 + 60)

    def loaded(self, name: str) -> list[Body]:
        return [row for row in self.store.rows(name) if row["_oa_deleted_at"] is None]

    def pages(self, name: str) -> list[int]:
        """The first rows of the pages that were asked for by the newest sync."""
        return [self.place(query) for path, query in self.server.asked if path == f"/{name}"]

    def details(self) -> Counter[str]:
        return Counter(path for path, _ in self.server.asked if path.count("/") == 2)

    def place(self, query: Mapping[str, str]) -> int:
        if "page" in query:
            return (int(query["page"]) - 1) * 10
        return int(query.get("offset", query.get("after", "0:0").rpartition(":")[2]))

    def answer(self, path: str, query: dict[str, str]) -> Any:
        name, _, key = path.strip("/").partition("/")
        rows = self.lists[name]
        if self.allowed is not None and len(self.server.asked) > self.allowed:
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return Told({"error": "the daily limit"}, 429, headers=headers)
        if key:
            return next(({**row, "more": key} for row in rows if row["id"] == key), None)
        start = self.place(query)
        day = f"{self.clock.now():%d}"
        if self.forgets and "after" in query and query["after"].partition(":")[0] != day:
            return Told({"error": "no such cursor"}, self.forgets_as)
        if self.repeats_last:
            start = min(start, (len(rows) - 1) // 10 * 10)
        end = start + 10
        onward = f"{day}:{end}" if end < len(rows) else None
        meta: Body = {"total": len(rows), "next": onward}
        if self.pager["type"] in ("json_link", "auto") and onward is not None:
            meta["next"] = f"/{name}?after={onward}"
        return {"data": rows[start:end], "meta": meta}


def rows_of(prefix: str, count: int) -> list[Body]:
    return [{"id": f"{prefix}{n:04d}", "changed": CHANGED} for n in range(count)]


@contextmanager
def served(folder: Path, source: Source, **settings: Any) -> Iterator[Source]:
    class Routes(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            return lambda query: source.answer(path, query)

    resources = [
        {
            "name": name,
            "primary_key": "id",
            "endpoint": {
                "path": name,
                "data_selector": "data",
                "paginator": dict(source.pager),
                "incremental": {"cursor_path": "changed"},
            },
            **({"detail": {"path": f"{name}/{{id}}"}} if source.has_detail else {}),
        }
        for name in source.lists
    ]
    definition = folder / "api.yaml"
    definition.write_text(json.dumps({"name": "api", "resources": resources}))
    with json_api(Routes(), source.clock.now) as server:
        source.server = server
        values = {"source": str(definition), "api_key": None, "reserve": 0.0, **settings}
        source.settings = settings_for(server.base_url, folder, **values)
        yield source


def codes(report: SyncReport) -> list[tuple[str, str]]:
    return [(name, warned.code) for name, warned in report.warnings()]


@pytest.mark.parametrize("way", WAYS)
def test_a_list_longer_than_the_day_is_read_on_where_the_budget_ended(
    way: str, tmp_path: Path
) -> None:
    source = Source({"long": rows_of("a", 205), "short": rows_of("b", 2)}, WAYS[way])
    seen: list[int] = []
    asked: Counter[str] = Counter()
    with served(tmp_path, source, rpd=15) as source:
        for report in source.days(4):
            assert (report.exit_code, report.requests.made) == (3, 15)
            assert ("long", "budget_too_small") in codes(report)
            assert 0 in source.pages("short"), "the list behind it is not starved"
            assert report.tallies["long"].details_fetched > 0
            assert report.tallies["long"].deleted == 0
            seen += source.pages("long")
            asked += source.details()
    assert seen[:21] == [10 * n for n in range(21)], "on and on, no page twice"
    assert set(asked.values()) == {1}, "no detail twice"
    assert len(source.loaded("long")) == 205


@pytest.mark.parametrize("way", ["page", "cursor, no total"])
def test_every_row_and_every_change_comes_in_time(way: str, tmp_path: Path) -> None:
    source = Source({"long": rows_of("a", 205)}, WAYS[way])
    with served(tmp_path, source, rpd=15) as source:
        for _ in source.days(40):
            pass
        assert all(row["more"] for row in source.loaded("long"))
        source.lists["long"][200]["changed"] = "2026-02-01T00:00:00Z"
        for _ in source.days(3):
            pass
        [row] = [row for row in source.loaded("long") if row["id"] == "a0200"]
        assert "2026-02-01" in str(row["_oa_detail_version"])


@pytest.mark.parametrize("way", PAGERS)
def test_a_part_takes_no_row_for_deleted(way: str, tmp_path: Path) -> None:
    source = Source({"long": rows_of("a", 205)}, WAYS[way])
    with served(tmp_path, source, rpd=15) as source:
        for _ in source.days(3):
            pass
        del source.lists["long"][50:53]
        assert [report.tallies["long"].deleted for report in source.days(4)] == [0] * 4
    whole = tmp_path / "more"
    whole.mkdir()
    settings = {"home": tmp_path / "home", "database": source.settings.database}
    with served(whole, source, rpd=0, **settings) as source:
        report = source.sync()
        assert source.pages("long")[0] == 0, "from the top, whatever is remembered"
        assert (report.exit_code, codes(report)) == (0, [])
        assert len(source.loaded("long")) == 202


@pytest.mark.parametrize("way", ["cursor", "link"])
def test_a_place_that_is_gone_begins_anew(way: str, tmp_path: Path) -> None:
    source = Source({"long": rows_of("a", 205)}, WAYS[way], forgets=True)
    with served(tmp_path, source, rpd=15) as source:
        for report in source.days(3):
            assert report.exit_code == 3, report.error
            assert report.tallies["long"].errors == []
            assert source.pages("long")[-1] > 0


@pytest.mark.parametrize("way", ["cursor", "link"])
def test_a_place_that_the_server_fails_at_begins_anew_in_the_next_sync(
    way: str, tmp_path: Path
) -> None:
    """An expired cursor that answers 500 would do so for ever."""
    source = Source({"long": rows_of("a", 205)}, WAYS[way], False, forgets=True, forgets_as=500)
    with served(tmp_path, source, rpd=15) as source:
        read = [(report.exit_code, source.pages("long")) for report in source.days(4)]
    whole = list(range(0, 150, 10))
    assert read == [(3, whole), (1, [150] * 6), (3, whole), (1, [150] * 6)]


def test_a_place_that_is_a_number_is_kept_where_the_server_fails(tmp_path: Path) -> None:
    source = Source({"long": rows_of("a", 205)}, WAYS["offset"], False)
    with served(tmp_path, source, rpd=15) as source:
        days = source.days(3)
        next(days)
        answer = source.answer
        source.answer = lambda path, query: Told({}, 500)  # type: ignore[method-assign]
        assert next(days).exit_code == 1
        source.answer = answer  # type: ignore[method-assign]
        next(days)
        assert source.pages("long") == [*range(150, 210, 10)]


@pytest.mark.parametrize("retry_after", [None, "70000"])
@pytest.mark.parametrize("way", WAYS)
def test_a_true_limit_below_the_plan_is_gone_on_with_where_the_server_refused(
    way: str, retry_after: str | None, tmp_path: Path
) -> None:
    source = Source({"long": rows_of("a", 115)}, WAYS[way], False, allowed=5)
    source.retry_after = retry_after
    with served(tmp_path, source, rpd=500) as source:
        starts = [(report.exit_code, source.pages("long")[0]) for report in source.days(4)]
        assert [start for _, start in starts] == [0, 50, 100, 0]
        assert [code for code, _ in starts] == [3, 3, 3, 3] if retry_after else [1, 1, 3, 1]
        assert len(source.loaded("long")) == 115
        source.allowed = None
        assert [report.exit_code for report in source.days(2)] == [3, 0]
        assert source.pages("long")[0] == 0


@pytest.mark.parametrize("way", ["page, no total", "offset, no total"])
def test_a_list_that_became_shorter_than_the_place_is_begun_anew(way: str, tmp_path: Path) -> None:
    """Its server answers with the last page to all that lies beyond the end."""
    source = Source({"long": rows_of("a", 205)}, WAYS[way], repeats_last=True)
    with served(tmp_path, source, rpd=15) as source:
        for _ in source.days(2):
            pass
        del source.lists["long"][95:]
        pages: list[int] = []
        for report in source.days(3):
            assert report.tallies["long"].errors == []
            pages += source.pages("long")
        assert 0 in pages


@pytest.mark.parametrize("way", PAGERS)
def test_a_list_without_details_takes_all_of_the_day(way: str, tmp_path: Path) -> None:
    source = Source({"long": rows_of("a", 205)}, WAYS[way], has_detail=False)
    with served(tmp_path, source, rpd=15) as source:
        first, second = source.days(2)
        assert (first.requests.made, second.requests.made) == (15, 6)
        assert len(source.loaded("long")) == 205


def test_small_lists_are_read_whole_beside_long_ones(tmp_path: Path) -> None:
    lists = {"small": rows_of("a", 25), "long": rows_of("b", 500), "other": rows_of("c", 500)}
    source = Source(lists, WAYS["page"])
    with served(tmp_path, source, rpd=40) as source:
        for _ in source.days(6):
            pass
        del lists["small"][0]
        reports = list(source.days(2))
        assert sum(report.tallies["small"].deleted for report in reports) == 1
        assert {name for name, _ in codes(reports[0])} == {"long", "other"}


def test_a_list_that_fits_is_read_as_ever(tmp_path: Path) -> None:
    """To the digit: 21 pages first, then details."""
    source = Source({"long": rows_of("a", 205)}, WAYS["page"])
    with served(tmp_path, source, rpd=30) as source:
        first, second = source.days(2)
        assert (len(source.pages("long")), codes(first), codes(second)) == (21, [], [])
        assert [report.tallies["long"].details_fetched for report in (first, second)] == [9, 9]


def test_a_day_that_is_nearly_spent_is_no_budget_that_is_too_small(tmp_path: Path) -> None:
    """The list fits into a day; the second sync of it has what the first one left."""
    source = Source({"long": rows_of("a", 105)}, WAYS["page"])
    with served(tmp_path, source, rpd=121) as source:
        reports = [source.sync(), source.sync()]
        assert [report.exit_code for report in reports] == [0, 3]
        assert [codes(report) for report in reports] == [[], []]
        source.clock.advance(86_400 + 60)
        assert source.sync().exit_code == 0
        assert len(source.pages("long")) == 11, "from the top again"


def test_the_warning_says_what_would_be_enough(tmp_path: Path) -> None:
    source = Source({"long": rows_of("a", 205)}, WAYS["page"])
    with served(tmp_path, source, rpd=15) as source:
        [warning] = source.sync().as_json()["warnings"]
        assert (warning["code"], warning["resource"]) == ("budget_too_small", "long")
        assert "21 pages" in warning["message"]
        assert "the plan free" in warning["message"]
    other = tmp_path / "other"
    other.mkdir()
    with served(other, source, max_requests=15) as source:
        [warning] = source.sync().as_json()["warnings"]
        assert "--max-requests above 21" in warning["message"]


# -- what status and plan say of a budget ----------------------------------------------------------


def test_status_and_plan_say_that_lists_alone_take_all(tmp_path: Path) -> None:
    rows = {"long": rows_of("a", 205)}
    source = Source(rows, WAYS["page"])
    with served(tmp_path, source, rpd=15) as source:
        for _ in range(2):
            [planned] = as_json(plan(source.settings, source.clock))
            assert (planned["code"], planned["plan"]) == ("budget_too_small", "free")
            assert (planned["needed_a_day"], planned["allowed_a_day"]) == (22, 15)
            run_sync(source.settings, clock=source.clock)
            [told] = as_json(status(source.settings, source.clock))
            assert (told["code"], told["resource"]) == ("budget_too_small", "long")
            source.clock.advance(86_400 + 60)


@pytest.mark.parametrize("daily", [11, 40], ids=["too small", "enough"])
def test_status_and_plan_say_that_rows_change_too_fast(daily: int, tmp_path: Path) -> None:
    """Ten rows a day change; a day has one request for the list, and ten or more for details."""
    source = Source({"things": rows_of("a", 10), "more": rows_of("b", 10)}, WAYS["page"])
    with served(tmp_path, source, rpd=daily) as source:
        for day in range(5):
            for name in source.lists:
                for row in source.lists[name]:
                    row["changed"] = f"2026-01-0{day + 1}T00:00:00Z"
            run_sync(source.settings, clock=source.clock)
            source.clock.advance(86_400 + 60)
        for told in (status(source.settings, source.clock), plan(source.settings, source.clock)):
            warned = [one for one in as_json(told) if one["code"] == "changes_too_fast"]
            if daily == 40:
                assert warned == []
            else:
                [one] = warned
                assert (one["needed_a_day"], one["plan"]) == (22, "free")
                assert "20 rows a day" in one["message"]


def as_json(told: Plan | Status) -> list[Body]:
    warnings: list[Body] = told.as_json()["warnings"]
    return warnings
