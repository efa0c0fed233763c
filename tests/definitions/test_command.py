from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from oa_sync.cli.definitions import resources, validate
from oa_sync.errors import DefinitionError


@pytest.fixture(autouse=True)
def _bare_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("OA_SYNC_DIALECT", "OA_SYNC_SOURCE"):
        monkeypatch.delenv(name, raising=False)


def test_resources_in_a_pipe_are_one_line_each() -> None:
    result = CliRunner().invoke(resources, ["--dialect", "cursor"])
    assert result.exit_code == 0
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == [
        "resource",
        "datasets",
        "reports",
        "dashboards",
        "agent_runs",
    ]
    assert lines[4] == [
        "agent_runs",
        "agents/sessions",
        "agents/sessions/{id}",
        "id",
        "updated_at",
        "agent_run_steps, agent_run_tool_calls",
        "merge",
        "cursor",
        "1 request per 100 rows; 1 per new or changed row",
    ]
    assert lines[3][1] == "dashboards (optional)"
    assert lines[3][8] == "1 request per 100 rows"


def test_resources_as_json_tell_the_cost_of_every_kind_of_list(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "name: x\nclient: {base_url: https://h}\nresources:\n"
        "  - {name: a, endpoint: {method: POST, paginator: {type: offset, limit: 50}}}\n"
        "  - {name: b, endpoint: {path: 'a/{resources.a.id}/b', paginator: header_link}}\n"
        "  - {name: c, endpoint: 'a/{resources.a.id}'}\n"
        "queries: [{name: q, dataset_id: d, sql: s}]\n"
    )
    result = CliRunner().invoke(resources, ["--source", "x.yaml", "--json"])
    whole = json.loads(result.stdout)
    assert whole["base_url"] == "https://h"
    assert whole["queries"] == [{"name": "q", "table": "query_q"}]
    assert {r["list_path"]: r["cost"] for r in whole["resources"]} == {
        "POST a": "1 request per 50 rows",
        "a/{resources.a.id}/b": "1 request per page, for each row of a",
        "a/{resources.a.id}": "1 request, for each row of a",
    }


def test_validate_says_ok_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("name: x\nextends: page\nexclude: [datasets, agent_runs]\n")
    result = CliRunner().invoke(validate, ["x.yaml"])
    assert result.exit_code == 0
    assert result.stdout == (
        "ok: 2 resources, 4 tables: reports, report_rows, dashboards, dashboard_panels\n"
    )


def test_validate_raises_every_problem_and_prints_them_as_json(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "name: x\nresources:\n  - name: a\n    endpoint: {path: a, methud: GET}\n  - endpoint: b\n"
    )
    result = CliRunner().invoke(validate, ["bad.yaml"])
    assert isinstance(result.exception, DefinitionError)
    assert result.exception.exit_code == 2
    assert [p.split(": ")[0] for p in result.exception.problems] == ["bad.yaml:4", "bad.yaml:5"]
    assert result.stdout == ""
    as_json = CliRunner().invoke(validate, ["--json", "bad.yaml"])
    assert isinstance(as_json.exception, DefinitionError)
    assert json.loads(as_json.stdout) == {
        "status": "invalid",
        "problems": result.exception.problems,
    }
