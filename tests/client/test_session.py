from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from oa_sync import __version__
from oa_sync.client import ApiClient, Timeouts, credential
from oa_sync.definitions.model import ApiKeyAuth, BearerAuth, HttpBasicAuth, NoAuth
from oa_sync.errors import (
    ApiError,
    BudgetExhausted,
    ConfigurationError,
    ConnectionFailedError,
    InvalidRequestError,
    RedirectRefusedError,
)
from tests.client.scripted import KEY, Reply, ScriptedServer, Seen, api, bearer, in_turn, reply
from tests.support.clock import ManualClock
from tests.support.endless import endless_hints
from tests.support.limiter import Unlimited

OK = reply({"data": []})


def client_of(base: str, **options: Any) -> ApiClient:
    return ApiClient(base, bearer(), Unlimited(), ManualClock(), **options)


def test_interim_answers_without_end_hold_a_request_no_longer_than_a_silent_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = Timeouts()
    assert times.head == times.pool + times.connect + times.write + times.read < times.attempt
    monkeypatch.setattr(Timeouts, "head", 0.3)

    async def ask(base: str) -> int:
        async with client_of(base) as client:
            with pytest.raises(ConnectionFailedError, match="no head of an answer within"):
                await client.request("GET", "items")
            return client.counts.made

    with endless_hints() as base:
        assert asyncio.run(ask(base)) == 1, "the same would come again"


# --- which hosts, which keys ------------------------------------------------------------------


@pytest.mark.parametrize(
    "base",
    ["https://api.example.com/v1", "http://127.3.0.9:80", "http://[::1]/v1", "http://localhost"],
)
def test_https_and_loopback_are_accepted(base: str) -> None:
    assert client_of(base).base == base.removesuffix(":80")


@pytest.mark.parametrize(
    "base",
    [
        "http://api.example.com/v1",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "ftp://localhost",
        "https://user:pass@example.com",
        "https://example.com/?a=1",
        "https://127.0.0.1:99999/v1",
        "https://127.0.0.1:-1/v1",
        "nonsense",
    ],
)
def test_other_base_urls_are_refused(base: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^base URL: ") as caught:
        client_of(base)
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["oa_x\ny", "oa_x\r\nX-Evil: 1", "oa\x00x", "oa x", "ключ", "", "  "]
)
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(key: str) -> None:
    reason = "which no key has" if key.strip() else "missing; set OPENANALYST_API_KEY"
    with pytest.raises(ConfigurationError, match=reason) as caught:
        credential(BearerAuth(), key)
    assert not key.strip() or key not in str(caught.value)
    assert "Evil" not in str(caught.value)


def test_the_key_is_stripped_and_sent_with_our_headers() -> None:
    async def run() -> Seen:
        async with api(in_turn(OK), auth=bearer(f"  {KEY}\n"), headers={"X-Team": "bi"}) as (
            server,
            client,
        ):
            await client.request("GET", "reports", params={"page": 1, "nothing": None})
            return server.seen[0]

    seen = asyncio.run(run())
    assert seen.target == "/v1/reports?page=1"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["accept"] == "application/json"
    assert seen.headers["accept-encoding"] == "gzip"
    assert seen.headers["user-agent"] == f"oa-sync/{__version__}"
    assert seen.headers["x-team"] == "bi"


def test_other_ways_to_authenticate() -> None:
    async def run() -> list[Seen]:
        requests = []
        for auth in (
            ApiKeyAuth(name="X-API-Key", api_key=SecretStr("k1")),
            ApiKeyAuth(name="key", api_key=SecretStr("k2"), location="query"),
            HttpBasicAuth(username="ann", password=SecretStr("pw")),
            NoAuth(),
        ):
            async with api(in_turn(OK), auth=credential(auth)) as (server, client):
                await client.request("GET", "reports", params={"page": 2})
                requests += server.seen
        return requests

    header, query, basic, nothing = asyncio.run(run())
    assert header.headers["x-api-key"] == "k1"
    assert query.query == {"page": "2", "key": "k2"}
    assert basic.headers["authorization"] == "Basic YW5uOnB3"
    assert "authorization" not in nothing.headers


@pytest.mark.parametrize(
    "headers", [{"X": "a\nb"}, {"X Y": "a"}, {"Host": "h"}, {"accept-Encoding": "br"}]
)
def test_headers_that_cannot_be_sent_are_refused(headers: Mapping[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"client\.headers"):
        client_of("https://example.com", headers=headers)


@pytest.mark.parametrize(
    "path", ["../admin", "reports/%2e%2e/x", "a?b=1", "a#b", "a b", "a\\b", "a\nb"]
)
def test_a_path_cannot_leave_the_base_url(path: str) -> None:
    async def run() -> int:
        async with api(in_turn(OK)) as (server, client):
            with pytest.raises(InvalidRequestError, match="path"):
                await client.request("GET", path)
            return len(server.seen)

    assert asyncio.run(run()) == 0


# --- redirects and absolute links -------------------------------------------------------------


def test_a_redirect_on_the_same_origin_is_followed_and_counted() -> None:
    limiter = Unlimited()

    async def run() -> tuple[list[Seen], int]:
        script = in_turn(reply(status=301, location="/v2/reports?page=1"), OK)
        async with api(script, limiter=limiter) as (server, client):
            await client.request("GET", "reports")
            return server.seen, client.counts.made

    seen, made = asyncio.run(run())
    assert [s.target for s in seen] == ["/v1/reports", "/v2/reports?page=1"]
    assert seen[1].headers["authorization"] == f"Bearer {KEY}"
    assert made == limiter.granted == 2
    assert limiter.statuses == [301, 200]


def test_the_fourth_redirect_is_refused() -> None:
    async def run() -> int:
        async with api(lambda s: reply(status=302, location=s.target + "x")) as (server, client):
            with pytest.raises(RedirectRefusedError, match="GET reportsxxx answered 302"):
                await client.request("GET", "reports")
            return len(server.seen)

    assert asyncio.run(run()) == 4


@pytest.mark.parametrize("auth", ["bearer", "api_key"])
@pytest.mark.parametrize("way", ["redirect", "absolute", "scheme-relative"])
def test_the_secret_never_reaches_another_host(way: str, auth: str) -> None:
    async def run() -> list[Seen]:
        secret = (
            bearer()
            if auth == "bearer"
            else credential(ApiKeyAuth(name="X-API-Key", api_key=SecretStr(KEY)))
        )
        async with ScriptedServer(in_turn(OK)) as elsewhere:
            other = (
                elsewhere.url.removeprefix("http:") if way == "scheme-relative" else elsewhere.url
            )
            script = in_turn(reply(status=302, location=f"{other}/steal?token=t0k"))
            async with api(script, auth=secret) as (_, client):
                with pytest.raises(RedirectRefusedError) as caught:
                    await client.request(
                        "GET", f"{other}/steal" if way == "absolute" else "reports"
                    )
            assert elsewhere.url in str(caught.value)
            assert "t0k" not in str(caught.value)
            return elsewhere.seen

    assert asyncio.run(run()) == []


def test_an_absolute_url_with_a_user_is_refused() -> None:
    async def run() -> None:
        async with api(in_turn(OK)) as (server, client):
            with pytest.raises(RedirectRefusedError, match="GET of an absolute URL"):
                await client.request("GET", server.url.replace("//", "//u:p@") + "/v1/reports")
            await client.request("GET", server.url + "/v1/reports?after=x")
            assert server.seen[0].target == "/v1/reports?after=x"

    asyncio.run(run())


def test_a_credential_signs_requests_of_its_own_origin_only() -> None:
    base = httpx.URL("https://api.example.com/v1")
    for url in (
        "https://api.example.com:8443/v1",
        "http://api.example.com/v1",
        "https://b.example",
    ):
        request = httpx.Request("GET", url)
        with pytest.raises(RedirectRefusedError):
            bearer().sign(request, base)
        assert "authorization" not in request.headers
    request = httpx.Request("GET", "https://API.example.com:443/x")
    bearer().sign(request, base)
    assert request.headers["authorization"] == f"Bearer {KEY}"


def test_loopback_is_not_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> list[Seen]:
        async with ScriptedServer(in_turn(OK)) as proxy:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            for name in ("no_proxy", "NO_PROXY"):
                monkeypatch.delenv(name, raising=False)
            async with api(in_turn(OK)) as (_, client):
                await client.request("GET", "reports")
            return proxy.seen

    assert asyncio.run(run()) == []


def test_a_post_is_not_redirected() -> None:
    async def run() -> int:
        async with api(in_turn(reply(status=307, location="/v1/other"))) as (server, client):
            with pytest.raises(RedirectRefusedError, match="GET only"):
                await client.request("POST", "queries", json={"sql": "select 1"})
            return len(server.seen)

    assert asyncio.run(run()) == 1


# --- limiter, concurrency, time limits --------------------------------------------------------


class Budget(Unlimited):
    def __init__(self, requests: int) -> None:
        super().__init__()
        self.left = requests

    async def acquire(self) -> None:
        if self.left == 0:
            raise BudgetExhausted("the budget is spent")
        self.left -= 1
        await super().acquire()


def test_an_exhausted_budget_passes_through_and_nothing_is_sent() -> None:
    async def run() -> tuple[int, int, int]:
        async with api(in_turn(reply(status=503)), limiter=Budget(2)) as (server, client):
            with pytest.raises(BudgetExhausted, match="the budget is spent"):
                await client.request("GET", "reports")
            return len(server.seen), client.counts.made, client.counts.retried

    assert asyncio.run(run()) == (2, 2, 1)


def test_no_more_requests_at_once_than_allowed() -> None:
    async def run() -> int:
        async with api(in_turn(OK), max_concurrency=3) as (server, client):
            await asyncio.gather(*(client.request("GET", f"reports/{n}") for n in range(20)))
            assert len(server.seen) == 20
            return int(server.most_at_once)

    assert asyncio.run(run()) == 3


def test_requests_that_wait_for_the_limiter_hold_a_slot() -> None:
    class Watching(Unlimited):
        waiting = most = 0

        async def acquire(self) -> None:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            await asyncio.sleep(0)
            self.waiting -= 1

    limiter = Watching()

    async def run() -> None:
        async with api(in_turn(OK), max_concurrency=2, limiter=limiter) as (_, client):
            await asyncio.gather(*(client.request("GET", f"reports/{n}") for n in range(6)))

    asyncio.run(run())
    assert limiter.most <= 2


def test_a_server_that_drips_ends_at_the_attempts_time_limit() -> None:
    async def run() -> None:
        stalled = reply(b'{"data"', length=100, then="hang")
        async with api(in_turn(stalled), timeouts=Timeouts(attempt=0.5)) as (server, client):
            with pytest.raises(ConnectionFailedError, match=r"time limit.*tried 6 times"):
                await client.request("GET", "reports")
            assert client.counts.made == len(server.seen) == 6

    asyncio.run(run())


def test_a_silent_server_ends_at_the_read_time_out() -> None:
    async def run() -> None:
        async with api(in_turn(Reply(b"", "hang")), timeouts=Timeouts(read=0.05)) as (_, client):
            with pytest.raises(ConnectionFailedError, match="nothing within the read time-out"):
                await client.request("GET", "reports")

    asyncio.run(run())


def test_no_attempt_starts_behind_the_deadline() -> None:
    clock = ManualClock()

    class Slow(Unlimited):
        async def acquire(self) -> None:
            await super().acquire()
            clock.advance(30)

    async def run() -> int:
        async with api(in_turn(reply(status=500)), clock=clock, limiter=Slow()) as (server, client):
            with pytest.raises(ApiError) as caught:
                await client.request("GET", "reports", deadline=50.0)
            assert "time limit" in str(caught.value)
            assert client.counts.made == len(server.seen)
            return len(server.seen)

    assert asyncio.run(run()) == 1


def test_a_refused_connection_is_no_request_on_the_wire() -> None:
    async def run() -> tuple[int, int]:
        limiter = Unlimited()
        async with ScriptedServer(in_turn(OK)) as server:
            url = server.url
        async with ApiClient(url, bearer(), limiter, ManualClock()) as client:
            with pytest.raises(ConnectionFailedError, match=r"no connection.*tried 6 times"):
                await client.request("GET", "reports")
            return client.counts.made, limiter.granted

    assert asyncio.run(run()) == (0, 6)


# --- secrets ----------------------------------------------------------------------------------


def test_logs_messages_and_traces_do_not_hold_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    auth = credential(ApiKeyAuth(name="key", api_key=SecretStr(KEY), location="query"))
    answers = [
        reply({"error": {"code": "x", "message": f"bad key {KEY}"}}, 401),
        reply({"error": f"cannot use {KEY}"}, 422),
        reply(b"", 200, length=5, then="close"),
        reply(b"not json"),
        reply(status=302, location=f"http://other.invalid/?key={KEY}"),
    ]

    query = {"q": "s3cret-q"}

    async def run() -> None:
        for answer in answers:
            async with api(in_turn(answer), auth=auth) as (server, client):
                with pytest.raises(ApiError) as caught:
                    await client.request("GET", "reports", params=query)
                shown = "".join(traceback.format_exception(caught.value))
                assert KEY not in shown
                assert KEY not in repr(caught.value)
                assert query["q"] not in shown
                assert server.seen[0].query["key"] == KEY

    asyncio.run(run())
    assert KEY not in caplog.text
    assert KEY not in repr(auth)


def test_cookies_are_not_kept() -> None:
    async def run() -> list[Seen]:
        async with api(in_turn(reply({"data": []}, set_cookie="session=1; Path=/"))) as (
            server,
            client,
        ):
            await client.request("GET", "reports")
            await client.request("GET", "reports")
            return server.seen

    assert "cookie" not in asyncio.run(run())[1].headers
