"""Declared queries: run by every sync, on from what is loaded, told like resources."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.sync import sync
from oa_sync.errors import ConfigurationError
from oa_sync.settings import Settings
from tests.faults.processes import Point, sync_until
from tests.queries.sales import declared, sell, workspace
from tests.support.emulator import emulator
from tests.support.syncing import query, run_sync

NEW_SALES = """
name: new_sales
sql: SELECT day, amount FROM data WHERE day > :last_date
write_disposition: append
incremental: {cursor_path: day, initial_value: "2026-01-01"}
"""
TOTAL = """
name: total
sql: SELECT sum(amount)::BIGINT AS total FROM data
"""
BY_DAY = """
name: by_day
sql: SELECT day, sum(amount)::BIGINT AS total FROM data WHERE day >= :since GROUP BY day
table: daily
write_disposition: merge
primary_key: day
incremental: {cursor_path: day, initial_value: "2026-01-01"}
"""
BROKEN = """
name: broken
sql: SELEC nothing
"""
SALES = (("2026-01-01", 1), ("2026-01-02", 2), ("2026-01-03", 3))
LATER = (*SALES, ("2026-01-03", 10), ("2026-01-04", 4))


def amounts(settings: Settings) -> list[tuple[Any, ...]]:
    return query(settings, "SELECT position, amount FROM query_new_sales ORDER BY position")


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_an_incremental_query_goes_on_from_the_largest_loaded_value(
    dialect: str, tmp_path: Path
) -> None:
    with emulator(workspace(*SALES), dialect=dialect) as server:
        settings = declared(server, tmp_path, dialect, NEW_SALES)
        first = run_sync(settings)
        assert amounts(settings) == [(0, 2), (1, 3)]
        again = run_sync(settings)
        assert (again.tallies["new_sales"].new, again.rows) == (0, {"syncs": 1})
        sell(server, *LATER)
        second = run_sync(settings)
    assert amounts(settings) == [(0, 2), (1, 3), (2, 4)]
    assert first.tallies["new_sales"].new == 2
    assert first.rows["query_new_sales"] == 2
    assert second.tallies["new_sales"].new == 1
    assert query(settings, "SELECT max(day) FROM query_new_sales") == [(date(2026, 1, 4),)]
    assert query(settings, "SELECT status FROM syncs") == [("complete",)] * 3


def test_the_loaded_value_is_read_back_so_a_lost_home_repeats_nothing(tmp_path: Path) -> None:
    with emulator(workspace(*SALES)) as server:
        settings = declared(server, tmp_path, "page", NEW_SALES)
        run_sync(settings)
        run_sync(declared(server, tmp_path, "page", NEW_SALES, home=tmp_path / "elsewhere"))
    assert amounts(settings) == [(0, 2), (1, 3)]


def test_replaced_and_merged_tables_follow_the_source(tmp_path: Path) -> None:
    with emulator(workspace(*SALES)) as server:
        settings = declared(server, tmp_path, "page", TOTAL, BY_DAY)
        run_sync(settings)
        sell(server, *LATER)
        run_sync(settings)
    assert query(settings, "SELECT position, total FROM query_total") == [(0, 20)]
    days = query(settings, "SELECT day::VARCHAR, total FROM daily ORDER BY day")
    assert [total for _, total in days] == [1, 2, 13, 4]


def test_a_full_refresh_begins_at_the_initial_value_and_leaves_nothing_double(
    tmp_path: Path,
) -> None:
    with emulator(workspace(*SALES)) as server:
        settings = declared(server, tmp_path, "page", NEW_SALES)
        run_sync(settings)
        run_sync(settings, full_refresh=True)
    assert amounts(settings) == [(0, 2), (1, 3)]


def test_a_failing_query_is_told_under_its_name_and_stops_no_other(tmp_path: Path) -> None:
    with emulator(workspace(*SALES)) as server:
        settings = declared(server, tmp_path, "page", BROKEN, TOTAL)
        report = sync(settings)
    assert (report.status, report.exit_code) == ("failed", 1)
    [error] = report.tallies["broken"].errors
    assert "query broken: POST queries answered 422" in str(error)
    assert report.error is error
    assert query(settings, "SELECT total FROM query_total") == [(6,)]
    assert query(settings, "SELECT count(*) FROM datasets") == [(1,)]
    assert query(settings, "SELECT status FROM syncs") == [("failed",)]


def test_queries_without_an_answer_are_not_all_tried(tmp_path: Path) -> None:
    queries = [TOTAL.replace("total", f"total_{n}") for n in range(4)]
    with emulator(workspace(*SALES)) as server:
        settings = declared(server, tmp_path, "page", *queries)
        run_sync(settings, "datasets")
        server.emulator.faults.set("reset=1,paths=/queries")
        server.state.counters.reset()
        report = sync(settings, [f"total_{n}" for n in range(4)])
        assert server.state.counters.total == report.requests.made == 2
    tallies = [report.tallies[f"total_{n}"] for n in range(4)]
    assert [len(tally.errors) for tally in tallies] == [1, 1, 0, 0]
    assert [tally.backlog for tally in tallies] == [0, 0, 1, 1]


def test_an_increment_of_nothing_leaves_the_rows_that_hold_the_cursor(tmp_path: Path) -> None:
    replaced = NEW_SALES.replace("append", "replace")
    with emulator(workspace(*SALES)) as server:
        settings = declared(server, tmp_path, "page", replaced)
        for _ in range(3):
            run_sync(settings, "new_sales")
            assert amounts(settings) == [(0, 2), (1, 3)]


def test_a_sync_may_be_limited_to_a_query(tmp_path: Path) -> None:
    with emulator(workspace(*SALES)) as server:
        settings = declared(server, tmp_path, "page", TOTAL, BROKEN)
        report = run_sync(settings, "total")
        assert report.requests.made == server.state.counters.total == 1
        assert list(report.tallies) == ["total"]
        with pytest.raises(ConfigurationError, match=r"it has datasets, .*total, broken"):
            sync(settings, ["nothing"])


def test_queries_wait_for_the_next_sync_when_the_budget_has_ended(tmp_path: Path) -> None:
    with emulator(workspace(*SALES)) as server:
        settings = declared(server, tmp_path, "page", TOTAL, NEW_SALES)
        needed = run_sync(settings, "datasets", "reports", "dashboards").requests.made
        again = declared(server, tmp_path, "page", TOTAL, NEW_SALES, max_requests=needed)
        report = run_sync(again)
        assert (report.status, report.exit_code) == ("partial", 3)
        backlog = {name: report.tallies[name].backlog for name in ("total", "new_sales")}
        assert sum(backlog.values()) >= 1
        assert report.requests.made == needed
        assert run_sync(settings).status == "complete"
    assert amounts(settings) == [(0, 2), (1, 3)]


ASKED = "oa_sync.extract.jobs.queries:QueryRunner.run"
LOADED = "oa_sync.commands.results.declared:load_result"
DLT = "dlt.pipeline.pipeline:Pipeline"
PACKAGE = 4
"""The query's among dlt's packages: what the rows are read with, the child tables of the resources and their own come
before."""

KILLS = [
    (Point(ASKED, "before"), False),
    (Point("oa_sync.tables.results:_Result._learn", "after"), False),
    (Point("oa_sync.load.dlt.warehouse:Warehouse.load", "before", 3), False),
    (Point(f"{DLT}.normalize", "before", PACKAGE), False),
    (Point(f"{DLT}.load", "before", PACKAGE), False),
    (Point(f"{DLT}.load", "after", PACKAGE), True),
    (Point("oa_sync.load.dlt.warehouse:Warehouse.load", "after", 3), True),
    (Point(LOADED, "after"), True),
]
"""Where the first sync is killed, and whether the result of its query is loaded by then."""


@pytest.mark.parametrize(("kill", "is_loaded"), KILLS, ids=str)
def test_a_kill_at_any_point_neither_loses_nor_doubles_a_row(
    kill: Point, is_loaded: bool, tmp_path: Path
) -> None:
    with emulator(workspace(*SALES)) as server:
        settings = declared(server, tmp_path, "page", NEW_SALES)
        sync_until(kill, settings)
        if is_loaded:
            assert amounts(settings) == [(0, 2), (1, 3)]
        sell(server, *SALES, ("2026-01-04", 4))
        run_sync(settings)
        run_sync(settings)
    assert amounts(settings) == [(0, 2), (1, 3), (2, 4)]


@pytest.mark.parametrize(
    ("initial", "form"),
    [
        ("2026-01-01 00:00:00", "2026-01-02 10:30:00"),
        ("2026-01-01T00:00:00", "2026-01-02T10:30:00"),
        ("2026-01-01T00:00:00Z", "2026-01-02T10:30:00Z"),
        ("2026-01-01", "2026-01-02T10:30:00Z"),
    ],
)
def test_an_instant_goes_back_in_the_form_of_the_initial_value(
    initial: str, form: str, tmp_path: Path
) -> None:
    echo = f"""
name: echo
sql: SELECT '2026-01-02 10:30:00' AS at, concat('<', :last, '>') AS sent
write_disposition: append
incremental: {{cursor_path: at, initial_value: "{initial}"}}
"""
    with emulator(workspace(*SALES)) as server:
        settings = declared(server, tmp_path, "page", echo)
        run_sync(settings, "echo")
        run_sync(settings, "echo")
    sent = query(settings, "SELECT sent FROM query_echo ORDER BY position")
    assert sent == [(f"<{initial}>",), (f"<{form}>",)]


def test_a_cursor_of_several_kinds_is_told_before_a_request_is_spent(tmp_path: Path) -> None:
    mixed = """
name: mixed
sql: SELECT amount FROM data WHERE :c IS NOT NULL
write_disposition: append
incremental: {cursor_path: amount, initial_value: 0}
"""
    with emulator(workspace(*SALES)) as server:
        settings = declared(server, tmp_path, "page", mixed)
        run_sync(settings, "mixed")
        server.state.update("reports", "rpt_1", {"data": [{"amount": "many"}]})
        run_sync(settings, "mixed")
        before = server.state.counters.total
        report = sync(settings, ["mixed"])
        assert server.state.counters.total == before
    assert "query mixed: the cursor amount has held values of several kinds" in str(report.error)
