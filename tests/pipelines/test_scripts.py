"""The scripts in pipelines/, copied into an empty folder and run as they are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from tests.support.command import run
from tests.support.emulator import KEY, emulator, workspace_of
from tests.support.postgres import Postgres

PIPELINES = Path(__file__).parents[2] / "pipelines"
UNLIMITED = {"OA_SYNC_RPM": "0", "OA_SYNC_RPD": "0"}


def script(
    name: str, *arguments: str, folder: Path, base_url: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    shutil.copy(PIPELINES / name, folder)
    given = {"OPENANALYST_API_KEY": KEY, "OPENANALYST_BASE_URL": base_url, **environment}
    return run(sys.executable, name, *arguments, cwd=folder, **given)


def count(database: Path, table: str) -> int:
    with duckdb.connect(str(database), read_only=True) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row is not None
        return int(row[0])


def test_nightly_syncs_and_logs_its_report(tmp_path: Path) -> None:
    with emulator() as api:
        done = script("nightly.py", folder=tmp_path, base_url=api.base_url, **UNLIMITED)
        made = api.state.counters.total
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    log = (tmp_path / "oa_sync.log").read_text()
    report = json.loads(log.splitlines()[-1].partition("report ")[2])
    assert (report["status"], report["requests"]["made"]) == ("complete", made)
    assert count(tmp_path / "oa_sync.duckdb", "openanalyst.reports") == 18
    assert KEY not in log


def test_nightly_stops_at_the_day_s_end_with_3_and_goes_on_the_next_night(tmp_path: Path) -> None:
    with emulator() as api:
        first = script(
            "nightly.py", folder=tmp_path, base_url=api.base_url, OA_SYNC_RPD="20", OA_SYNC_RPM="0"
        )
        assert first.returncode == 3
        assert "partial" in (tmp_path / "oa_sync.log").read_text().splitlines()[-1]
        second = script("nightly.py", folder=tmp_path, base_url=api.base_url, **UNLIMITED)
        assert second.returncode == 0
        # What was fetched on the first night is not asked for again.
        assert set(api.state.counters.details.values()) == {1}
    assert count(tmp_path / "oa_sync.duckdb", "openanalyst.reports") == 18


def test_nightly_says_in_the_log_why_it_could_not_start(tmp_path: Path) -> None:
    done = script("nightly.py", folder=tmp_path, base_url="http://example.com/v1")
    assert done.returncode == 2
    assert "https://" in (tmp_path / "oa_sync.log").read_text().splitlines()[-1]
    assert done.stderr == ""


def test_metadata_goes_to_the_warehouse_without_report_rows(
    tmp_path: Path, postgres: Postgres
) -> None:
    database = postgres.create_database("warehouse")
    with emulator() as api:
        done = script(
            "metadata_to_warehouse.py",
            "postgres",
            folder=tmp_path,
            base_url=api.base_url,
            DESTINATION__POSTGRES__CREDENTIALS=database,
            **UNLIMITED,
        )
        assert done.returncode == 0, done.stderr
        with psycopg.connect(database) as warehouse:
            tables = {
                name: _count(warehouse, name)
                for (name,) in warehouse.execute(
                    "SELECT table_name FROM information_schema.tables"
                    " WHERE table_schema = 'openanalyst_catalogue' AND table_name NOT LIKE '\\_dlt%'"
                )
            }
        asked = {path for _, path in api.state.counters.by_route}
    assert (tables["datasets"], tables["dataset_columns"], tables["dashboards"]) == (12, 73, 2)
    assert tables["dashboard_panels"] == 32
    assert not any("report" in name or "agent" in name for name in tables)
    assert not any("reports" in path for path in asked)
    assert "openanalyst_catalogue.datasets: 12 rows written" in done.stdout


def _count(connection: psycopg.Connection[Any], table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM openanalyst_catalogue.{table}").fetchone()  # type: ignore[call-overload]
    return int(row[0])


def test_audit_of_good_runs_passes_every_check(tmp_path: Path) -> None:
    with emulator(dialect="cursor") as api:
        done = script("agent_audit.py", folder=tmp_path, base_url=api.base_url, **UNLIMITED)
        asked = {path for _, path in api.state.counters.by_route}
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ok") == 5
    assert not any("reports" in path or "dashboards" in path for path in asked)


def run_record(number: int, **fields: Any) -> Mapping[str, Any]:
    step = {"index": 0, "thought": "think", "tool_calls": [{"name": "sql", "arguments": "{}"}]}
    return {
        "id": f"run_{number}",
        "agent_id": "agent_1",
        "status": "completed",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "steps": [step],
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({"steps": []}, "at least one step"),
        ({"status": "running"}, "still going a day after"),
    ],
)
def test_audit_names_the_run_that_fails_a_check(
    fields: dict[str, Any], check: str, tmp_path: Path
) -> None:
    runs = workspace_of(agent_runs=[run_record(1), run_record(2, **fields)])
    with emulator(runs, dialect="cursor") as api:
        done = script("agent_audit.py", folder=tmp_path, base_url=api.base_url, **UNLIMITED)
    assert done.returncode == 1, done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 1
    assert check in failed[0]
    assert failed[0].endswith(": run_2")


def test_audit_names_a_run_that_disappeared(tmp_path: Path) -> None:
    runs = workspace_of(agent_runs=[run_record(1), run_record(2)])
    with emulator(runs, dialect="cursor") as api:
        script("agent_audit.py", folder=tmp_path, base_url=api.base_url, **UNLIMITED)
        api.state.delete("agent_runs", "run_2")
        done = script("agent_audit.py", folder=tmp_path, base_url=api.base_url, **UNLIMITED)
    assert done.returncode == 1
    assert "disappeared from the API: run_2" in done.stdout


def test_audit_of_an_api_without_a_list_of_runs_says_so(tmp_path: Path) -> None:
    with emulator() as api:
        done = script("agent_audit.py", folder=tmp_path, base_url=api.base_url, **UNLIMITED)
    assert done.returncode == 0, done.stderr
    assert "no agent runs" in done.stdout
