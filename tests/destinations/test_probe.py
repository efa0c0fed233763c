"""What `oa-sync check` asks of a destination: it says how rows are merged there, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from oa_sync.clock import Clock
from oa_sync.commands.check import run_checks, try_destination
from oa_sync.commands.sync import sync
from oa_sync.errors import (
    ConfigurationError,
    DestinationError,
    OaSyncError,
    UnusableDestinationError,
)
from oa_sync.load.dlt.destinations import opening_error
from oa_sync.load.opening import open_target
from oa_sync.settings import Settings
from tests.destinations import scenario
from tests.destinations.places import Place, canonical
from tests.support.emulator import emulator
from tests.support.syncing import run_sync


def test_a_new_place_is_tried_and_left_empty(place: Place) -> None:
    said = try_destination(place.settings("http://127.0.0.1:9/v1"), Clock(), ())
    assert "may" in said
    assert any(word in said for word in ("delete", "replacing"))
    assert place.read("reports") == []


def test_a_place_in_use_keeps_its_tables(place: Place) -> None:
    with emulator(scenario.workspace()) as server:
        settings = place.settings(server.base_url)
        run_sync(settings)
        before = canonical(place.read("reports"))
        try_destination(settings, Clock(), ())
        assert canonical(place.read("reports")) == before
        assert run_sync(settings).rows == {"syncs": 1}


def test_tables_of_others_cost_no_request_and_check_tells_them(place: Place) -> None:
    place.make("reports")
    before = place.read("reports")
    with emulator(scenario.workspace()) as server:
        settings = place.settings(server.base_url)
        report = sync(settings)
        assert (report.exit_code, report.requests.made, server.state.counters.total) == (1, 0, 0)
        assert isinstance(report.error, UnusableDestinationError)
        assert "reports" in str(report.error)
        assert "--dataset-name" in str(report.error)
        assert place.read("reports") == before
        found = run_checks(settings)
        assert {c.name: c.status for c in found.checks}["destination"] == "failed"
        assert sync(settings, ["dashboards"]).exit_code == 0, (
            "what it does not need is not looked at"
        )


@pytest.mark.parametrize("name", ["snowflake", "bigquery", "redshift", "clickhouse", "motherduck"])
def test_without_credentials_the_message_names_the_setting(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=f"DESTINATION__{name.upper()}__CREDENTIALS|driver"
    ):
        try_destination(Settings(destination=name, home=tmp_path), Clock(), ())


@pytest.mark.parametrize("name", ["filesystem", "qdrant", "weaviate", "lancedb"])
def test_what_cannot_merge_without_duplicates_is_refused(name: str, tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="cannot merge by delete-insert"),
        open_target(Settings(destination=name, home=tmp_path), tmp_path / "work"),
    ):
        pass


def test_ducklake_without_its_extension_says_how_to_get_it(tmp_path: Path) -> None:
    missing = duckdb.IOException('Failed to download extension "ducklake" at URL "http://…"')
    error = opening_error(Settings(destination="ducklake", home=tmp_path), missing, missing)
    assert isinstance(error, ConfigurationError)
    assert "INSTALL ducklake" in str(error)


@pytest.mark.parametrize(
    ("destination", "kind"), [("snowflake", DestinationError), ("duckdb", DestinationError)]
)
def test_other_failures_are_the_destination_s(
    destination: str, kind: type[OaSyncError], tmp_path: Path
) -> None:
    failure = OSError("no route to host")
    error = opening_error(Settings(destination=destination, home=tmp_path), failure, failure)
    assert isinstance(error, kind)
    assert "no route to host" in str(error)
