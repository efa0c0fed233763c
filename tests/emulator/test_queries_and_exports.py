"""Queries run for real; exports are files behind URLs that carry their own permission."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import pyarrow.csv
import pyarrow.parquet
import pytest

from oa_sync.emulator.server import RunningEmulator
from tests.emulator.stepping_clock import SteppingClock
from tests.support.emulator import HEADERS, HTTP, emulator


def post(server: RunningEmulator, path: str, body: dict[str, Any]) -> httpx.Response:
    return HTTP.post(f"{server.base_url}/{path}", json=body, headers=HEADERS)


def get(server: RunningEmulator, path: str) -> httpx.Response:
    return HTTP.get(f"{server.base_url}/{path}", headers=HEADERS)


def dataset(server: RunningEmulator, name: str) -> str:
    rows = server.state.rows("datasets")
    found: str = next(row["id"] for row in rows if row["name"] == name)
    return found


def data(server: RunningEmulator, dataset_id: str) -> list[dict[str, Any]]:
    reports = server.state.rows("reports")
    rows: list[dict[str, Any]] = next(
        row["data"] for row in reports if row["dataset_id"] == dataset_id and row["data"]
    )
    return rows


def test_a_query_sees_the_rows_of_the_datasets_report() -> None:
    with emulator() as server:
        cars = dataset(server, "cars")
        sql = "SELECT Origin, count(*) AS n FROM data GROUP BY ALL ORDER BY n DESC, Origin"
        answer = post(server, "queries", {"dataset_id": cars, "query": sql}).json()
        origins = [row["Origin"] for row in data(server, cars)]
    assert answer["columns"] == ["Origin", "n"]
    assert {row["Origin"]: row["n"] for row in answer["data"]} == {
        origin: origins.count(origin) for origin in set(origins)
    }


def test_every_dataset_answers_a_constant_and_odd_types_come_as_json() -> None:
    sql = "SELECT 1 AS a, 2 AS a, DATE '2026-01-02' AS d, 1.5::DECIMAL(4,2) AS n, 36893488147419103232::HUGEINT AS h"
    with emulator() as server:
        for dataset_id in server.state.ids("datasets"):
            answer = post(server, "queries", {"dataset_id": dataset_id, "query": sql})
            assert answer.status_code == 200
            row = answer.json()["data"][0]
            assert (row["a"], row["a_2"], row["d"], row["n"]) == (1, 2, "2026-01-02", 1.5)
            assert row["h"] == 2**65


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT * FROM nowhere",
        "SELECT * FROM read_text('/etc/hostname')",
        "SET enable_external_access = true",
        "COPY (SELECT 1) TO '/tmp/oa_emulator_escape.csv'",
        "INSTALL httpfs",
        "SET memory_limit = '1TB'",
    ],
)
def test_queries_that_fail_or_reach_outside_are_422(sql: str) -> None:
    with emulator() as server:
        answer = post(server, "queries", {"dataset_id": dataset(server, "cars"), "query": sql})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")


def test_a_slow_query_is_polled_by_its_id() -> None:
    with emulator(slow_queries=True, ready_after_polls=2) as server:
        body = {"dataset_id": dataset(server, "cars"), "query": "SELECT 7 AS x"}
        answer = post(server, "queries", body)
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
        path = f"queries/{answer.json()['id']}/results"
        polls = [get(server, path).json() for _ in range(3)]
    assert [poll["status"] for poll in polls] == ["running", "running", "completed"]
    assert polls[2]["data"] == [{"x": 7}]


def test_the_cursor_dialect_gives_results_by_id() -> None:
    with emulator(dialect="cursor", ready_after_polls=0) as server:
        body = {"dataset_id": dataset(server, "stocks"), "sql": "SELECT max(price) AS m FROM data"}
        started = post(server, "queries/run", body)
        result = get(server, f"queries/{started.json()['id']}/results").json()
        top = max(row["price"] for row in data(server, body["dataset_id"]))
        assert post(server, "queries/run", body | {"dataset_id": "no"}).status_code == 404
    assert started.status_code == 202
    assert (result["rows"], result["row_count"], result["columns"]) == ([{"m": top}], 1, ["m"])


def exported(server: RunningEmulator, name: str, form: str, **more: Any) -> dict[str, Any]:
    body = {"dataset_id": dataset(server, name), "format": form, **more}
    created = post(server, "exports", body)
    assert created.status_code == 202
    path = f"exports/{created.json()['id']}/download"
    answer: dict[str, Any] = get(server, path).json()
    return answer


def test_an_export_is_the_datasets_rows_in_each_format() -> None:
    with emulator(dialect="cursor", ready_after_polls=0) as server:
        files = {}
        for form in ("parquet", "csv", "json"):
            answer = exported(server, "movies", form)
            files[form] = HTTP.get(answer["download_url"]).content
            assert answer["size_bytes"] == len(files[form])
            assert answer["format"] == form
        rows = data(server, dataset(server, "movies"))
    assert json.loads(files["json"]) == rows
    parquet = pyarrow.parquet.read_table(io.BytesIO(files["parquet"]))
    assert parquet.column("US Gross").to_pylist() == [row["US Gross"] for row in rows]
    assert pyarrow.csv.read_csv(io.BytesIO(files["csv"])).num_rows == len(rows)


def test_an_export_may_be_filtered() -> None:
    with emulator(dialect="cursor", ready_after_polls=0) as server:
        answer = exported(server, "cars", "json", filter={"Origin": "Japan", "Cylinders": 4})
        rows = HTTP.get(answer["download_url"]).json()
        body = {"dataset_id": dataset(server, "cars"), "format": "csv", "filter": {"nope": 1}}
        assert post(server, "exports", body).status_code == 422
        assert post(server, "exports", body | {"format": "xlsx"}).status_code == 422
        expected = [
            row
            for row in data(server, dataset(server, "cars"))
            if row["Origin"] == "Japan" and row["Cylinders"] == 4
        ]
    assert rows == expected != []


def test_an_export_that_is_not_ready_is_a_conflict() -> None:
    with emulator(dialect="cursor", ready_after_polls=2) as server:
        body = {"dataset_id": dataset(server, "cars"), "format": "csv"}
        path = f"exports/{post(server, 'exports', body).json()['id']}/download"
        answers = [get(server, path) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [409, 409, 200]
    assert answers[0].json()["error"]["code"] == "conflict"


def test_a_download_url_wants_no_key_serves_ranges_and_expires() -> None:
    clock = SteppingClock()
    with emulator(dialect="cursor", ready_after_polls=0, clock=clock) as server:
        answer = exported(server, "cars", "csv")
        url = answer["download_url"]
        assert answer["expires_at"] == "2026-03-01T12:15:00Z"
        assert HTTP.get(url, headers=HEADERS).status_code == 400
        whole = HTTP.get(url).content
        for wanted, part in (
            ("bytes=0-9", whole[:10]),
            ("bytes=100-", whole[100:]),
            ("bytes=-7", whole[-7:]),
        ):
            partial = HTTP.get(url, headers={"Range": wanted})
            assert (partial.status_code, partial.content) == (206, part)
        assert partial.headers["content-range"].endswith(f"/{len(whole)}")
        past = HTTP.get(url, headers={"Range": f"bytes={len(whole)}-"})
        assert past.status_code == 416
        counters = server.state.counters
        assert (counters.downloads, counters.total) == (6, 2)
        clock.step(15 * 60)
        assert HTTP.get(url).status_code == 403
        assert HTTP.get(url + "x").status_code == 404
