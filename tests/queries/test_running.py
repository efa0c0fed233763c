"""Running a query: sent once, polled patiently, taken only when it is whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import pytest

from oa_sync.errors import (
    ApiError,
    ConnectionFailedError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    OaSyncError,
    ServerError,
)
from oa_sync.extract.jobs.queries import Asked, Finished, QueryRunner
from tests.client.scripted import KEY, Reply, Script, Seen, api, in_turn, reply
from tests.support.clock import ManualClock

Dialect = Literal["page", "cursor"]
STARTED = reply({"id": "q1", "status": "queued"}, status=202)
RUNNING = reply({"id": "q1", "status": "running"})
ROWS = [{"a": 1}, {"a": 2}]
DONE = reply({"id": "q1", "status": "completed", "columns": ["a"], "rows": ROWS, "row_count": 2})


def run(
    script: Script, dialect: Dialect = "cursor", seconds: float = 600.0
) -> tuple[Finished | OaSyncError, list[Seen], ManualClock]:
    """The result or the error, the requests, and the clock that was waited by."""
    clock = ManualClock()

    async def whole() -> tuple[Finished | OaSyncError, list[Seen]]:
        async with api(script, clock=clock) as (server, client):
            runner = QueryRunner(client, clock, dialect)
            try:
                return await runner.run(Asked("ds_1", "SELECT 1", seconds)), server.seen
            except OaSyncError as error:
                return error, server.seen

    outcome, seen = asyncio.run(whole())
    return outcome, seen, clock


def rows_of(outcome: Finished | OaSyncError) -> list[Any]:
    assert isinstance(outcome, Finished), outcome
    return [
        json.loads(line)
        for block in outcome.answer.blocks()
        for line in block.ndjson().splitlines()
    ]


def test_the_page_dialect_is_answered_at_once() -> None:
    outcome, [asked], clock = run(in_turn(reply({"columns": ["a"], "data": ROWS})), "page")
    assert rows_of(outcome) == ROWS
    assert (asked.method, asked.path) == ("POST", "/v1/queries")
    assert json.loads(asked.body) == {"dataset_id": "ds_1", "query": "SELECT 1"}
    assert clock.sleeps == []


def test_the_cursor_dialect_is_polled_with_growing_waits() -> None:
    outcome, seen, clock = run(in_turn(STARTED, RUNNING, RUNNING, RUNNING, DONE), seconds=90.5)
    assert rows_of(outcome) == ROWS
    assert json.loads(seen[0].body) == {"dataset_id": "ds_1", "sql": "SELECT 1", "timeout": 90}
    assert [request.path for request in seen[1:]] == ["/v1/queries/q1/results"] * 4
    assert clock.sleeps == [1.0, 1.5, 2.25, 3.375]


def test_the_page_dialect_polls_an_id_too() -> None:
    done = reply({"id": "q1", "status": "completed", "columns": ["a"], "data": ROWS})
    outcome, _, _ = run(in_turn(STARTED, RUNNING, done), "page")
    assert rows_of(outcome) == ROWS


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"status": "completed", "columns": ["a"], "rows": ROWS}},
        {"data": ROWS, "status": "completed_with_warnings"},
        {"rows": ROWS},
        ROWS,
    ],
)
@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_rows_are_found_where_either_dialect_may_put_them(body: Any, dialect: Dialect) -> None:
    outcome, _, _ = run(in_turn(reply(body)), dialect)
    assert rows_of(outcome) == ROWS


def test_rows_of_a_query_that_still_runs_are_not_taken() -> None:
    partial = reply({"id": "q1", "status": "Running", "rows": [{"a": 1}]})
    outcome, seen, _ = run(in_turn(STARTED, partial, DONE))
    assert rows_of(outcome) == ROWS
    assert len(seen) == 3


CUTS: dict[str, Reply] = {
    "cut in mid-answer": reply(b'{"id": "q1"', length=100, then="close"),
    "reset in mid-answer": reply(b'{"id": "q1"', length=100, then="reset"),
    "no answer at all": Reply(b"", "close"),
    "an error of the server": reply(status=500),
    "a bad gateway": reply(b"<html>", status=502),
    "not JSON": reply(b"<html>"),
}


@pytest.mark.parametrize("dialect", ["page", "cursor"])
@pytest.mark.parametrize("fault", CUTS)
def test_a_query_that_may_have_been_received_is_not_sent_again(
    fault: str, dialect: Dialect
) -> None:
    outcome, seen, _ = run(in_turn(CUTS[fault], DONE), dialect)
    assert isinstance(outcome, ConnectionFailedError | ServerError | InvalidResponseError)
    assert "may have been received" in str(outcome)
    assert len(seen) == 1


def test_polls_are_sent_again_as_they_change_nothing() -> None:
    outcome, seen, _ = run(in_turn(STARTED, CUTS["cut in mid-answer"], reply(status=500), DONE))
    assert rows_of(outcome) == ROWS
    assert len(seen) == 4


def test_a_result_that_is_not_known_yet_is_asked_for_again() -> None:
    outcome, _, _ = run(in_turn(STARTED, reply(status=404), reply(status=404), DONE))
    assert rows_of(outcome) == ROWS


def test_an_api_without_results_by_id_is_told_as_such() -> None:
    outcome, seen, _ = run(in_turn(STARTED, reply(status=404)), "page")
    assert isinstance(outcome, NotFoundError)
    assert "query q1 was accepted" in str(outcome)
    assert "by webhook only" in str(outcome)
    assert len(seen) == 4


@pytest.mark.parametrize("status", ["failed", "CANCELLED", "timed_out"])
def test_a_query_that_fails_says_why_without_the_key(status: str) -> None:
    failed = reply({"id": "q1", "status": status, "error": {"message": f"no such table, {KEY}"}})
    outcome, _, _ = run(in_turn(STARTED, failed))
    assert isinstance(outcome, InvalidRequestError)
    assert "q1 ended as" in str(outcome)
    assert '"no such table, ***"' in str(outcome)


def test_a_query_that_does_not_end_in_time_is_left_alone() -> None:
    outcome, seen, clock = run(in_turn(STARTED, RUNNING), seconds=100)
    assert isinstance(outcome, ApiError)
    assert "query q1 is still running after 100 s" in str(outcome)
    assert clock.monotonic() == 100
    assert len(seen) < 15
    assert max(clock.sleeps) <= 30


def test_a_result_with_fewer_rows_than_it_says_is_refused() -> None:
    short = reply({"id": "q1", "status": "completed", "rows": ROWS, "row_count": 3})
    outcome, _, _ = run(in_turn(short))
    assert isinstance(outcome, InvalidResponseError)
    assert "2 rows and a row_count of 3" in str(outcome)


def test_an_answer_with_neither_rows_nor_id_is_refused() -> None:
    outcome, _, _ = run(in_turn(reply({"status": "queued"}, status=202)))
    assert isinstance(outcome, InvalidResponseError)
    assert "neither rows nor the id" in str(outcome)


def test_an_id_cannot_lead_elsewhere() -> None:
    _, seen, _ = run(in_turn(reply({"id": "../../admin?x=1", "status": "queued"}), DONE))
    assert seen[1].target == "/v1/queries/..%2F..%2Fadmin%3Fx%3D1/results"
    outcome, seen, _ = run(in_turn(reply({"id": "..", "status": "queued"}), DONE))
    assert isinstance(outcome, InvalidRequestError)
    assert len(seen) == 1
