"""What a sync costs: the pages of the list, a detail for each change, and nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.plan import Plan, plan
from oa_sync.emulator.server import RunningEmulator
from oa_sync.emulator.synthetic import Size, synthetic_workspace
from oa_sync.settings import Settings
from tests.support.emulator import emulator
from tests.support.syncing import query, run_sync, settings_for

REPORTS = 300
PAGES = 15


@contextmanager
def workspace(folder: Path, **options: Any) -> Iterator[tuple[RunningEmulator, Settings]]:
    """300 reports at 20 a page; settings that do not know the dialect yet."""
    source = synthetic_workspace(Size(reports=REPORTS, rows=2))
    with emulator(source, max_per_page=REPORTS // PAGES, **options) as server:
        yield server, settings_for(server.base_url, folder)


def listed(planned: Plan) -> int:
    """Requests that a plan has for the list of reports."""
    [lists] = [one.cost.lists for one in planned.resources if one.name == "reports"]
    return lists


def cost(server: RunningEmulator, settings: Settings) -> int:
    """Requests of one sync by the server's count; the reports must be equal after it."""
    server.state.counters.reset()
    report = run_sync(settings, "reports")
    assert report.status == "complete"
    assert report.requests.made == server.state.counters.total
    alive = "SELECT id FROM reports WHERE _oa_deleted_at IS NULL"
    served = {row["id"]: row["data"] for row in server.state.rows("reports")}
    assert {key for (key,) in query(settings, alive)} == served.keys()
    loaded: dict[str, list[Any]] = {}
    sql = "SELECT report_id, row FROM report_rows ORDER BY report_id, position"
    for key, row in query(settings, sql):
        loaded.setdefault(key, []).append(json.loads(row))
    assert {key: loaded[key] for key in served} == served
    return server.state.counters.total


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_in_any_order_a_sync_costs_the_pages_and_one_request_for_each_change(
    dialect: str, tmp_path: Path
) -> None:
    with workspace(tmp_path, dialect=dialect) as (server, settings):
        assert cost(server, settings) <= REPORTS + PAGES + 1
        assert cost(server, settings) == PAGES
        server.state.touch(3)
        assert cost(server, settings) == PAGES + 3


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_where_the_latest_change_stands_first_only_the_pages_with_changes_are_read(
    dialect: str, tmp_path: Path
) -> None:
    with workspace(tmp_path, dialect=dialect, order="updated_desc") as (server, settings):
        assert cost(server, settings) <= REPORTS + PAGES + 1
        assert cost(server, settings) == 1
        server.state.touch(3)
        assert cost(server, settings) == 1 + 3
        server.state.touch(25)
        assert cost(server, settings) == 2 + 25
        report = run_sync(settings, "reports")
        assert report.tallies["reports"].unchanged == REPORTS


def test_deletions_are_found_in_an_ordered_list_too_whatever_comes_in_their_place(
    tmp_path: Path,
) -> None:
    chance = random.Random(5)
    with workspace(tmp_path, dialect="page", order="updated_desc") as (server, settings):
        cost(server, settings)
        for deleted, inserted, changed in ((1, 0, 0), (1, 1, 0), (3, 5, 2), (2, 2, 3)):
            for key in chance.sample(server.state.ids("reports"), deleted):
                server.state.delete("reports", key)
            for _ in range(inserted):
                server.state.insert("reports")
            server.state.touch(changed)
            # Pages, details, and one request for each id that is absent from a list with new rows.
            assert cost(server, settings) <= PAGES + 1 + inserted + changed + deleted


def test_another_destination_is_filled_from_the_whole_list(tmp_path: Path) -> None:
    with workspace(tmp_path, dialect="page", order="updated_desc") as (server, settings):
        cost(server, settings)
        server.state.touch(2)
        other = settings_for(
            server.base_url, tmp_path, dataset_name="other", database=tmp_path / "second.duckdb"
        )
        assert cost(server, other) == PAGES + REPORTS
        assert cost(server, settings) == 1 + 2
        assert cost(server, other) == 1


def test_lists_without_a_time_are_read_whole_every_time(tmp_path: Path) -> None:
    with workspace(tmp_path, dialect="page", order="updated_desc", no_updated_at=True) as (
        server,
        settings,
    ):
        cost(server, settings)
        assert cost(server, settings) == PAGES
        server.state.touch(2)
        assert cost(server, settings) == PAGES + 2


def test_the_list_is_read_whole_after_as_many_days_as_the_user_says(tmp_path: Path) -> None:
    with workspace(tmp_path, dialect="page", order="updated_desc") as (server, settings):
        cost(server, settings)
        assert cost(server, settings) == 1
        every_time = replace(settings, full_scan_days=0)
        assert listed(plan(every_time)) == PAGES
        assert cost(server, every_time) == PAGES
        assert listed(plan(settings)) == 1
        assert cost(server, settings) == 1
