from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from oa_sync.client import ApiClient, RetryPolicy
from oa_sync.client.failures import Failure
from oa_sync.client.retry import Attempts
from oa_sync.errors import (
    ApiError,
    BodyTooLargeError,
    ConnectionFailedError,
    InvalidResponseError,
    RateLimitedError,
    ServerError,
)
from tests.client.scripted import Reply, ScriptedServer, api, bearer, in_turn, reply
from tests.support.clock import START, ManualClock
from tests.support.limiter import Unlimited

OK = reply({"data": []})


class Longest(Random):
    """Jitter that always takes the longest wait."""

    def uniform(self, a: float, b: float) -> float:
        return b


def outcome(*answers: Reply, **options: Any) -> tuple[ApiError | None, list[float], int, Any]:
    """The error, the waits, the requests that the server saw, the client's counts."""
    policy = options.pop("policy", RetryPolicy(random=Longest()))
    method = options.pop("method", "GET")
    clock = ManualClock()

    async def run() -> tuple[ApiError | None, list[float], int, Any]:
        error = None
        async with api(in_turn(*answers), retry=policy, clock=clock) as (server, client):
            try:
                await client.request(method, "reports", **options)
            except ApiError as caught:
                error = caught
            return error, clock.sleeps, len(server.seen), client.counts

    return asyncio.run(run())


@pytest.mark.parametrize(
    "status",
    [408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 527, 529, 530, 598, 599],
)
def test_what_can_heal_is_asked_for_again_after_growing_waits(status: int) -> None:
    bad = reply(b"<html>", status)
    error, waits, seen, counts = outcome(bad, bad, bad, OK)
    assert error is None
    assert waits == [0.5, 1.0, 2.0]
    assert (seen, counts.made, counts.retried) == (4, 4, 3)


@pytest.mark.parametrize(
    "status",
    [
        400,
        401,
        403,
        404,
        405,
        409,
        410,
        418,
        421,
        422,
        423,
        424,
        426,
        428,
        451,
        501,
        505,
        507,
        508,
        526,
        561,
    ],
)
def test_what_cannot_heal_is_asked_for_once(status: int) -> None:
    error, waits, seen, _ = outcome(reply({}, status), OK)
    assert error is not None
    assert (waits, seen) == ([], 1)


def test_tries_end_and_the_message_says_how_many_there_were() -> None:
    error, waits, seen, _ = outcome(reply({}, 500))
    assert isinstance(error, ServerError)
    assert str(error).endswith("(tried 6 times)")
    assert (waits, seen) == ([0.5, 1.0, 2.0, 4.0, 8.0], 6)


def test_waits_are_capped_and_end_with_the_time_allowed() -> None:
    policy = RetryPolicy(max_tries=100, total=100.0, random=Longest())
    error, waits, _, _ = outcome(reply({}, 503), policy=policy)
    assert isinstance(error, ServerError)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_jitter_is_full_and_comes_from_the_seed() -> None:
    expected = Random(7)
    draws = [expected.uniform(0, 0.5 * 2**n) for n in range(5)]
    _, waits, _, _ = outcome(reply({}, 500), policy=RetryPolicy(random=Random(7)))
    assert waits == draws


def test_no_wait_runs_past_the_deadline() -> None:
    error, waits, seen, _ = outcome(reply({}, 500), deadline=2.0)
    assert isinstance(error, ServerError)
    assert (waits, seen) == ([0.5, 1.0], 3)


# --- Retry-After (RFC 9110, 10.2.3) -----------------------------------------------------------

DATE = "Mon, 02 Mar 2026 12:00:00 GMT"  # three hours ahead of the clock here
IN_30 = "Mon, 02 Mar 2026 12:00:30 GMT"
HERE_IN_30 = "Mon, 02 Mar 2026 09:00:30 GMT"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": "2"}, 2.0),
        ({"retry_after": "0"}, 1.0),
        ({"retry_after": "-3"}, 1.0),
        ({"retry_after": "120"}, 120.0),
        ({"retry_after": IN_30, "date": DATE}, 30.0),
        ({"retry_after": HERE_IN_30}, 30.0),
        ({"retry_after": DATE, "date": IN_30}, 1.0),
        ({"retry_after": "soon"}, 1.0),
        ({"retry_after": ""}, 1.0),
        ({}, 1.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(headers: dict[str, Any], wait: float, status: int) -> None:
    garbage = headers.get("retry_after", "soon") in ("soon", "")
    error, waits, seen, counts = outcome(reply({}, status, **headers), OK)
    assert error is None
    assert seen == 2
    assert waits == [0.5 if garbage and status == 503 else wait]
    assert counts.rate_limited == (status == 429)


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "121"},
        {"retry_after": "86400"},
        {"retry_after": "Tue, 03 Mar 2026 09:00:00 GMT"},
    ],
)
def test_a_long_retry_after_is_told_at_once(headers: dict[str, Any]) -> None:
    error, waits, seen, _ = outcome(reply({}, 429, **headers), OK)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after in (121.0, 86400.0)
    assert (waits, seen) == ([], 1)


def test_a_429_is_repeated_twice_and_no_more() -> None:
    error, waits, seen, counts = outcome(reply({}, 429, retry_after="3"))
    assert isinstance(error, RateLimitedError)
    assert (waits, seen, counts.rate_limited) == ([3.0, 3.0], 3, 3)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (420, {}),
        (420, {"retry_after": "3"}),
        (403, {"retry_after": "3"}),
        (403, {"x_ratelimit_remaining": "0"}),
        (403, {"ratelimit_remaining": "0"}),
    ],
)
def test_what_is_a_rate_limit_by_another_number_is_waited_for_and_repeated_twice(
    status: int, headers: dict[str, str]
) -> None:
    wait = 3.0 if "retry_after" in headers else 1.0
    answer = reply({}, status, **headers)
    assert outcome(answer, OK)[:3] == (None, [wait], 2)
    error, waits, seen, counts = outcome(answer)
    assert isinstance(error, RateLimitedError)
    assert error.status == status
    assert (waits, seen, counts.rate_limited) == ([wait, wait], 3, 3)


def test_an_epoch_instant_in_retry_after_is_waited_for_and_no_longer() -> None:
    at = int(START.timestamp()) + 3
    error, waits, seen, _ = outcome(reply({}, 429, retry_after=str(at)), OK)
    assert (error, waits, seen) == (None, [3.0], 2)


def test_an_unreadable_success_is_repeated_twice_and_no_more() -> None:
    error, waits, seen, _ = outcome(reply(b""))
    assert isinstance(error, InvalidResponseError)
    assert (waits, seen) == ([0.5, 1.0], 3)


def test_the_allowances_are_apart() -> None:
    answers = [reply(b""), reply({}, 429), reply({}, 500), reply(b""), reply({}, 429)]
    error, _, seen, _ = outcome(*answers, OK)
    assert error is None
    assert seen == 6


# --- what must not be sent twice --------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Reply(b"", "close"), ConnectionFailedError),
        (Reply(b"", "reset"), ConnectionFailedError),
        (reply({}, 503), ServerError),
        (reply(b"{"), InvalidResponseError),
    ],
)
def test_a_request_that_may_have_been_received_is_not_sent_again(
    answer: Reply, kind: type[ApiError]
) -> None:
    options = {"method": "POST", "json": {"task": "t"}, "idempotent": False}
    error, waits, seen, _ = outcome(answer, OK, **options)
    assert isinstance(error, kind)
    assert "may have been received" in str(error)
    assert (waits, seen) == ([], 1)


def test_an_answer_too_large_to_read_says_that_the_request_was_received() -> None:
    attempts = Attempts(RetryPolicy(), ManualClock(), idempotent=False, deadline=None)
    with pytest.raises(BodyTooLargeError, match="may have been received"):
        attempts.wait_after(Failure(BodyTooLargeError("POST /agents/run: too large")))


def test_a_refused_request_is_not_called_received() -> None:
    options = {"method": "POST", "json": {"task": "t"}, "idempotent": False}
    for status in (400, 429):
        error, _, seen, _ = outcome(reply({}, status), OK, **options)
        assert error is not None
        assert str(status) in str(error)
        assert "received" not in str(error)
        assert seen == 1


def test_an_idempotent_post_is_sent_again() -> None:
    error, _, seen, _ = outcome(reply({}, 503), OK, method="POST", json={"q": 1})
    assert error is None
    assert seen == 2


def test_a_request_that_found_no_connection_is_sent_again_even_if_not_idempotent() -> None:
    clock = ManualClock()

    async def run() -> int:
        limiter = Unlimited()
        async with ScriptedServer(in_turn(OK)) as server:
            url = server.url
        async with ApiClient(url, bearer(), limiter, clock) as client:
            with pytest.raises(ConnectionFailedError) as caught:
                await client.request("POST", "agents/run", json={}, idempotent=False)
        assert "received" not in str(caught.value)
        return limiter.granted

    assert asyncio.run(run()) == 6


def test_waits_go_through_the_clock_only(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    sleep: Callable[..., Any] = asyncio.sleep

    async def spy(seconds: float, *rest: Any) -> Any:
        waited.append(seconds)
        return await sleep(seconds, *rest)

    monkeypatch.setattr(asyncio, "sleep", spy)
    outcome(reply({}, 500))
    assert set(waited) <= {0}
