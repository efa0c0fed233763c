"""What stands in the way of a load is told before the first request, with what to do about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from oa_sync.commands.check import run_checks
from oa_sync.commands.sync import sync
from oa_sync.emulator.server import RunningEmulator
from oa_sync.load.dlt.warehouse import Warehouse
from oa_sync.settings import Settings
from tests.support.emulator import emulator
from tests.support.filesystems import filesystem, fill, make_read_only
from tests.support.postgres import Postgres
from tests.support.syncing import run_sync, settings_for


@pytest.fixture
def server() -> Iterator[RunningEmulator]:
    with emulator() as running:
        yield running


def assert_told_before_a_request(
    settings: Settings, server: RunningEmulator, *words: str, retry: bool = False
) -> None:
    server.state.counters.reset()
    report = sync(settings)
    assert (report.exit_code, report.requests.made, server.state.counters.total) == (1, 0, 0)
    assert report.error is not None
    assert report.error.retry is retry
    found = {check.name: check for check in run_checks(settings).checks}["destination"]
    assert found.status == "failed"
    for word in words:
        assert word in str(report.error)
        assert word in found.detail
    assert "Traceback" not in str(report.error)


# -- PostgreSQL -----------------------------------------------------------------------------------


class Role:
    """A role without rights in a database of its own, and settings of syncs as that role."""

    def __init__(self, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
        self.owner = postgres.create_database("first_look")
        self.name = self.owner.rsplit("/", 1)[1]
        self.run(
            f"CREATE ROLE {self.name} LOGIN", f"REVOKE CREATE ON SCHEMA public FROM {self.name}"
        )
        url = self.owner.replace("postgres:unused", f"{self.name}:unused")
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)

    def run(self, *statements: str) -> None:
        """Run `statements` as the owner of the database."""
        with psycopg.connect(self.owner, autocommit=True) as connection:
            for statement in statements:
                connection.execute(sql.SQL(statement))  # type: ignore[arg-type]


@pytest.fixture
def role(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Role:
    return Role(postgres, monkeypatch)


def into_postgres(server: RunningEmulator, folder: Path, **changes: Any) -> Settings:
    return settings_for(server.base_url, folder, destination="postgres", **changes)


def test_a_role_that_may_not_make_the_schema(
    role: Role, server: RunningEmulator, tmp_path: Path
) -> None:
    settings = into_postgres(server, tmp_path)
    grant = f'CREATE SCHEMA "openanalyst" AUTHORIZATION "{role.name}"'
    assert_told_before_a_request(settings, server, role.name, grant, "--dataset-name")
    role.run(grant)
    run_sync(settings)


def test_a_role_that_may_not_make_tables(
    role: Role, server: RunningEmulator, tmp_path: Path
) -> None:
    role.run("CREATE SCHEMA reporting")
    settings = into_postgres(server, tmp_path, dataset_name="reporting")
    grant = f'GRANT USAGE, CREATE ON SCHEMA "reporting" TO "{role.name}"'
    assert_told_before_a_request(settings, server, grant, "--dataset-name")
    role.run(grant)
    run_sync(settings)


def test_a_role_that_may_not_change_the_tables_of_another(
    role: Role, server: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = into_postgres(server, tmp_path)
    with monkeypatch.context() as patched:
        patched.setenv("DESTINATION__POSTGRES__CREDENTIALS", role.owner)
        run_sync(settings)
    role.run(
        f"GRANT USAGE, CREATE ON SCHEMA openanalyst TO {role.name}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA openanalyst TO {role.name}",
    )
    grant = (
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA"
        f' "openanalyst" TO "{role.name}"'
    )
    assert_told_before_a_request(settings, server, grant, "datasets")
    role.run(grant)
    run_sync(settings)


def test_a_role_that_may_not_make_temporary_tables(
    role: Role, server: RunningEmulator, tmp_path: Path
) -> None:
    role.run(
        f"CREATE SCHEMA openanalyst AUTHORIZATION {role.name}",
        f"REVOKE TEMPORARY ON DATABASE {role.name} FROM PUBLIC",
    )
    settings = into_postgres(server, tmp_path)
    assert_told_before_a_request(settings, server, "GRANT TEMPORARY ON DATABASE")


def test_a_role_that_may_not_even_look_is_told_of_rights(
    role: Role, server: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = into_postgres(server, tmp_path)
    with monkeypatch.context() as patched:
        patched.setenv("DESTINATION__POSTGRES__CREDENTIALS", role.owner)
        run_sync(settings)
    assert_told_before_a_request(settings, server, "permission denied", "GRANT USAGE")


def test_a_view_of_the_same_name_is_in_the_way(
    role: Role, server: RunningEmulator, tmp_path: Path
) -> None:
    role.run(
        f"CREATE SCHEMA openanalyst AUTHORIZATION {role.name}",
        "CREATE VIEW openanalyst.report_rows AS SELECT 1 AS id",
    )
    settings = into_postgres(server, tmp_path)
    assert_told_before_a_request(settings, server, "report_rows", "--dataset-name")


# -- files ----------------------------------------------------------------------------------------

FILES = {
    "duckdb": {},
    "parquet": {"destination": "parquet"},
    "delta": {"destination": "delta"},
    "iceberg": {"destination": "iceberg"},
}


def onto(server: RunningEmulator, home: Path, disk: Path, kind: str) -> Settings:
    """Settings of a sync into a folder of `disk`, with its home elsewhere."""
    places: dict[str, Any] = {"database": disk / "place" / "oa_sync.duckdb"}
    if kind != "duckdb":
        places = {"bucket_url": str(disk / "place")}
    return settings_for(server.base_url, home, **FILES[kind], **places)


def full(disk: Path) -> None:
    fill(disk)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(
    ("spoil", "words"), [(make_read_only, "Read-only file system"), (full, "No space left")]
)
@pytest.mark.parametrize("loaded", [False, True])
def test_a_disk_that_takes_nothing(
    loaded: bool,
    spoil: Callable[[Path], None],
    words: str,
    kind: str,
    server: RunningEmulator,
    tmp_path: Path,
) -> None:
    with filesystem(tmp_path / "disk", "64m") as disk:
        settings = onto(server, tmp_path, disk, kind)
        if loaded:
            run_sync(settings)
        spoil(disk)
        retry = spoil is full  # somebody may make room
        assert_told_before_a_request(settings, server, words, "place", retry=retry)


def test_a_second_sync_makes_no_table(
    server: RunningEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = list[Warehouse]()
    make_and_drop = Warehouse._make_and_drop

    def counted(warehouse: Warehouse) -> bool:
        tried.append(warehouse)
        return make_and_drop(warehouse)

    monkeypatch.setattr(Warehouse, "_make_and_drop", counted)
    settings = settings_for(server.base_url, tmp_path)
    for _ in range(2):
        run_sync(settings)
        assert len(tried) == 1


# -- a new database -------------------------------------------------------------------------------


def test_a_mistyped_path_is_told_before_a_request(
    server: RunningEmulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(server.base_url, tmp_path)
    first = run_sync(settings)
    assert not first.general, "nothing else is known"
    run_sync(settings)
    asked = list[int]()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "new database" in record.getMessage():
                asked.append(server.state.counters.total)

    mistyped = replace(settings, database=tmp_path / "oa_snyc.duckdb", max_requests=3)
    server.state.counters.reset()
    log = logging.getLogger("oa_sync")
    log.addHandler(Told())
    try:
        report = sync(mistyped)
    finally:
        log.removeHandler(log.handlers[-1])
    assert asked == [0], "told once, before the first request"
    [warning] = [w for w in report.as_json()["warnings"] if w["code"] == "new_database"]
    assert warning["resource"] is None
    assert "oa_snyc.duckdb" in warning["message"]
    assert f"{settings.database}, schema openanalyst" in warning["message"]
    [cost] = [int(word) for word in warning["message"].split() if word.isdigit()]
    assert abs(cost - first.requests.made) <= 2
    assert not sync(mistyped).general, "it has tables now"


def test_another_workspace_or_a_lost_file_is_not_told(
    server: RunningEmulator, tmp_path: Path
) -> None:
    settings = settings_for(server.base_url, tmp_path)
    run_sync(settings)
    assert not run_sync(replace(settings, workspace="another")).general
    settings.database.unlink()
    assert not run_sync(settings).general
