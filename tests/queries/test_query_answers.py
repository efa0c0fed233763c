"""What an answer says of its query: its id, how it is, why it failed, how many rows it must have."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from oa_sync.errors import InvalidRequestError, InvalidResponseError, NotFoundError
from oa_sync.extract.jobs.queries import FAILED, MISSED_POLLS, WAITING, Asked, QueryRunner
from tests.client.scripted import api, in_turn, reply
from tests.queries.test_running import DONE, ROWS, STARTED, rows_of, run
from tests.support.clock import ManualClock


def finished(body: Any) -> Any:
    """The outcome of a query that is answered with `body` at once."""
    return run(in_turn(reply(body)))[0]


@pytest.mark.parametrize(
    ("body", "query_id"),
    [
        ({"id": "q1"}, "q1"),
        ({"id": 17}, "17"),
        ({"query_id": "q2"}, "q2"),
        ({"id": "", "query_id": "q2"}, "q2"),
        ({"id": True, "query_id": "q2"}, "q2"),
        ({"id": ["q1"], "query_id": "q2"}, "q2"),
        ({"id": True}, None),
        ({"id": ""}, None),
        ({}, None),
    ],
)
def test_a_query_has_the_id_that_is_a_text_or_a_number(body: Any, query_id: str | None) -> None:
    outcome = finished({**body, "rows": ROWS})
    assert (outcome.query_id, rows_of(outcome)) == (query_id, ROWS)


def test_what_the_api_says_is_told_with_so_many_characters_and_no_more() -> None:
    for more in (0, 1):
        end = "…" if more else ""
        assert finished({"id": "q" * (200 + more), "rows": ROWS}).query_id == "q" * 200 + end
        waiting = reply({"id": "q1", "status": "x" * (64 + more)})
        assert f"is still {'x' * 64}{end} after" in str(run(in_turn(waiting), seconds=1)[0])
        failed = finished({"status": "failed", "message": "y" * (300 + more)})
        assert f' "{"y" * 300}{end}";' in str(failed)


def test_what_is_told_of_a_query_stands_in_the_answer_or_in_its_data() -> None:
    inside = {"data": {"id": "q1", "status": "queued"}}
    outcome, seen, _ = run(in_turn(reply(inside, status=202), DONE))
    assert (rows_of(outcome), seen[1].path) == (ROWS, "/v1/queries/q1/results")
    # The outer status is the query's; `data` may be a row then.
    outcome = finished({"status": "completed", "id": "q1", "data": {"id": "x", "rows": ROWS}})
    assert outcome.query_id == "q1"


@pytest.mark.parametrize("status", sorted(WAITING))
def test_rows_are_not_taken_while_the_query_is_not_at_its_end(status: str) -> None:
    outcome, seen, _ = run(in_turn(reply({"id": "q", "status": status, "rows": [{"a": 0}]}), DONE))
    assert (rows_of(outcome), len(seen)) == (ROWS, 2)


@pytest.mark.parametrize("status", sorted(FAILED))
def test_a_query_that_ended_badly_gives_no_rows(status: str) -> None:
    outcome = finished({"id": "q", "status": status, "rows": ROWS})
    assert isinstance(outcome, InvalidRequestError)
    assert str(outcome) == f"query q ended as {status}; check the SQL and the dataset"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"error": "bad SQL"}, ' "bad SQL"'),
        ({"error": {"message": "bad SQL", "code": "E1"}}, ' "bad SQL"'),
        ({"error": {"code": "E1"}}, ' "E1"'),
        ({"error_message": "bad SQL", "message": "other"}, ' "bad SQL"'),
        ({"message": "bad SQL"}, ' "bad SQL"'),
        ({"error": "first", "error_message": "second"}, ' "first"'),
        ({"error": 7}, ""),
        ({"error": {"message": ["x"]}}, ""),
        ({}, ""),
    ],
)
def test_a_query_that_ended_badly_tells_the_reason_that_is_a_text(told: Any, reason: str) -> None:
    outcome = finished({"status": "failed", **told})
    assert (
        str(outcome) == f"query without id ended as failed{reason}; check the SQL and the dataset"
    )


def test_rows_without_a_status_are_a_result_and_a_status_that_is_no_text_is_none() -> None:
    assert rows_of(finished({"rows": ROWS})) == ROWS
    assert rows_of(finished({"rows": ROWS, "status": 7})) == ROWS


@pytest.mark.parametrize("count", [2, True, "3", None, 2.5])
def test_a_number_of_rows_that_is_right_or_no_number_is_no_fault(count: Any) -> None:
    assert rows_of(finished({"rows": ROWS, "row_count": count})) == ROWS


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_result_with_another_number_of_rows_than_it_says_is_refused(count: int) -> None:
    outcome = finished({"rows": ROWS, "row_count": count})
    assert isinstance(outcome, InvalidResponseError)
    assert f"with 2 rows and a row_count of {count}," in str(outcome)


def test_an_answer_that_is_no_json_is_told_with_its_status() -> None:
    outcome, _, _ = run(in_turn(STARTED, reply(b'{"rows": [], "x": nope}')))
    assert isinstance(outcome, InvalidResponseError)
    assert outcome.status == 200
    assert "GET queries/q1/results answered 200 with a body that is" in str(outcome)


def test_a_result_that_is_never_known_is_given_up_with_what_the_api_said() -> None:
    gone = reply({"error": {"code": "NO_QUERY", "message": "x"}}, status=404, x_request_id="r1")
    outcome, seen, _ = run(in_turn(STARTED, gone))
    assert isinstance(outcome, NotFoundError)
    assert len(seen) == 1 + MISSED_POLLS
    assert (outcome.status, outcome.api_code, outcome.request_id) == (404, "NO_QUERY", "r1")


@pytest.mark.parametrize(("seconds", "asked"), [(0.5, 1), (1.9, 1), (2.0, 2)])
def test_the_api_is_told_whole_seconds_and_one_at_least(seconds: float, asked: int) -> None:
    _, [post], _ = run(in_turn(DONE), seconds=seconds)
    assert f'"timeout":{asked}}}'.encode() in post.body.replace(b" ", b"")


def test_every_poll_is_told() -> None:
    clock, heard = ManualClock(), list[int]()

    async def whole() -> None:
        async with api(in_turn(STARTED, STARTED, reply(status=404), DONE), clock=clock) as (
            _,
            client,
        ):
            runner = QueryRunner(client, clock, "cursor", heard.append)
            await runner.run(Asked("ds_1", "SELECT 1", 600.0))

    asyncio.run(whole())
    assert heard == [1, 2, 3]


def test_the_wait_tells_how_the_query_is() -> None:
    running = reply({"id": "q1", "status": "Running"})
    assert "query q1 is still running after 5 s" in str(run(in_turn(running), seconds=5)[0])
    silent = reply({"id": "q1"})
    assert "query q1 is still unfinished after 5 s" in str(run(in_turn(silent), seconds=5)[0])
