"""The same nights on every destination: first, changed, deleted, drifted, killed, a lost home."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from oa_sync.emulator.server import RunningEmulator
from tests.destinations import scenario
from tests.destinations.killing import Killer, Order
from tests.destinations.places import DuckDB, Place, Row, canonical
from tests.support.emulator import emulator
from tests.support.syncing import run_sync

CHILDREN = (
    ("reports", "report_rows", "data"),
    ("reports", "reports__tags", "tags"),
    ("datasets", "dataset_columns", "columns"),
    ("dashboards", "dashboard_panels", "panels"),
)
TABLES = (
    ("reports", "report_rows", "reports__tags"),
    ("datasets", "dataset_columns"),
    ("dashboards", "dashboard_panels"),
)
NOT_COMPARED = frozenset({"_oa_synced_at", "_oa_key"})
"""When a row was written; and the text of its key, which a destination has that cannot alter a column."""
KILLED_AT = (0.3, 0.8)
"""Shares of all that a load calls."""


@pytest.fixture
def server() -> Iterator[RunningEmulator]:
    with emulator(scenario.workspace(), dialect="page") as running:
        yield running


def test_nights_leave_equal_tables_without_duplicates_and_a_lost_home_costs_no_detail(
    place: Place, server: RunningEmulator, tmp_path: Path
) -> None:
    settings = place.settings(server.base_url)
    run_sync(settings)
    assert_is_the_source(place, server)
    for night in (1, 2):
        scenario.edit(server, night)
        run_sync(settings)
        assert_is_the_source(place, server)
    scenario.drift(server)
    run_sync(settings)
    assert_equals_a_first_sync(place, server, tmp_path / "after drift")
    scenario.edit(server, 3)
    run_sync(settings)
    assert_equals_a_first_sync(place, server, tmp_path / "at the end")

    server.state.counters.reset()
    report = run_sync(place.settings(server.base_url, home=tmp_path / "new home"))
    assert not server.state.counters.details
    assert report.rows == {"syncs": 1}
    assert_is_the_source(place, server)
    assert len(place.read("syncs")) == 6


def test_a_sync_killed_in_a_load_is_repaired_by_the_next(
    place: Place, server: RunningEmulator, killed: Killer
) -> None:
    settings = place.settings(server.base_url)
    run_sync(settings)
    scenario.edit(server, 1)
    calls = calls_of(killed.run(Order(settings, place.environment)))
    for night, share in enumerate(KILLED_AT, start=2):
        scenario.edit(server, night)
        answer = killed.run(Order(settings, place.environment, int(calls * share)))
        if answer != "killed":  # this night had less to do than the one that was counted
            calls = calls_of(answer)
            scenario.edit(server, night + len(KILLED_AT))
            answer = killed.run(Order(settings, place.environment, int(calls * share * 0.8)))
        assert answer == "killed", share
        fetched = set(server.state.counters.details)
        server.state.counters.reset()
        run_sync(settings)
        assert not fetched & set(server.state.counters.details), share
        assert_is_the_source(place, server)


def test_a_first_sync_killed_in_a_load_is_repaired_even_without_its_home(
    place: Place, server: RunningEmulator, killed: Killer, tmp_path: Path
) -> None:
    lost = place.settings(server.base_url, home=tmp_path / "lost home")
    other = place.settings(server.base_url, workspace="other")
    calls = calls_of(killed.run(Order(other, place.environment)))
    answer = killed.run(Order(lost, place.environment, int(calls * 0.85)))
    assert answer == "killed"
    run_sync(place.settings(server.base_url))
    assert_is_the_source(place, server)


def calls_of(answer: str) -> int:
    done, _, count = answer.partition(" ")
    assert done == "done", answer
    return int(count)


def assert_is_the_source(place: Place, server: RunningEmulator) -> None:
    """The ids, and the rows and lists under them, are those of the API, each once."""
    state = server.state
    for resource, child, field in CHILDREN:
        rows = own(place.read(resource))
        keys = [row["id"] for row in rows]
        assert len(keys) == len(set(keys)), resource
        living = {row["id"] for row in rows if row["_oa_deleted_at"] is None}
        assert living == set(state.ids(resource))
        parent = f"{resource[:-1]}_id"
        found = [(row[parent], row["position"]) for row in own(place.read(child))]
        assert sorted(pair for pair in found if pair[0] in living) == sorted(
            (key, position)
            for key in living
            for position in range(len(state.get(resource, key).get(field, ())))
        ), child
    texts = {
        (row["report_id"], row["position"]): row["row"] for row in own(place.read("report_rows"))
    }
    for key in state.ids("reports"):
        for position, row in enumerate(state.get("reports", key)["data"]):
            text = texts[key, position]
            assert (json.loads(text) if isinstance(text, str) else text) == row


def assert_equals_a_first_sync(place: Place, server: RunningEmulator, folder: Path) -> None:
    """What is still in the API stands in the tables as a first sync into DuckDB makes it."""
    reference = DuckDB(folder)
    run_sync(reference.settings(server.base_url))
    for resource, *tables in TABLES:
        living = {row["id"] for row in place.read(resource) if row["_oa_deleted_at"] is None}
        parent = f"{resource[:-1]}_id"
        rows = [row for row in place.read(resource) if row["id"] in living]
        assert canonical(rows, NOT_COMPARED) == canonical(reference.read(resource), NOT_COMPARED), (
            resource
        )
        for table in tables:
            rows = [row for row in place.read(table) if row[parent] in living]
            assert canonical(rows, NOT_COMPARED) == canonical(
                reference.read(table), NOT_COMPARED
            ), table


def own(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["_oa_workspace"] == "default"]
