"""What `oa-sync status` says, held against the tables, the syncs and the server's counters."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from oa_sync.cli import cli
from oa_sync.clock import isoformat
from oa_sync.commands.status import status
from oa_sync.commands.sync import sync
from oa_sync.emulator.data import Workspace
from oa_sync.emulator.synthetic import synthetic_workspace
from oa_sync.errors import ConfigurationError, DestinationError
from oa_sync.load.dlt.warehouse import Warehouse
from oa_sync.settings import Settings
from oa_sync.tables.batches import Batch
from oa_sync.tables.counts import Counts
from oa_sync.workspace.lock import sync_lock
from tests.support.clock import ManualClock
from tests.support.emulator import KEY, emulator
from tests.support.postgres import Postgres
from tests.support.syncing import query, run_sync, settings_for

REPORTS, DATASETS = 9, 3


def small() -> Workspace:
    return synthetic_workspace(f"reports={REPORTS},datasets={DATASETS},dashboards=1,runs=0,rows=2")


@pytest.fixture(scope="module")
def postgres_url(postgres: Postgres) -> str:
    return postgres.create_database("status")


@pytest.fixture(params=["duckdb", "parquet", "postgres"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Settings of an empty destination of each kind."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
        dataset = "".join(c if c.isalnum() else "_" for c in request.node.name.lower())[:50]
        return {"destination": "postgres", "dataset_name": dataset}
    if request.param == "parquet":
        return {"destination": "parquet", "bucket_url": str(tmp_path / "lake")}
    return {}


def refuse_to_load(target: Warehouse, batches: Iterable[Batch]) -> dict[str, int]:
    """A destination whose disk is full."""
    list(batches)
    raise DestinationError("no space left")


def without_key(settings: Settings, folder: Path, **changes: Any) -> Settings:
    """The same workspace for somebody who has neither key nor server."""
    kept = {
        name: getattr(settings, name)
        for name in ("destination", "bucket_url", "dataset_name", "workspace")
    }
    return settings_for("http://127.0.0.1:9/v1", folder, **{**kept, "api_key": None, **changes})


def test_a_workspace_that_was_never_synced_has_nothing_to_show(
    place: dict[str, Any], tmp_path: Path
) -> None:
    settings = settings_for("http://127.0.0.1:9/v1", tmp_path, **place)
    shown = status(settings)
    assert (shown.syncs, shown.tables, shown.backlog, shown.pending_segments) == ([], {}, {}, 0)
    assert shown.quota is not None
    assert shown.quota.used_day == 0
    assert not settings.database.exists()
    assert not (tmp_path / "lake").exists()


def test_rows_deleted_rows_and_backlog_are_those_of_the_tables(
    place: dict[str, Any], tmp_path: Path
) -> None:
    clock = ManualClock()
    with emulator(small(), clock=clock) as server:
        settings = settings_for(server.base_url, tmp_path, **place)
        run_sync(settings, clock=clock)
        clock.advance(3_600)
        server.state.delete("datasets", server.state.ids("datasets")[0])
        server.state.touch(4, "reports")
        clock.advance(60)
        made = server.state.counters.total
        later = run_sync(
            settings_for(server.base_url, tmp_path, max_requests=4, **place), clock=clock
        )
        assert later.requests.made == 4 == server.state.counters.total - made
        shown = status(without_key(settings, tmp_path), clock)
        assert server.state.counters.total == made + 4
    assert shown.tables is not None
    assert shown.tables["reports"] == Counts(REPORTS, 0, later.tallies["reports"].backlog)
    assert shown.tables["datasets"] == Counts(DATASETS - 1, 1, 0)
    assert shown.tables["report_rows"] == Counts(REPORTS * 2, 0, None)
    assert shown.tables["syncs"] == Counts(2, 0, None)
    assert shown.backlog == {"dashboards": 0, "datasets": 0, "reports": 3}
    newest, oldest = shown.syncs
    assert (newest["status"], newest["exit_code"], newest["backlog"]) == ("partial", 3, 3)
    assert (newest["requests_made"], newest["error_code"]) == (4, "budget_exhausted")
    assert (oldest["status"], oldest["error_code"]) == ("complete", None)
    assert newest["started_at"] == later.started_at


def test_only_the_own_workspace_is_counted(place: dict[str, Any], tmp_path: Path) -> None:
    with emulator(small()) as server:
        for name in ("one", "two"):
            run_sync(settings_for(server.base_url, tmp_path, workspace=name, **place))
        shown = status(settings_for(server.base_url, tmp_path, workspace="two", **place))
        nobody = status(settings_for(server.base_url, tmp_path, workspace="three", **place))
    assert shown.tables is not None
    assert shown.tables["reports"] == Counts(REPORTS, 0, 0)
    assert len(shown.syncs) == 1
    assert nobody.tables is not None
    assert set(nobody.tables.values()) <= {Counts(0, 0, 0), Counts(0, 0, None)}
    assert nobody.syncs == []


def test_the_last_syncs_are_shown_newest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oa_sync.commands.status.SYNCS_SHOWN", 2)
    clock = ManualClock()
    with emulator(small(), clock=clock) as server:
        settings = settings_for(server.base_url, tmp_path)
        started = []
        for _ in range(3):
            clock.advance(60)
            started.append(run_sync(settings, "dashboards", clock=clock).started_at)
    shown = [sync["started_at"] for sync in status(settings, clock).syncs]
    assert shown == started[:0:-1]


# -- the quota ------------------------------------------------------------------------------------


def test_the_quota_is_what_the_ledger_counted(tmp_path: Path) -> None:
    clock = ManualClock()
    with emulator(small(), clock=clock, rpd=40) as server:
        settings = settings_for(server.base_url, tmp_path, rpd=40)
        report = run_sync(settings, clock=clock)
        quota = status(settings, clock).quota
        assert quota is not None
        assert quota.used_day == report.requests.made == server.state.counters.total
        assert quota.left_today == 40 - quota.used_day == report.requests.left_today
        assert quota.resets_at == report.requests.resets_at
        clock.advance(86_402)
        again = status(settings, clock).quota
    assert again is not None
    assert (again.used_day, again.left_today, again.resets_at) == (0, 40, None)


def test_without_the_key_the_quota_is_not_known(tmp_path: Path) -> None:
    with emulator(small()) as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings)
    shown = status(without_key(settings, tmp_path))
    assert shown.quota is None
    assert "OPENANALYST_API_KEY" in str(shown.quota_note)
    assert shown.as_json()["quota"] is None


def test_an_api_without_keys_has_a_quota_without_a_key(tmp_path: Path) -> None:
    source = tmp_path / "source.yaml"
    source.write_text(
        "name: open\nclient: {base_url: 'http://127.0.0.1:9/v1'}\n"
        "limits: {minute: 7, day: 70}\n"
        "resources:\n  - {name: things, primary_key: id, endpoint: {path: things}}\n"
    )
    settings = settings_for(
        "http://127.0.0.1:9/v1", tmp_path, api_key=None, source=str(source), rpm=None, rpd=None
    )
    quota = status(settings).quota
    assert quota is not None
    assert (quota.limits.per_minute, quota.limits.per_day, quota.left_today) == (7, 70, 70)


def test_a_day_that_begins_nowhere_is_refused(tmp_path: Path) -> None:
    settings = settings_for("http://127.0.0.1:9/v1", tmp_path, rpd=9, quota_day="Atlantis/Capital")
    with pytest.raises(ConfigurationError, match="Atlantis/Capital"):
        status(settings)


# -- interrupted and running ----------------------------------------------------------------------


def test_what_an_interrupted_run_left_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with emulator(small()) as server:
        settings = settings_for(server.base_url, tmp_path)
        with monkeypatch.context() as broken:
            broken.setattr(Warehouse, "load", refuse_to_load)
            assert sync(settings).exit_code == 1
        assert status(settings).pending_segments == 1
        run_sync(settings)
        assert status(settings).pending_segments == 0


@pytest.mark.parametrize("destination", ["duckdb", "parquet"])
def test_while_a_sync_runs_it_is_told_which(destination: str, tmp_path: Path) -> None:
    with emulator(small()) as server:
        place = {"destination": destination, "bucket_url": str(tmp_path / "lake")}
        settings = settings_for(server.base_url, tmp_path, **place)
        run_sync(settings)
    with sync_lock(settings.home / "locks", settings.fingerprint(), "a sync", ManualClock()):
        shown = status(settings)
    assert f"process {os.getpid()}" in str(shown.running)
    assert shown.quota is not None
    if destination == "duckdb":
        assert shown.tables is None
        assert shown.as_json()["rows"] is None
    else:
        assert shown.tables is not None
        assert shown.tables["reports"].rows == REPORTS


def test_the_state_is_readable_while_others_read_the_database(tmp_path: Path) -> None:
    with emulator(small()) as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings)
    reader = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print('open', flush=True);"
        " sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", reader, str(settings.database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"open\n"
        shown = status(settings)
        process.stdin.close()
    assert shown.tables is not None
    assert shown.tables["reports"].rows == REPORTS


def test_a_database_that_was_left_in_the_middle_of_writing_is_readable(tmp_path: Path) -> None:
    """A killed process leaves a write-ahead log beside the file."""
    with emulator(small()) as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings)
    script = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]);"
        " c.execute('UPDATE openanalyst.reports SET _oa_detail_version = NULL'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(settings.database)], check=False)
    assert settings.database.with_suffix(".duckdb.wal").exists()
    assert status(settings).backlog["reports"] == REPORTS
    assert query(settings, "SELECT count(*) FROM reports") == [(REPORTS,)]


# -- the command ----------------------------------------------------------------------------------


def invoke(*arguments: str, key: str | None = None) -> Any:
    environment = {"OPENANALYST_API_KEY": key}
    return CliRunner().invoke(cli, ["status", *arguments], env=environment, catch_exceptions=False)


def test_the_command_needs_neither_key_nor_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    empty = invoke("--home", "home", "--json")
    assert empty.exit_code == 0
    told = orjson.loads(empty.stdout)
    assert (told["syncs"], told["rows"], told["backlog"]) == ([], {}, {})
    assert "nothing was synced yet" in invoke("--home", "home").stdout
    with emulator(small()) as server:
        report = run_sync(settings_for(server.base_url, tmp_path))
    people, machines = invoke("--home", "home"), invoke("--home", "home", "--json")
    assert people.exit_code == machines.exit_code == 0
    assert isoformat(report.started_at) in people.stdout
    told = orjson.loads(machines.stdout)
    assert told["rows"]["reports"] == REPORTS
    assert told["backlog"] == {"dashboards": 0, "datasets": 0, "reports": 0}
    assert told["syncs"][0]["sync_id"] == report.sync_id
    assert told["place"] == str(tmp_path / "oa_sync.duckdb")


def test_the_key_finds_the_quota_and_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with emulator(small()) as server:
        report = run_sync(settings_for(server.base_url, tmp_path))
    for form in ([], ["--json"]):
        shown = invoke("--home", "home", "--rpd", "90", *form, key=KEY)
        assert KEY not in shown.output
    told = orjson.loads(shown.stdout)["quota"]
    assert (told["used_today"], told["left_today"]) == (
        report.requests.made,
        90 - report.requests.made,
    )


def test_credentials_in_an_address_are_not_shown() -> None:
    from oa_sync.commands.status import _without_credentials

    shown = _without_credentials("s3://me:secret@host/bucket?sig=token")
    assert shown == "s3://host/bucket"
    assert _without_credentials("/data/what?.duckdb") == "/data/what?.duckdb"
