"""The requests about exports: what is asked, when an export counts as ready, and what its URL comes with."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from oa_sync.errors import (
    ApiError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    OaSyncError,
)
from oa_sync.extract.jobs.exports import ExportRequests, Ticket
from oa_sync.extract.jobs.queries import FAILED
from tests.client.scripted import Reply, Script, Seen, api, in_turn, reply
from tests.support.clock import ManualClock

URL = "https://files.example.com/x?sig=s3cr3t"
READY = reply({"download_url": URL})


def asked(script: Script, ask: Callable[[ExportRequests], Any]) -> tuple[Any, list[Seen], Any]:
    """The answer or the error, the requests, and the polls that were told."""
    clock, heard = ManualClock(), list[int]()

    async def whole() -> tuple[Any, list[Seen]]:
        async with api(script, clock=clock) as (server, client):
            try:
                return await ask(ExportRequests(client, clock, heard.append)), server.seen
            except OaSyncError as error:
                return error, server.seen

    outcome, seen = asyncio.run(whole())
    return outcome, seen, heard


def created(body: Any, wanted: Mapping[str, Any] | None = None) -> tuple[Any, list[Seen]]:
    outcome, seen, _ = asked(
        in_turn(reply(body, status=201)), lambda exports: exports.create("ds_1", "csv", wanted)
    )
    return outcome, seen


def ticket(*replies: Reply, seconds: float = 600.0) -> tuple[Any, list[Seen], list[int]]:
    return asked(in_turn(*replies), lambda exports: exports.ticket("ex 1/2", seconds))


def told(**fields: Any) -> Ticket:
    """The ticket of an answer with `fields`."""
    outcome, _, _ = ticket(reply({"download_url": URL, **fields}))
    assert isinstance(outcome, Ticket), outcome
    return outcome


@pytest.mark.parametrize("wanted", [None, {}])
def test_an_export_is_asked_for_without_a_filter_where_there_is_none(wanted: Any) -> None:
    export_id, [post] = created({"id": "ex_1"}, wanted)
    assert (export_id, post.method, post.path) == ("ex_1", "POST", "/v1/exports")
    assert json.loads(post.body) == {"dataset_id": "ds_1", "format": "csv"}


def test_a_filter_is_left_to_the_api() -> None:
    _, [post] = created({"id": "ex_1"}, {"day": "2026-01-01"})
    assert json.loads(post.body)["filter"] == {"day": "2026-01-01"}


@pytest.mark.parametrize(
    ("body", "export_id"), [({"id": "ex"}, "ex"), ({"id": 7}, "7"), ({"data": {"id": "ex"}}, "ex")]
)
def test_an_export_has_the_id_that_is_a_text_or_a_number(body: Any, export_id: str) -> None:
    assert created(body)[0] == export_id


@pytest.mark.parametrize("body", [{}, {"id": ""}, {"id": True}, {"id": None}, {"data": "x"}, [1]])
def test_an_answer_without_an_id_is_refused(body: Any) -> None:
    outcome, seen = created(body)
    assert isinstance(outcome, InvalidResponseError)
    assert "POST exports answered 201 without the id of an export" in str(outcome)
    assert len(seen) == 1


def test_an_export_is_asked_for_once() -> None:
    outcome, seen, _ = asked(
        in_turn(reply(status=502), reply({"id": "ex_1"})),
        lambda exports: exports.create("ds_1", "csv"),
    )
    assert "may have been received" in str(outcome)
    assert len(seen) == 1


@pytest.mark.parametrize("body", [{"download_url": URL}, {"data": {"download_url": URL}}])
def test_an_export_with_a_url_is_ready(body: Any) -> None:
    outcome, [get], heard = ticket(reply(body))
    assert outcome == Ticket(URL, None, None)
    assert get.target == "/v1/exports/ex%201%2F2/download"
    assert heard == []


@pytest.mark.parametrize(
    "early",
    [
        reply(status=404),
        reply(status=409),
        reply({"status": "processing"}),
        reply({"data": {"status": "queued"}}),
        reply({"download_url": ""}),
        reply({"download_url": None, "status": 7}),
        reply([1]),
    ],
)
def test_an_export_that_is_not_ready_is_asked_for_again(early: Reply) -> None:
    outcome, seen, heard = ticket(early, early, READY)
    assert outcome == Ticket(URL, None, None)
    assert (len(seen), heard) == (3, [1, 2])


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (reply(status=404), "not there (404)"),
        (reply(status=409), "not ready"),
        (reply({"status": "Processing"}), "processing"),
        (reply({}), "without a URL"),
        (reply({"status": 7}), "without a URL"),
    ],
)
def test_an_export_that_is_never_ready_is_left_with_how_it_was(answer: Reply, state: str) -> None:
    outcome, _, _ = ticket(answer, seconds=4)
    assert isinstance(outcome, ApiError)
    assert f"export ex 1/2 is still {state} after 4 s" in str(outcome)


def test_a_state_is_told_with_at_most_64_characters() -> None:
    for length in (64, 65):
        outcome, _, _ = ticket(reply({"status": "x" * length}), seconds=1)
        assert f"is still {'x' * 64}{'' if length == 64 else '…'} after" in str(outcome)


@pytest.mark.parametrize("state", sorted(FAILED))
def test_an_export_that_failed_is_not_asked_for_again(state: str) -> None:
    outcome, seen, _ = ticket(reply({"status": state.upper()}), READY)
    assert isinstance(outcome, InvalidRequestError)
    assert str(outcome) == f"export ex 1/2 ended as {state}; check the dataset and the filter"
    assert len(seen) == 1


@pytest.mark.parametrize("status", [400, 422])
def test_another_refusal_ends_the_wait(status: int) -> None:
    outcome, seen, _ = ticket(reply(status=status), READY)
    assert isinstance(outcome, InvalidRequestError)
    assert not isinstance(outcome, NotFoundError)
    assert len(seen) == 1


def test_a_gone_export_ends_the_wait() -> None:
    outcome, seen, _ = ticket(reply(status=410), READY)
    assert isinstance(outcome, ApiError)
    assert len(seen) == 1


def test_a_url_that_is_no_text_is_refused() -> None:
    outcome, _, _ = ticket(reply({"download_url": 7}))
    assert isinstance(outcome, InvalidResponseError)
    assert "download_url is not text" in str(outcome)


@pytest.mark.parametrize(
    ("size", "known"),
    [(0, 0), (1, 1), (7, 7), (-1, None), (True, None), (False, None), ("7", None), (7.0, None)],
)
def test_a_size_is_a_whole_number_that_is_not_below_zero(size: Any, known: int | None) -> None:
    size_bytes = told(size_bytes=size).size_bytes
    assert (size_bytes, type(size_bytes)) == (known, type(known))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-02T09:00:00Z", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("2026-03-02T09:00:00+02:00", datetime(2026, 3, 2, 7, tzinfo=UTC)),
        ("2026-03-02T09:00:00", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("soon", None),
        (7, None),
        (None, None),
    ],
)
def test_an_end_without_a_zone_is_in_utc_and_one_that_cannot_be_read_is_not_known(
    monkeypatch: pytest.MonkeyPatch, text: Any, instant: datetime | None
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert told(expires_at=text).expires_at == instant
    finally:
        monkeypatch.undo()
        time.tzset()
