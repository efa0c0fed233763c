"""`oa-sync query` whole: against both dialects, with the quota, the lock and the exit codes of a sync."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oa_sync.clock import Clock
from oa_sync.commands.query import query as run_query
from oa_sync.errors import ConfigurationError, LockHeldError
from oa_sync.quota import open_ledger
from oa_sync.quota.limits import limits_of
from oa_sync.workspace.lock import sync_lock
from tests.queries.sales import workspace
from tests.support.command import oa_sync
from tests.support.emulator import KEY, emulator
from tests.support.syncing import query, settings_for

SALES = (("2026-01-01", 1), ("2026-01-02", 2))
SQL = "SELECT day, amount FROM data WHERE amount > :least ORDER BY day"


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_the_command_loads_a_typed_table_and_tells_what_it_did(
    dialect: str, tmp_path: Path
) -> None:
    with emulator(workspace(*SALES), dialect=dialect) as server:
        flags = ("--base-url", server.base_url, "--rpm", "0", "--rpd", "0", "--json")
        ran = oa_sync(
            *("query", "ds_1", SQL, "--table", "sales", "--param", "least=0", *flags),
            cwd=tmp_path,
            OPENANALYST_API_KEY=KEY,
        )
        assert ran.returncode == 0, ran.stderr
        told = json.loads(ran.stdout)
        assert told["requests"]["made"] == server.state.counters.total
    settings = settings_for(server.base_url, tmp_path)
    found = query(settings, "SELECT position, day::VARCHAR, amount FROM query_sales ORDER BY 1")
    assert found == [(0, "2026-01-01", 1), (1, "2026-01-02", 2)]
    assert query(settings, "SELECT typeof(day) FROM query_sales LIMIT 1") == [("DATE",)]
    assert (told["status"], told["exit_code"], told["dialect"]) == ("complete", 0, dialect)
    assert (told["table"], told["count"], told["rows"]) == ("query_sales", 2, {"query_sales": 2})
    assert told["query_id"].startswith("qry")
    assert KEY not in ran.stdout + ran.stderr


def test_a_refused_query_is_exit_1_and_a_refused_key_exit_5(tmp_path: Path) -> None:
    with emulator(workspace(*SALES)) as server:
        settings = settings_for(server.base_url, tmp_path, dialect="page")
        report = run_query(settings, "ds_1", "SELEC 1", "x")
        assert (report.status, report.exit_code) == ("failed", 1)
        assert "answered 422" in str(report.error)
        assert server.state.counters.total == report.requests.made == 1
        wrong = settings_for(server.base_url, tmp_path, dialect="page", api_key="no_such_key")
        assert run_query(wrong, "ds_1", "SELECT 1", "x").exit_code == 5


def test_a_query_that_was_cut_is_sent_once_and_loads_nothing(tmp_path: Path) -> None:
    with emulator(workspace(*SALES)) as server:
        settings = settings_for(server.base_url, tmp_path, dialect="page")
        run_query(settings, "ds_1", "SELECT 1 AS a", "x")
        server.emulator.faults.set("reset=1,paths=/queries")
        server.state.counters.reset()
        report = run_query(settings, "ds_1", "SELECT 2 AS a", "x")
        assert server.state.counters.total == report.requests.made == 1
    assert "may have been received" in str(report.error)
    assert report.exit_code == 1
    assert query(settings, "SELECT a FROM query_x") == [(1,)]


def test_polls_survive_the_faults_of_a_bad_day(tmp_path: Path) -> None:
    with emulator(workspace(*SALES), dialect="cursor", ready_after_polls=0) as server:
        settings = settings_for(server.base_url, tmp_path, dialect="cursor")
        server.emulator.faults.set("reset=0.2,500=0.2,cut=0.1,paths=/queries/qry,seed=1")
        report = run_query(settings, "ds_1", "SELECT * FROM data", "x")
        assert report.status == "complete", report.error
        assert report.requests.made == server.state.counters.total
        assert report.requests.retried > 0
    assert query(settings, "SELECT count(*) FROM query_x") == [(2,)]


def test_requests_are_counted_in_the_ledger_and_end_with_the_budget(tmp_path: Path) -> None:
    with emulator(workspace(*SALES), dialect="cursor", ready_after_polls=3) as server:
        settings = settings_for(
            server.base_url, tmp_path, dialect="cursor", rpd=100, max_requests=2
        )
        report = run_query(settings, "ds_1", "SELECT 1", "x")
        assert (report.status, report.exit_code) == ("partial", 3)
        assert server.state.counters.total == report.requests.made == 2
    ledger = open_ledger(settings.home, None, Clock())
    account = ledger.account(KEY, server.base_url)
    usage = ledger.usage(account, limits_of("free", rpm=0, rpd=100))
    ledger.close()
    assert usage.left_today == 98


def test_a_query_waits_for_no_sync(tmp_path: Path) -> None:
    settings = settings_for("http://127.0.0.1:9/v1", tmp_path, dialect="page")
    with (
        sync_lock(settings.home / "locks", settings.fingerprint(), "a sync", Clock()),
        pytest.raises(LockHeldError, match="another sync is running") as caught,
    ):
        run_query(settings, "ds_1", "SELECT 1", "x")
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("name", ["", "Two Words", "a__b", "x" * 60, "../x", "a;b"])
def test_a_name_that_is_no_table_name_is_refused_before_anything_is_done(
    name: str, tmp_path: Path
) -> None:
    settings = settings_for("http://127.0.0.1:9/v1", tmp_path)
    with pytest.raises(ConfigurationError, match="--table"):
        run_query(settings, "ds_1", "SELECT 1", name)
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_a_resource_is_not_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "mine.yaml"
    source.write_text(
        "name: mine\nextends: page\nresources: [{name: query_x, endpoint: {path: x}}]"
    )
    with emulator(workspace(*SALES)) as server:
        settings = settings_for(server.base_url, tmp_path, dialect="page", source=str(source))
        with pytest.raises(ConfigurationError, match="belongs to a resource"):
            run_query(settings, "ds_1", "SELECT 1", "x")
        assert server.state.counters.total == 0
