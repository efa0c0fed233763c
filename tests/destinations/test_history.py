"""History on every destination: what stood there on some night is what the tables held that night."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.sync import sync
from oa_sync.emulator.server import RunningEmulator
from oa_sync.errors import ConfigurationError
from oa_sync.settings import Settings
from tests.destinations import scenario
from tests.destinations.killing import Killer, Order
from tests.destinations.places import DuckDB, Place, Row, canonical
from tests.support.emulator import emulator
from tests.support.syncing import run_sync

RESOURCES = ("reports", "datasets", "dashboards")
LISTS = {
    "report_rows": ("reports", "report_id"),
    "reports__tags": ("reports", "report_id"),
    "dataset_columns": ("datasets", "dataset_id"),
    "dashboard_panels": ("dashboards", "dashboard_id"),
}
DEFINITION = """
name: two
client:
  base_url: "{url}"
  auth: {{type: bearer}}
  paginator: {{type: page_number, page_param: page, base_page: 1, total_path: meta.total}}
resource_defaults: {{primary_key: id, endpoint: {{data_selector: data}}}}
resources:
  - {{name: datasets, history: {history}, endpoint: {{path: datasets}}}}
  - {{name: {second}, endpoint: {{path: dashboards}}}}
"""
NOT_COMPARED = frozenset({"_oa_synced_at", "_oa_valid_from", "_oa_valid_to"})


@pytest.fixture
def server() -> Iterator[RunningEmulator]:
    with emulator(scenario.workspace(), dialect="page") as running:
        yield running


@dataclass
class Nights:
    """What the tables held at the end of each night."""

    place: Place
    ends: list[tuple[datetime, dict[str, list[str]]]] = field(default_factory=list)

    def over(self) -> None:
        self.ends.append((datetime.now(UTC), {table: self._living(table) for table in TABLES}))

    def _living(self, table: str) -> list[str]:
        if table in RESOURCES:
            rows = [r for r in self.place.read(table) if r["_oa_deleted_at"] is None]
        else:
            parent, key = LISTS[table]
            alive = {r["id"] for r in self.place.read(parent) if r["_oa_deleted_at"] is None}
            rows = [r for r in self.place.read(table) if r[key] in alive]
        return canonical(rows, NOT_COMPARED)

    def assert_kept(self) -> None:
        for table in TABLES:
            rows = self.place.read(f"{table}_history")
            for number, (night, tables) in enumerate(self.ends):
                found = canonical(as_of(rows, night), NOT_COMPARED)
                assert found == tables[table], (table, number)


TABLES = (*RESOURCES, *LISTS)


def as_of(rows: list[Row], day: datetime) -> list[Row]:
    """The condition of docs/destinations.md."""
    return [
        row
        for row in rows
        if utc(row["_oa_valid_from"]) <= day
        and (row.get("_oa_valid_to") is None or utc(row["_oa_valid_to"]) > day)
    ]


def utc(value: Any) -> datetime:
    instant = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def versions(place: Place, key: str) -> list[Row]:
    rows = [row for row in place.read("reports_history") if row["id"] == key]
    return sorted(rows, key=lambda row: utc(row["_oa_valid_from"]))


def test_history_holds_what_the_tables_held_each_night(
    place: Place, server: RunningEmulator
) -> None:
    settings = place.settings(server.base_url)
    nights = Nights(place)
    deleted = dict(server.state.get("reports", "r05"))

    def comes_back() -> None:
        server.state.insert("reports", {**deleted, "name": "Back"})

    for happens in (
        lambda: None,
        lambda: scenario.edit(server, 1),
        lambda: server.state.delete("reports", "r05"),
        lambda: scenario.drift(server),
        comes_back,
        lambda: scenario.edit(server, 2),
    ):
        happens()
        run_sync(settings, history=not nights.ends)
        nights.over()
    nights.assert_kept()
    spans = [(row["_oa_valid_from"], row.get("_oa_valid_to")) for row in versions(place, "r05")]
    assert spans[-2][1] < spans[-1][0]


def test_a_killed_load_leaves_no_gap_and_no_second_version(
    place: Place, server: RunningEmulator, killed: Killer
) -> None:
    settings = place.settings(server.base_url)
    nights = Nights(place)
    run_sync(settings, history=True)
    nights.over()
    calls = 0
    for night, share in enumerate((None, 0.7), start=1):
        scenario.edit(server, night)
        point = int(calls * share) if share else 0
        answer = killed.run(Order(settings, place.environment, point))
        calls = calls or int(answer.split()[1])
        assert answer == "killed" or not share
        if share:
            run_sync(settings)
        nights.over()
    nights.assert_kept()
    rows = place.read("reports_history")
    keys = [(row["id"], row["_oa_valid_from"]) for row in rows]
    assert len(keys) == len(set(keys))
    current = [row["id"] for row in rows if row.get("_oa_valid_to") is None]
    assert sorted(current) == sorted(server.state.ids("reports"))


def test_a_history_that_begins_later_begins_with_what_is_loaded(
    place: Place, server: RunningEmulator
) -> None:
    settings = place.settings(server.base_url)
    run_sync(settings)
    server.state.delete("reports", "r03")
    run_sync(settings)
    nights = Nights(place)
    nights.over()
    scenario.edit(server, 1)
    run_sync(settings, history=True)
    nights.over()
    nights.assert_kept()
    [gone] = versions(place, "r03")
    assert gone["_oa_valid_to"] is not None


class TestVersions:
    """Which rows make a version; the same on every destination, so looked at on one."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return DuckDB(tmp_path)

    @pytest.fixture
    def settings(self, place: Place, server: RunningEmulator) -> Settings:
        return place.settings(server.base_url)

    def test_nothing_changed_makes_none(self, place: Place, settings: Settings) -> None:
        run_sync(settings, history=True)
        before = place.read("reports_history")
        report = run_sync(settings)
        assert report.rows == {"syncs": 1}
        run_sync(settings, full_refresh=True)
        after = place.read("reports_history")
        assert canonical(after, NOT_COMPARED) == canonical(before, NOT_COMPARED)
        assert len(place.read("report_rows_history")) == len(place.read("report_rows"))

    def test_a_detail_that_comes_later_completes_the_version_of_its_list_row(
        self, place: Place, settings: Settings, server: RunningEmulator
    ) -> None:
        few = replace(settings, max_requests=6)
        assert run_sync(few, history=True).status == "partial"
        while run_sync(few).status == "partial":
            pass
        for row in server.state.ids("reports"):
            [version] = versions(place, row)
            assert version["_oa_detail_version"] == version["_oa_version"]
        assert len(place.read("report_rows_history")) == len(place.read("report_rows"))

    def test_the_lists_of_a_row_that_comes_back_unchanged_come_back_too(
        self, place: Place, settings: Settings, server: RunningEmulator
    ) -> None:
        time = {"updated_at": "2026-01-02T03:04:05Z"}
        server.state.update("reports", "r05", time)
        before = {**server.state.get("reports", "r05"), **time}
        run_sync(settings, history=True)
        server.state.delete("reports", "r05")
        run_sync(settings)
        server.state.insert("reports", before)
        run_sync(settings)
        table = place.read("report_rows_history")
        now = [row for row in as_of(table, datetime.now(UTC)) if row["report_id"] == "r05"]
        assert len(now) == len(before["data"]) > 0

    def test_it_does_not_begin_once_more_when_all_rows_are_gone(
        self, place: Place, settings: Settings, server: RunningEmulator
    ) -> None:
        run_sync(settings, history=True)
        for row in server.state.ids("dashboards"):
            server.state.delete("dashboards", row)
        sync(settings)
        run_sync(settings, allow_mass_delete=True)
        before = place.read("dashboards_history")
        assert before
        assert all(row["_oa_valid_to"] for row in before)
        run_sync(settings)
        assert canonical(place.read("dashboards_history")) == canonical(before)

    def test_a_resource_says_in_its_definition_that_its_history_is_kept(
        self, place: Place, settings: Settings, tmp_path: Path
    ) -> None:
        definition = tmp_path / "one.yaml"
        definition.write_text(
            DEFINITION.format(url=settings.base_url, history="true", second="dashboards"),
            encoding="utf-8",
        )
        run_sync(replace(settings, source=str(definition)))
        assert place.read("datasets_history")
        assert not place.read("dashboards_history")

    def test_a_column_that_becomes_wider_is_wider_in_the_history_too(
        self, place: Place, settings: Settings, server: RunningEmulator
    ) -> None:
        run_sync(settings, history=True)
        server.state.update("reports", "r01", {"score": 2.5})
        run_sync(settings)
        server.state.update("reports", "r01", {"score": "none"})
        run_sync(settings)
        assert [row["score"] for row in versions(place, "r01")] == ["1.0", "2.5", '"none"']

    def test_a_table_that_is_called_so_already_is_not_written_to(
        self, place: Place, settings: Settings, tmp_path: Path
    ) -> None:
        definition = tmp_path / "two.yaml"
        definition.write_text(
            DEFINITION.format(url=settings.base_url, history="false", second="datasets_history"),
            encoding="utf-8",
        )
        both = replace(settings, source=str(definition))
        run_sync(both)
        with pytest.raises(ConfigurationError, match="datasets_history"):
            sync(both, history=True)
