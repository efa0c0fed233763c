"""What a run does with fewer requests than it could use; every number is held against the server's."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.clock import isoformat
from oa_sync.emulator.data import Workspace
from oa_sync.emulator.server import RunningEmulator
from oa_sync.extract.details.tasks import in_order
from oa_sync.extract.lists.changes import Change, Known, Listed
from oa_sync.extract.lists.scan import Pending, Scan
from oa_sync.settings import Settings
from tests.support.clock import START, ManualClock
from tests.support.emulator import HEADERS, HTTP, emulator, workspace_of
from tests.support.syncing import query, run_sync, settings_for

LISTS = 3
"""Requests for the lists of the page dialect when each has one page and runs are known to be missing."""


def small_workspace(reports: int = 12, datasets: int = 4) -> Workspace:
    def head(kind: str, number: int) -> dict[str, Any]:
        return {"id": f"{kind}{number:02d}", "name": kind, "updated_at": "2026-01-01T00:00:00Z"}

    return workspace_of(
        reports=[{**head("r", n), "data": [{"n": n}]} for n in range(reports)],
        datasets=[{**head("d", n), "columns": []} for n in range(datasets)],
        dashboards=[{**head("b", 0), "panels": []}],
    )


def backlog_of(settings: Settings, table: str) -> int:
    [(number,)] = query(
        settings,
        f"SELECT count(*) FROM {table} WHERE _oa_deleted_at IS NULL"
        " AND _oa_detail_version IS DISTINCT FROM _oa_version",
    )
    return int(number)


def requested(server: RunningEmulator) -> list[str]:
    """Paths in the order of arrival, without `/v1/` and query."""
    log = server.state.counters.log
    return [entry.path.partition("?")[0].removeprefix("/v1/") for entry in log]


def test_max_requests_is_never_passed_and_what_it_bought_is_loaded(tmp_path: Path) -> None:
    with emulator(small_workspace()) as server:
        settings = settings_for(server.base_url, tmp_path, max_requests=11)
        report = run_sync(settings)
        assert server.state.counters.total == report.requests.made == 11
        assert (report.status, report.exit_code, report.requests.budget) == ("partial", 3, 11)
        # Four list requests, one of them for agent runs, which are not there; then the datasets.
        assert server.state.counters.details.keys() >= {"d00", "d01", "d02", "d03"}
        assert report.tallies["reports"].details_fetched == 3
        assert query(settings, "SELECT count(*) FROM reports") == [(12,)]
        assert query(settings, "SELECT count(*) FROM report_rows") == [(3,)]
        told = {name: tally.backlog for name, tally in report.tallies.items()}
        assert told == {"datasets": 0, "reports": 9, "dashboards": 0, "agent_runs": 0}
        assert backlog_of(settings, "reports") == 9


def test_a_run_that_max_requests_ended_can_go_on_at_once(tmp_path: Path) -> None:
    with emulator(small_workspace()) as server:
        settings = settings_for(server.base_url, tmp_path, max_requests=11)
        reports = [run_sync(settings)]
        while reports[-1].exit_code == 3:
            reports.append(run_sync(settings))
        assert [report.exit_code for report in reports] == [3, 3, 0]
        assert [report.requests.made for report in reports] == [11, 11, LISTS + 1]
        assert set(server.state.counters.details.values()) == {1}
    first = reports[0].next
    assert first is not None
    assert reports[0].finished_at is not None
    assert first.come_back_at <= reports[0].finished_at
    assert [report.next and report.next.days_left for report in reports] == [2, 1, None]


def test_lists_come_before_details_and_details_by_priority(tmp_path: Path) -> None:
    with emulator(small_workspace()) as server:
        run_sync(settings_for(server.base_url, tmp_path, max_requests=LISTS + 1 + 4))
        paths = requested(server)
    assert paths[: LISTS + 1] == ["datasets", "reports", "dashboards", "agents/runs"]
    # What is asked for side by side may arrive in any order.
    assert sorted(paths[LISTS + 1 :]) == [f"datasets/d{n:02d}" for n in range(4)]


def test_the_reserve_is_left_for_others(tmp_path: Path) -> None:
    clock = ManualClock()
    with emulator(small_workspace(), clock=clock, rpd=20) as server:
        settings = settings_for(server.base_url, tmp_path, rpd=20, reserve=0.25)
        report = run_sync(settings, clock=clock)
        assert report.exit_code == 3
        assert server.state.counters.total == report.requests.made == report.requests.budget == 15
        assert report.requests.left_today == 5
        assert report.requests.resets_at is not None
        # 4 lists and 11 details of 16 are sent; the agent runs are not asked for again.
        assert report.next is not None
        assert report.next.days_left == 1
        assert "5 are kept for others" in str(report.error)


def test_what_others_spent_is_not_spent_again(tmp_path: Path) -> None:
    """A second destination is another sync of the same key: the day's budget is one."""
    clock = ManualClock()
    with emulator(small_workspace(), clock=clock, rpd=30) as server:
        one, two = (
            settings_for(
                server.base_url, tmp_path, rpd=30, reserve=0.0, database=tmp_path / f"{name}.duckdb"
            )
            for name in ("one", "two")
        )
        assert run_sync(one, clock=clock).exit_code == 0
        second = run_sync(two, clock=clock)
        assert (second.exit_code, second.requests.budget) == (3, 10)
        assert server.state.counters.total == 30
        assert server.state.counters.over_limit == 0


def test_the_days_that_are_left_are_the_days_that_it_takes(tmp_path: Path) -> None:
    clock = ManualClock()
    with emulator(small_workspace(), clock=clock, rpd=9) as server:
        settings = settings_for(server.base_url, tmp_path, rpd=9, reserve=0.0)
        reports = [run_sync(settings, clock=clock)]
        while (following := reports[-1].next) is not None:
            assert following.come_back_at > clock.now()
            clock.advance((following.come_back_at - clock.now()).total_seconds())
            reports.append(run_sync(settings, clock=clock))
        # 5 details on the first day, then 6 a day.
        days_left = [report.next.days_left if report.next else 0 for report in reports]
        assert days_left == [2, 1, 0]
        assert [report.requests.made for report in reports] == [9, 9, LISTS + 5]
        assert server.state.counters.over_limit == 0


def test_a_backlog_that_was_not_reached_is_told_all_the_same(tmp_path: Path) -> None:
    clock = ManualClock()
    with emulator(small_workspace(), clock=clock, rpd=9) as server:
        settings = settings_for(server.base_url, tmp_path, rpd=9, reserve=0.0)
        run_sync(settings, clock=clock)
        server.state.counters.reset()
        idle = run_sync(settings, clock=clock)
        assert server.state.counters.total == idle.requests.made == 0
        assert idle.exit_code == 3
        assert idle.tallies["reports"].backlog == 11 == backlog_of(settings, "reports")
        assert idle.as_json()["resources"]["datasets"]["backlog"] == 0


def test_a_quota_that_resets_at_midnight_is_whole_then(tmp_path: Path) -> None:
    clock = ManualClock(START.replace(hour=23))
    with emulator(small_workspace(), clock=clock, rpd=9, day="calendar-utc") as server:
        settings = settings_for(server.base_url, tmp_path, rpd=9, reserve=0.0, quota_day="UTC")
        first = run_sync(settings, clock=clock)
        assert first.next is not None
        midnight = (START + timedelta(days=1)).replace(hour=0)
        assert midnight <= first.next.come_back_at <= midnight + timedelta(minutes=1)
        clock.advance((first.next.come_back_at - clock.now()).total_seconds())
        assert run_sync(settings, clock=clock).requests.made == 9
        assert server.state.counters.over_limit == 0


@pytest.mark.parametrize("server_limit", [0, 2, 7], ids=["at once", "in a list", "in details"])
def test_a_long_refusal_ends_the_run_and_says_until_when(server_limit: int, tmp_path: Path) -> None:
    """The plan says 100 a day, the server thinks less: its word counts, now and for the next run."""
    clock = ManualClock()
    with emulator(small_workspace(), clock=clock, rpd=max(1, server_limit)) as server:
        if not server_limit:
            HTTP.get(f"{server.base_url}/reports", headers=HEADERS)
            server.state.counters.reset()
        settings = settings_for(server.base_url, tmp_path, rpd=100, reserve=0.0)
        report = run_sync(settings, clock=clock)
        assert report.exit_code == 3
        assert report.requests.made == server.state.counters.total
        refused = server.state.counters.over_limit
        assert report.requests.rate_limited == refused >= 1
        assert report.error is not None
        assert report.error.code == "budget_exhausted"
        assert report.requests.resets_at is not None
        assert report.requests.resets_at > clock.now() + timedelta(hours=23)
        if server_limit:
            assert report.next is not None
            assert report.next.come_back_at == report.requests.resets_at
        if server_limit > LISTS:
            assert backlog_of(settings, "reports") == report.tallies["reports"].backlog > 0
        assert run_sync(settings, clock=clock).requests.made == 0
        clock.advance(86_400 + 1)
        assert run_sync(settings, clock=clock).requests.made > 0


def test_a_budget_that_ends_in_a_list_loads_its_rows_and_deletes_nothing(tmp_path: Path) -> None:
    with emulator(small_workspace(), max_per_page=5) as server:
        run_sync(settings_for(server.base_url, tmp_path), "datasets", "reports")
        server.state.delete("reports", "r11")
        server.state.update("reports", "r00", {"name": "renamed"})
        settings = settings_for(server.base_url, tmp_path, max_requests=2)
        report = run_sync(settings, "datasets", "reports")
        assert (report.exit_code, report.tallies["reports"].deleted) == (3, 0)
        assert query(settings, "SELECT name FROM reports WHERE id = 'r00'") == [("renamed",)]
        living = "SELECT count(*) FROM reports WHERE _oa_deleted_at IS NULL"
        assert query(settings, living) == [(12,)]


def test_lists_that_take_every_request_are_told_to(tmp_path: Path) -> None:
    with emulator(small_workspace(), max_per_page=5) as server:
        settings = settings_for(server.base_url, tmp_path, max_requests=2)
        report = run_sync(settings, "datasets", "reports")
    assert report.next is not None
    assert report.next.days_left is None


def test_the_sync_is_recorded_with_what_is_left_to_do(tmp_path: Path) -> None:
    with emulator(small_workspace()) as server:
        settings = settings_for(server.base_url, tmp_path, max_requests=11)
        report = run_sync(settings)
    [(status, backlog, summary)] = query(settings, "SELECT status, backlog, summary FROM syncs")
    assert (status, backlog) == ("partial", 9)
    recorded = orjson.loads(summary)
    assert recorded["next"] == report.as_json()["next"]
    assert report.next is not None
    assert recorded["next"]["come_back_at"] == isoformat(report.next.come_back_at)


# -- the order of details ---------------------------------------------------------------------------


def scan_of(name: str, priority: int, loaded: list[str | None]) -> Scan:
    """A finished scan whose rows all want a detail; `loaded` are the versions of loaded details."""
    from oa_sync.definitions.model import Detail, Endpoint, Resource

    resource = Resource(
        name=name,
        endpoint=Endpoint(path=name),
        primary_key=("id",),
        detail=Detail(path=f"{name}/{{id}}"),
        priority=priority,
    )
    result = Scan(resource, {}, finished=True)
    for number, version in enumerate(loaded):
        key = f"{name}{number:03d}"
        known = None if version is None else Known("9", "", version, deleted=False)
        listed = Listed(key, (key,), "9", "", full=False, row={"id": key})
        result.pending[key] = Pending(listed, Change.CHANGED, known, b"", True)
    return result


VERSIONS = st.lists(st.none() | st.sampled_from(["1", "2", "3"]), max_size=8)


@given(st.lists(st.tuples(st.integers(0, 2), VERSIONS), max_size=4))
def test_details_go_by_priority_then_staleness_then_in_turns(
    resources: list[tuple[int, list[str | None]]],
) -> None:
    scans = [scan_of(f"t{n}", *resource) for n, resource in enumerate(resources)]
    tasks = list(in_order(scans))
    assert len(tasks) == sum(len(loaded) for _, loaded in resources)
    priorities = [task.resource.priority for task in tasks]
    assert priorities == sorted(priorities, reverse=True)
    sizes = {scan.resource.name: len(scan.pending) for scan in scans}
    for scan in scans:
        own = [task for task in tasks if task.resource.name == scan.resource.name]
        loaded = [task.pending.known.detail_version if task.pending.known else "" for task in own]
        assert loaded == sorted(loaded, key=str)
    taken: Counter[str] = Counter()
    for task in tasks:
        name = task.resource.name
        # Nobody is more than one turn ahead of another that still has something to ask for.
        rivals = [s.resource for s in scans if s.resource.priority == task.resource.priority]
        waiting = [r.name for r in rivals if taken[r.name] < sizes[r.name]]
        assert taken[name] == min(taken[other] for other in waiting)
        taken[name] += 1


def test_with_more_changes_than_budget_every_row_has_its_turn(tmp_path: Path) -> None:
    clock = ManualClock()
    with emulator(small_workspace(datasets=0), clock=clock) as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings, "reports", clock=clock)
        asked: Counter[str] = Counter()
        budget = settings_for(server.base_url, tmp_path, max_requests=1 + 4)
        for _ in range(3):
            clock.advance(3_600)
            for key in server.state.ids("reports"):
                server.state.update("reports", key, {"updated_at": isoformat(clock.now())})
            clock.advance(60)
            server.state.counters.reset()
            run_sync(budget, "reports", clock=clock)
            asked += server.state.counters.details
    assert set(asked.values()) == {1}
    assert len(asked) == 12
