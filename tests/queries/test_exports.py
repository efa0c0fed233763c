"""`oa-sync download`: exports in each format, whole, typed, replaced by the next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.download import download
from oa_sync.emulator.exports import URL_LIVES
from oa_sync.errors import ConfigurationError
from tests.emulator.stepping_clock import SteppingClock
from tests.queries.sales import sell, workspace
from tests.support.command import oa_sync
from tests.support.emulator import KEY, emulator
from tests.support.syncing import query, settings_for

SALES = (("2026-01-01", 1), ("2026-01-02", 2), ("2026-01-03", 3))
ROWS = [(n, day, amount) for n, (day, amount) in enumerate(SALES)]
FORMATS: list[Any] = ["parquet", "csv", "json"]


def loaded(settings: Any, table: str = "export_sales") -> list[tuple[Any, ...]]:
    return query(settings, f"SELECT position, day::VARCHAR, amount FROM {table} ORDER BY 1")


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_is_loaded_and_replaced_by_the_next(form: Any, tmp_path: Path) -> None:
    with emulator(workspace(*SALES), dialect="cursor") as server:
        settings = settings_for(server.base_url, tmp_path, dialect="cursor")
        report = download(settings, "ds_1", form, "sales")
        assert report.status == "complete", report.error
        assert loaded(settings) == ROWS
        assert report.requests.made == server.state.counters.total == 3
        assert report.details["download"]["requests"] == server.state.counters.downloads == 1
        sell(server, SALES[1])
        assert download(settings, "ds_1", form, "sales").count == 1
    assert loaded(settings) == [(0, "2026-01-02", 2)]
    assert list((tmp_path / "home" / "downloads").rglob("*.*")) == []


def test_the_command_tells_what_it_did_and_filters_at_the_api(tmp_path: Path) -> None:
    with emulator(workspace(*SALES), dialect="cursor", ready_after_polls=0) as server:
        ran = oa_sync(
            *("download", "ds_1", "--format", "csv", "--table", "sales", "--filter", "amount=2"),
            *("--base-url", server.base_url, "--rpm", "0", "--rpd", "0", "--json"),
            cwd=tmp_path,
            OPENANALYST_API_KEY=KEY,
        )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert (told["count"], told["table"], told["dialect"]) == (1, "export_sales", "cursor")
    assert told["download"]["requests"] == 1
    assert "downloads/" not in ran.stdout + ran.stderr
    assert loaded(settings_for(server.base_url, tmp_path)) == [(0, "2026-01-02", 2)]


def test_an_export_that_was_cut_when_asked_for_is_not_asked_for_again(tmp_path: Path) -> None:
    with emulator(workspace(*SALES), dialect="cursor") as server:
        settings = settings_for(server.base_url, tmp_path, dialect="cursor")
        server.emulator.faults.set("reset=1,paths=/exports")
        report = download(settings, "ds_1", "csv", "sales")
        assert server.state.counters.total == report.requests.made == 1
    assert "may have been received" in str(report.error)


def test_an_expired_url_costs_one_more_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SteppingClock()
    with emulator(workspace(*SALES), dialect="cursor", ready_after_polls=0, clock=clock) as server:
        settings = settings_for(server.base_url, tmp_path, dialect="cursor")
        exports = server.emulator.exports
        served = exports.download
        late = iter([URL_LIVES.total_seconds(), 0.0])

        def slow(request: Any, now: Any) -> Any:
            clock.step(next(late))
            return served(request, clock.now())

        monkeypatch.setattr(exports, "download", slow)
        report = download(settings, "ds_1", "json", "sales")
        assert report.status == "complete", report.error
        assert (server.state.counters.total, server.state.counters.downloads) == (3, 2)
    assert loaded(settings) == ROWS


def test_a_url_at_a_strange_host_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oa_sync.emulator.exports.DOWNLOADS", "@files.example.com/")
    with emulator(workspace(*SALES), dialect="cursor", ready_after_polls=0) as server:
        settings = settings_for(server.base_url, tmp_path, dialect="cursor")
        report = download(settings, "ds_1", "csv", "sales")
    assert (report.status, report.exit_code) == ("failed", 1)
    assert report.error is not None
    assert report.error.code == "redirect_refused"


def test_the_page_dialect_has_no_exports(tmp_path: Path) -> None:
    with emulator(workspace(*SALES)) as server:
        settings = settings_for(server.base_url, tmp_path, dialect="page")
        with pytest.raises(ConfigurationError, match="exports exist in the cursor dialect only"):
            download(settings, "ds_1", "csv", "sales")
        assert server.state.counters.total == 0


def test_an_unknown_dataset_and_a_wrong_filter_are_told(tmp_path: Path) -> None:
    with emulator(workspace(*SALES), dialect="cursor") as server:
        settings = settings_for(server.base_url, tmp_path, dialect="cursor")
        assert "answered 404" in str(download(settings, "ds_9", "csv", "sales").error)
        report = download(settings, "ds_1", "csv", "sales", filters=["nope=1"])
        assert "no column 'nope'" in str(report.error)
        with pytest.raises(ConfigurationError, match="COLUMN=VALUE"):
            download(settings, "ds_1", "csv", "sales", filters=["nope"])
