from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from oa_sync.client import RetryPolicy
from oa_sync.errors import (
    ApiError,
    ConnectionFailedError,
    InvalidRequestError,
    InvalidResponseError,
    NotAuthorisedError,
    NotFoundError,
    RateLimitedError,
    ServerError,
)
from tests.client.scripted import Reply, api, in_turn, reply

ONCE = RetryPolicy(max_tries=1)


def error_of(answer: Reply, **request: Any) -> ApiError:
    async def run() -> ApiError:
        async with api(in_turn(answer), retry=ONCE) as (_, client):
            with pytest.raises(ApiError) as caught:
                await client.request("GET", "reports", **request)
            return caught.value

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, NotAuthorisedError),
        (403, NotAuthorisedError),
        (404, NotFoundError),
        (405, NotFoundError),
        (408, ConnectionFailedError),
        (409, InvalidRequestError),
        (410, NotFoundError),
        (418, InvalidRequestError),
        (422, InvalidRequestError),
        (420, RateLimitedError),
        (425, ConnectionFailedError),
        (429, RateLimitedError),
        (500, ServerError),
        (502, ServerError),
        (520, ServerError),
        (599, ServerError),
        (300, InvalidResponseError),
        (302, InvalidResponseError),
    ],
)
def test_each_status_has_its_error(status: int, kind: type[ApiError]) -> None:
    error = error_of(reply({"error": {"code": "C", "message": "m", "status": status}}, status))
    assert type(error) is kind
    assert (error.status, error.api_code) == (status, "C")


def test_the_message_names_request_reason_request_id_and_next_step() -> None:
    body = {
        "error": {
            "code": "VALIDATION_ERROR",
            "message": "per_page too large",
            "status": 422,
            "request_id": "req_9",
        }
    }
    error = error_of(reply(body, 422), params={"per_page": 500}, note="page 7")
    assert str(error) == (
        'GET reports (page 7) answered 422 VALIDATION_ERROR "per_page too large"; request id req_9;'
        " check the parameters and page size in the definition, or the SQL of a query"
    )
    assert error.request_id == "req_9"


def test_a_bill_that_is_not_paid_is_no_fault_of_the_definition() -> None:
    said = str(error_of(reply({"error": "trial over"}, 402)))
    assert "the account is not paid" in said
    assert "definition" not in said


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": {"code": "invalid_request", "message": "no"}}, "invalid_request", "no"),
        ({"error": "plain words"}, None, "plain words"),
        ({"code": 17, "message": "top level"}, "17", "top level"),
        ({"detail": "by fastapi"}, None, "by fastapi"),
        ({"error": {"code": ["x"], "message": {"a": 1}}}, None, None),
        ({"error": None}, None, None),
        ([1, 2], None, None),
        ("text", None, None),
    ],
)
def test_error_bodies_of_any_form_are_read(
    body: Any, code: str | None, message: str | None
) -> None:
    error = error_of(reply(body, 400))
    assert error.api_code == code
    assert (f'"{message}"' in str(error)) == (message is not None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe", b"[" * 5000])
def test_an_error_body_that_is_no_json_does_not_hide_the_status(body: bytes) -> None:
    assert error_of(reply(body, 404)).status == 404


def test_a_broken_or_endless_error_body_does_not_hide_the_status() -> None:
    assert error_of(reply(b"{", 401, length=99, then="close")).status == 401
    assert error_of(reply(b"junk", 401, content_encoding="gzip")).status == 401
    endless = reply(b'"' + b"x" * 200_000, 403, length=10**9, then="hang")
    assert error_of(endless).status == 403


def test_a_compressed_error_body_is_read() -> None:
    body = gzip.compress(json.dumps({"error": {"code": "FORBIDDEN", "message": "ip"}}).encode())
    assert error_of(reply(body, 403, content_encoding="gzip")).api_code == "FORBIDDEN"


def test_foreign_text_is_escaped_and_cut() -> None:
    message = "a\x1b[31m\nb\u202e" + "x" * 400
    error = error_of(reply({"error": {"code": "c\r\nd", "message": message}}, 400))
    shown = str(error)
    assert shown.isprintable()
    assert r"a\x1b[31m\nb\u202e" in shown
    assert "x" * 270 in shown
    assert "x" * 301 not in shown
    assert error.api_code == r"c\r\nd"


def test_the_request_id_header_stands_in_for_the_bodys() -> None:
    assert error_of(reply({}, 500, x_request_id="req_h")).request_id == "req_h"
