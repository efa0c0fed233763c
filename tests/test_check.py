"""`oa-sync check`: what it finds, what it costs, and that it leaves nothing behind."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from oa_sync.commands.check import Check, CheckReport, run_checks
from oa_sync.errors import ConfigurationError, NotAuthorisedError, OaSyncError
from oa_sync.settings import Settings, resolve
from tests.support.command import oa_sync
from tests.support.emulator import KEY, emulator
from tests.support.postgres import Postgres


def settings_for(base_url: str, folder: Path, **values: Any) -> Settings:
    given: dict[str, Any] = {
        "api_key": KEY,
        "base_url": base_url,
        "home": folder / "home",
        "database": folder / "oa_sync.duckdb",
        **values,
    }
    return Settings(**given)


def status_of(report: CheckReport) -> dict[str, str]:
    return {check.name: check.status for check in report.checks}


def detail_of(report: CheckReport, name: str) -> str:
    return next(check.detail for check in report.checks if check.name == name)


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_all_is_well_for_one_request_a_list(dialect: str, tmp_path: Path) -> None:
    with emulator(dialect=dialect, plan="free") as api:
        report = run_checks(settings_for(api.base_url, tmp_path))
        assert report.exit_code == 0
        assert set(status_of(report).values()) == {"ok"}
        assert f"dialect {dialect}" in detail_of(report, "api")
        # Four lists; the one that told the dialect is not asked for twice.
        assert api.state.counters.total == report.requests == 4
        assert not api.state.counters.details
        assert api.state.counters.over_limit == 0
    assert detail_of(report, "list reports") == "18 rows"


def test_lists_are_asked_for_with_the_smallest_page(tmp_path: Path) -> None:
    with emulator() as api:
        run_checks(settings_for(api.base_url, tmp_path, dialect="page"))
        paths = [entry.path for entry in api.state.counters.log]
    assert len(paths) == 4
    assert all("per_page=1" in path and "per_page=10" not in path for path in paths)


def test_requests_are_counted_in_the_ledger(tmp_path: Path) -> None:
    with emulator() as api:
        settings = settings_for(api.base_url, tmp_path, plan="free")
        first, second = run_checks(settings), run_checks(settings)
    assert detail_of(first, "quota").startswith("496 requests left today")
    assert detail_of(second, "quota").startswith("492 requests left today")


def test_optional_list_that_is_not_there_is_no_failure(tmp_path: Path) -> None:
    with emulator(runs_list=False) as api:
        report = run_checks(settings_for(api.base_url, tmp_path))
    assert report.exit_code == 0
    assert "not offered" in detail_of(report, "list agent_runs")


def test_refused_key_costs_one_request_and_exits_5(tmp_path: Path) -> None:
    with emulator() as api:
        report = run_checks(settings_for(api.base_url, tmp_path, api_key="wrong"))
        assert api.state.counters.total == report.requests == 1
    assert report.exit_code == 5
    assert status_of(report)["api"] == "failed"
    assert "wrong" not in json.dumps(report.as_json())


def test_list_that_the_key_may_not_read_is_named_and_the_others_are_still_asked(
    tmp_path: Path,
) -> None:
    with emulator() as api:
        api.emulator.faults.set("403=1,paths=/reports")
        report = run_checks(settings_for(api.base_url, tmp_path))
    found = status_of(report)
    assert (found["list datasets"], found["list reports"], found["list dashboards"]) == (
        "ok",
        "failed",
        "ok",
    )
    assert "scopes" in detail_of(report, "list reports")
    assert report.exit_code == 5


def test_server_that_is_not_there_exits_1_and_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        done = oa_sync("check", "--base-url", url, cwd=tmp_path, OPENANALYST_API_KEY=KEY)
    assert done.returncode == 1
    assert "check the network, the base URL" in done.stdout
    assert "Traceback" not in done.stderr


def test_no_key_exits_2_without_a_request_and_still_tries_the_destination(tmp_path: Path) -> None:
    with emulator() as api:
        report = run_checks(settings_for(api.base_url, tmp_path, api_key=None))
        assert api.state.counters.total == report.requests == 0
    assert report.exit_code == 2
    assert status_of(report) == {
        "definition": "ok",
        "key": "failed",
        "api": "skipped",
        "destination": "ok",
    }
    assert "OPENANALYST_API_KEY" in detail_of(report, "key")


def test_every_fault_of_a_definition_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: x\nresources:\n  - name: a\n    endpoint: {path: a, methud: GET}\n  - {}\n"
    )
    report = run_checks(settings_for("http://127.0.0.1:9/v1", tmp_path, source=str(file)))
    assert report.exit_code == 2
    assert "mine.yaml:4" in detail_of(report, "definition")
    assert "mine.yaml:5" in detail_of(report, "definition")


def test_spent_budget_sends_nothing_more_and_exits_3(tmp_path: Path) -> None:
    with emulator() as api:
        report = run_checks(settings_for(api.base_url, tmp_path, max_requests=2))
        assert api.state.counters.total == report.requests == 2
    assert report.exit_code == 3
    assert status_of(report)["list agent_runs"] == "skipped"


def test_new_duckdb_file_is_tried_and_not_left_behind(tmp_path: Path) -> None:
    with emulator() as api:
        report = run_checks(settings_for(api.base_url, tmp_path))
    assert "delete-insert" in detail_of(report, "destination")
    assert not (tmp_path / "oa_sync.duckdb").exists()


def test_duckdb_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "oa_sync.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA mine; CREATE TABLE mine.t AS SELECT 1 AS x")
    with emulator() as api:
        report = run_checks(settings_for(api.base_url, tmp_path))
    assert report.exit_code == 0
    with duckdb.connect(str(file), read_only=True) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
        ).fetchall()
        schemas = connection.execute(
            "SELECT schema_name FROM information_schema.schemata"
        ).fetchall()
    assert tables == [("mine", "t")]
    assert ("openanalyst",) not in schemas


def test_file_that_is_no_database_fails_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "oa_sync.duckdb").write_bytes(b"not a database" * 1000)
    with emulator() as api:
        report = run_checks(settings_for(api.base_url, tmp_path))
    assert report.exit_code == 1
    assert "oa_sync.duckdb" in detail_of(report, "destination")
    assert (tmp_path / "oa_sync.duckdb").exists()


def test_destination_without_the_merge_is_refused(tmp_path: Path) -> None:
    report = run_checks(
        settings_for("http://127.0.0.1:9/v1", tmp_path, api_key=None, destination="filesystem")
    )
    assert "--destination parquet" in detail_of(report, "destination")


def test_parquet_folder_is_tried_and_left_empty(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    report = run_checks(
        settings_for(
            "http://127.0.0.1:9/v1",
            tmp_path,
            api_key=None,
            destination="parquet",
            bucket_url=str(lake),
        )
    )
    assert status_of(report)["destination"] == "ok"
    assert [path for path in tmp_path.rglob("*") if path.is_file() and lake in path.parents] == []


def test_destination_that_dlt_does_not_know_is_a_configuration_error(tmp_path: Path) -> None:
    done = oa_sync("check", "--destination", "nosuchplace", cwd=tmp_path, OPENANALYST_API_KEY=" ")
    assert done.returncode == 2
    assert "'nosuchplace' is not one that dlt knows" in done.stdout


def test_postgres_without_credentials_says_how_to_set_them(tmp_path: Path) -> None:
    done = oa_sync("check", "--destination", "postgres", "--json", cwd=tmp_path)
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert "DESTINATION__POSTGRES__CREDENTIALS" in found["destination"]["detail"]
    assert done.returncode == 2


def test_postgres_is_tried_and_left_as_it_was(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = postgres.create_database("checked")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", database)
    report = run_checks(
        settings_for("http://127.0.0.1:9/v1", tmp_path, api_key=None, destination="postgres")
    )
    with psycopg.connect(database) as connection:
        left = connection.execute(
            "SELECT 1 FROM information_schema.schemata WHERE schema_name = 'openanalyst'"
        ).fetchall()
    assert status_of(report)["destination"] == "ok", detail_of(report, "destination")
    assert left == []


def test_of_several_failures_the_one_to_mend_first_gives_the_exit_code() -> None:
    def failed(*errors: OaSyncError) -> int:
        return CheckReport([Check.failed("x", error) for error in errors]).exit_code

    assert failed(NotAuthorisedError("no", status=401), ConfigurationError("no")) == 2
    assert failed(OaSyncError("no"), NotAuthorisedError("no", status=401)) == 5
    assert failed() == 0


def test_json_is_one_object_and_nothing_else(tmp_path: Path) -> None:
    with emulator() as api:
        done = oa_sync(
            "check", "--base-url", api.base_url, "--json", cwd=tmp_path, OPENANALYST_API_KEY=KEY
        )
    found = json.loads(done.stdout)
    assert (found["status"], found["exit_code"], found["requests"]) == ("ok", 0, {"made": 4})
    assert {check["name"] for check in found["checks"]} >= {"key", "api", "quota", "destination"}
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize("where", ["default", "explicit", "variable", "shared"])
def test_check_says_with_whom_the_quota_is_shared(
    where: str, tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    default = tmp_path / "data" / "oa-sync"
    flags: dict[str, Any] = {"database": "oa.duckdb"}
    environment = {"OPENANALYST_API_KEY": KEY}
    if where == "explicit":
        flags["home"] = str(tmp_path / "mine")
    elif where == "variable":
        environment["OA_SYNC_HOME"] = str(tmp_path / "mine")
    elif where == "shared":
        environment["OA_SYNC_QUOTA_URL"] = postgres.create_database("quota")
    with emulator() as api:
        given = {**flags, "base_url": api.base_url, "dialect": "page"}
        settings = resolve(given, environ=environment, cwd=tmp_path)
        detail = detail_of(run_checks(settings), "quota")
    if where == "default":
        assert "shared by all syncs of this user" in detail
        assert (default / "quota.sqlite3").exists()
    elif where == "shared":
        assert "counted in 127.0.0.1/quota_" in detail
        assert "unused" not in detail
    else:
        assert (
            f"counted in {tmp_path / 'mine'} alone: not shared with the ledger of this user in {default}"
            in detail
        )
        assert (tmp_path / "mine" / "quota.sqlite3").exists()
