"""Lists and details: what stands in them, and that paging shows each record once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from oa_sync.emulator.data import SAMPLE, DataFileError, load_workspace
from oa_sync.emulator.server import RunningEmulator
from tests.support.emulator import HEADERS, HTTP, emulator, workspace_of

RUNS = {"page": "agents/runs", "cursor": "agents/sessions"}


def get(server: RunningEmulator, path: str, **params: Any) -> httpx.Response:
    return HTTP.get(f"{server.base_url}/{path}", params=params, headers=HEADERS)


def all_pages(server: RunningEmulator, path: str, size: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if server.emulator.options.dialect == "page":
        pages = get(server, path, per_page=size).json()["meta"]["total_pages"]
        for number in range(1, pages + 1):
            rows += get(server, path, page=number, per_page=size).json()["data"]
        return rows
    cursor: dict[str, str] = {}
    while True:
        body = get(server, path, limit=size, **cursor).json()
        rows += body["data"]
        if not body["pagination"]["has_more"]:
            assert body["pagination"]["cursor"] is None
            return rows
        cursor = {"after": body["pagination"]["cursor"]}


def sample(resource: str) -> list[dict[str, Any]]:
    lines = (SAMPLE / f"{resource}.ndjson").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("dialect", ["page", "cursor"])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_paging_shows_every_record_once_in_the_order_of_the_file(dialect: str, size: int) -> None:
    with emulator(dialect=dialect) as server:
        for resource, heavy in (("datasets", "columns"), ("reports", "data"), ("dashboards", "")):
            expected = [
                {name: value for name, value in record.items() if name != heavy}
                for record in sample(resource)
            ]
            assert all_pages(server, resource, size) == expected


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_details_are_the_records_of_the_file(dialect: str) -> None:
    with emulator(dialect=dialect) as server:
        for resource in ("datasets", "reports"):
            for record in sample(resource):
                assert get(server, f"{resource}/{record['id']}").json() == record
        for run in sample("agent_runs"):
            detail = get(server, f"{RUNS[dialect]}/{run['id']}").json()
            assert {name: detail[name] for name in run} == run
        assert get(server, "reports/rpt_none").status_code == 404


def test_sessions_count_their_steps_and_name_prompt_and_answer() -> None:
    with emulator(dialect="cursor") as server:
        rows = get(server, "agents/sessions").json()["data"]
    for row, run in zip(rows, sample("agent_runs"), strict=True):
        assert row["steps"] == len(run["steps"]) > 0
        assert row["prompt"] == run["task"]
        assert row["final_answer"] == run["result"]["submission"]


def test_the_page_dialect_lists_runs_only_when_told_to() -> None:
    with emulator() as server:
        assert get(server, "agents/runs").status_code == 404
    with emulator(runs_list=True) as server:
        assert get(server, "agents/runs").json()["meta"]["total"] == 3


@pytest.mark.parametrize(("dialect", "name"), [("page", "per_page"), ("cursor", "limit")])
def test_a_server_may_give_fewer_rows_than_asked(dialect: str, name: str) -> None:
    with emulator(dialect=dialect, max_per_page=7) as server:
        body = get(server, "reports", **{name: 100}).json()
        assert len(body["data"]) == 7
        if dialect == "page":
            assert body["meta"] == {"page": 1, "per_page": 7, "total": 18, "total_pages": 3}
        assert len({row["id"] for row in all_pages(server, "reports", 100)}) == 18


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_rows_and_details_without_updated_at(dialect: str) -> None:
    with emulator(dialect=dialect, no_updated_at=True, runs_list=True) as server:
        for resource in ("datasets", "reports", RUNS[dialect]):
            rows = get(server, resource).json()["data"]
            assert rows
            assert not any("updated_at" in row for row in rows)
            detail = get(server, f"{resource}/{rows[0]['id']}").json()
            assert "updated_at" not in detail
            assert detail["created_at"]


def test_options_for_the_shape_of_rows_and_details() -> None:
    report = sample("reports")[2]
    with emulator(full_lists=True, wrap_detail=True) as server:
        assert get(server, "reports").json()["data"][2] == report
        assert get(server, f"reports/{report['id']}").json() == {"data": report}
    with emulator(lean_lists=True) as server:
        row = get(server, "reports").json()["data"][2]
        names = {"id", "name", "status", "dataset_id", "format", "created_at", "updated_at"}
        assert set(row) == names


@pytest.mark.parametrize("keyset", [False, True])
@pytest.mark.parametrize("order", ["stored", "updated_desc", "updated_asc", "random"])
def test_every_order_pages_the_same_records(order: str, keyset: bool) -> None:
    with emulator(dialect="cursor", order=order, keyset_cursors=keyset, seed=3) as server:
        rows = all_pages(server, "reports", 5)
        assert [row["id"] for row in rows] == server.state.ids("reports")
    stored = [record["id"] for record in sample("reports")]
    assert sorted(row["id"] for row in rows) == sorted(stored)
    times = [row["updated_at"] for row in rows]
    if order.startswith("updated"):
        assert times == sorted(times, reverse=order == "updated_desc")
    if order == "random":
        assert [row["id"] for row in rows] != stored


def test_a_keyset_cursor_survives_a_delete_that_moves_offsets() -> None:
    with emulator(dialect="cursor", keyset_cursors=True) as server:
        first = get(server, "reports", limit=5).json()
        ids = server.state.ids("reports")
        server.state.delete("reports", ids[1])
        second = get(server, "reports", limit=5, after=first["pagination"]["cursor"]).json()
    assert [row["id"] for row in second["data"]] == ids[5:10]


@pytest.mark.parametrize("keyset", [False, True])
@pytest.mark.parametrize("after", ["", "x", "b2E", "b2Ewe30", "b2EtMQ", "b2EieCI", "é"])
def test_a_foreign_cursor_is_400(after: str, keyset: bool) -> None:
    with emulator(dialect="cursor", keyset_cursors=keyset) as server:
        answer = get(server, "reports", after=after)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("query", ["page=0", "page=x", "per_page=101", "page=1&page=2", "page=٣"])
def test_bad_page_parameters_are_422(query: str) -> None:
    with emulator() as server:
        answer = HTTP.get(f"{server.base_url}/reports?{query}", headers=HEADERS)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (422, "VALIDATION_ERROR", 422)
    assert error["request_id"].startswith("req_")


def test_keys_paths_and_methods_are_checked() -> None:
    with emulator(dialect="cursor") as server:
        url = f"{server.base_url}/reports"
        for headers in ({}, {"Authorization": "Bearer nope"}, {"Authorization": "Basic oa_x"}):
            answer = HTTP.get(url, headers=headers)
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "authentication_required"
            assert answer.headers["x-ratelimit-limit"].isdigit()
        assert get(server, "nothing").json()["error"]["code"] == "not_found"
        answer = HTTP.delete(url, headers=HEADERS)
        assert (answer.status_code, answer.json()["error"]["status"]) == (405, 405)
        assert "GET" in answer.headers["allow"]


def test_integers_beyond_64_bits_are_served_exactly() -> None:
    big = 2**70
    workspace = workspace_of(
        reports=[{"id": "r", "name": "n", "total": big, "data": [{"v": big}], "odd": "\ud800"}]
    )
    with emulator(workspace, no_updated_at=True) as server:
        assert get(server, "reports").json()["data"][0]["total"] == big
        assert get(server, "reports/r").json()["data"] == [{"v": big}]


@pytest.mark.parametrize(
    "line", ["{", "[1]", "{}", '{"id": 7}', '{"id": "a"}', '{"id": "b", "v": NaN}']
)
def test_a_bad_line_is_named_by_file_and_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "reports.ndjson"
    file.write_text('{"id": "a"}\n\n' + line + "\n")
    with pytest.raises(DataFileError) as error:
        load_workspace(tmp_path)
    assert str(error.value).startswith(f"{file}:3: ")
