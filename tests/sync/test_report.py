"""What the report of a sync says beside its counts: the list's own total, and warnings."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oa_sync.cli.render import print_report
from oa_sync.extract.tally import Tally, Warned
from oa_sync.workspace.report import SyncReport, log_outcome
from tests.support.emulator import emulator
from tests.support.json_api import json_api
from tests.support.syncing import query, run_sync, settings_for


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_the_total_is_what_the_list_itself_says(dialect: str, tmp_path: Path) -> None:
    with emulator(dialect=dialect) as server:
        settings = settings_for(server.base_url, tmp_path)
        told = run_sync(settings).as_json()
        rows = len(server.state.ids("reports"))
    reports = told["resources"]["reports"]
    assert (reports["listed"], reports["total"]) == (rows, rows)
    assert told["warnings"] == []
    (summary,) = query(settings, "SELECT summary FROM syncs")[0]
    assert json.loads(summary)["resources"]["reports"]["total"] == rows


def test_a_list_that_tells_no_total_has_none(tmp_path: Path) -> None:
    source = tmp_path / "api.yaml"
    source.write_text(
        "name: plain\nresources:\n  - name: things\n    primary_key: id\n"
        "    endpoint: {path: things, paginator: single_page}\n"
    )
    with json_api({"/things": lambda q: [{"id": 1}]}) as api:
        report = run_sync(settings_for(api.base_url, tmp_path, source=str(source), api_key=None))
    assert report.as_json()["resources"]["things"]["total"] is None


def test_a_warning_is_in_the_json_on_the_screen_and_in_the_log(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    tally = Tally(warnings=[Warned("drift", "the key [id] is text now")])
    report = SyncReport("s", "default", datetime(2026, 3, 2, tzinfo=UTC), tallies={"things": tally})
    assert report.as_json()["warnings"] == [
        {"code": "drift", "resource": "things", "message": "the key [id] is text now"}
    ]
    print_report(report)
    assert "warning: things: the key [id] is text now" in capsys.readouterr().out
    with caplog.at_level(logging.WARNING):
        log_outcome(report)
    assert "things: the key [id] is text now" in caplog.messages
