"""Moving between destinations: nothing is asked for again, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from oa_sync.commands.copy import copy
from oa_sync.commands.export import export
from oa_sync.emulator.server import RunningEmulator
from oa_sync.errors import ConfigurationError
from oa_sync.load.opening import open_for_reading
from tests.destinations import scenario
from tests.destinations.places import DuckDB, Place, canonical
from tests.support.command import oa_sync
from tests.support.emulator import emulator
from tests.support.syncing import run_sync

TABLES = (
    "reports",
    "report_rows",
    "reports__tags",
    "datasets",
    "dataset_columns",
    "dashboards",
    "dashboard_panels",
    "reports_history",
    "report_rows_history",
)


@pytest.fixture
def server() -> Iterator[RunningEmulator]:
    with emulator(scenario.workspace(), dialect="page") as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> DuckDB:
    """A DuckDB file, on the other end of the way to or from a place."""
    return DuckDB(tmp_path / "home of duckdb")


def loaded(place: Place, server: RunningEmulator) -> None:
    """Two nights with edits and drift in `place`, with a history."""
    settings = place.settings(server.base_url)
    run_sync(settings, history=True)
    scenario.edit(server, 1)
    scenario.drift(server)
    run_sync(settings)


def types(place: Place, server: RunningEmulator) -> set[tuple[str, str, str]]:
    """Table, name and type of each column, as a sync finds them: JSON that is only text would differ."""
    with open_for_reading(place.settings(server.base_url)) as target:
        assert target is not None
        columns = target.columns()
    return {(c.table, c.name, c.data_type) for c in columns if c.table in TABLES}


def assert_moved(one: Place, other: Place, server: RunningEmulator) -> None:
    """The tables are equal, and the next sync into `other` fetches no detail and no row of what is there."""
    for table in TABLES:
        assert canonical(other.read(table)) == canonical(one.read(table)), table
    if "sqlalchemy" not in (one.destination, other.destination):
        assert types(other, server) == types(one, server)
    server.state.counters.reset()
    report = run_sync(other.settings(server.base_url))
    assert not server.state.counters.details
    assert report.rows == {"syncs": 1}
    scenario.edit(server, 2)
    run_sync(other.settings(server.base_url))
    counted = {row["id"] for row in other.read("reports") if row["_oa_deleted_at"] is None}
    assert counted == set(server.state.ids("reports"))


def test_from_duckdb_to_anywhere(place: Place, home: DuckDB, server: RunningEmulator) -> None:
    loaded(home, server)
    if place.destination == "duckdb":
        place = DuckDB(place.folder / "another")
    copied = copy(home.settings(server.base_url), place.settings(server.base_url))
    assert copied.rows["report_rows"] == len(home.read("report_rows"))
    assert not copied.left
    assert_moved(home, place, server)


def test_from_anywhere_to_duckdb_and_to_files(
    place: Place, home: DuckDB, server: RunningEmulator, tmp_path: Path
) -> None:
    loaded(place, server)
    export(place.settings(server.base_url), tmp_path / "files")
    for table in TABLES:
        rows = ds.dataset(tmp_path / "files" / table).to_table().to_pylist()
        assert canonical(rows) == canonical(place.read(table)), table
    if place.destination == "duckdb":
        return
    copy(place.settings(server.base_url), home.settings(server.base_url))
    assert_moved(place, home, server)


def test_only_the_workspace_that_is_named_is_copied(
    home: DuckDB, server: RunningEmulator, tmp_path: Path
) -> None:
    for workspace in ("default", "other"):
        run_sync(home.settings(server.base_url, workspace=workspace))
    elsewhere = DuckDB(tmp_path / "elsewhere")
    copied = copy(home.settings(server.base_url), elsewhere.settings(server.base_url))
    assert copied.left == {"other"}
    assert {row["_oa_workspace"] for row in elsewhere.read("reports")} == {"default"}
    both = {"base_url": server.base_url, "workspace": "other"}
    copy(home.settings(**both), elsewhere.settings(**both))
    assert len(elsewhere.read("reports")) == len(home.read("reports"))


def test_a_destination_that_is_in_use_is_left_alone(
    home: DuckDB, server: RunningEmulator, tmp_path: Path
) -> None:
    elsewhere = DuckDB(tmp_path / "elsewhere")
    for place in (home, elsewhere):
        run_sync(place.settings(server.base_url))
    with pytest.raises(ConfigurationError, match="already"):
        copy(home.settings(server.base_url), elsewhere.settings(server.base_url))
    with pytest.raises(ConfigurationError, match="where the original is"):
        copy(home.settings(server.base_url), home.settings(server.base_url))


def test_nothing_loaded_is_a_configuration_error_and_makes_no_file(
    home: DuckDB, server: RunningEmulator, tmp_path: Path
) -> None:
    settings = home.settings(server.base_url)
    elsewhere = replace(settings, database=tmp_path / "new.duckdb")
    with pytest.raises(ConfigurationError, match="nothing is loaded"):
        copy(settings, elsewhere)
    assert not settings.database.exists()
    assert not elsewhere.database.exists()


def test_the_command_copies_into_parquet(
    home: DuckDB, server: RunningEmulator, tmp_path: Path
) -> None:
    settings = home.settings(server.base_url)
    run_sync(settings)
    done = oa_sync(
        "copy",
        *("--database", str(settings.database), "--home", str(settings.home)),
        *("--to", "parquet", "--to-bucket-url", str(tmp_path / "lake")),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "report_rows\t20 rows" in done.stdout
    assert ds.dataset(tmp_path / "lake" / "openanalyst" / "reports").count_rows() == 12
