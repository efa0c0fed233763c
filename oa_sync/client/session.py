"""The HTTP client: one origin, one key; the limiter grants every request before it is sent."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import ssl
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, TypeVar

import httpx

from oa_sync.client.auth import Credential
from oa_sync.client.body import BodyLimits, read_body, read_error_body
from oa_sync.client.failures import Failure, VendorError, api_error, connection_failure
from oa_sync.client.head import EndlessHeadError, Timeouts, head_of
from oa_sync.client.headers import request_headers, without_urls_and_headers_in_logs
from oa_sync.client.origin import base_url, below, is_absolute, linked
from oa_sync.client.pools import MULTIPLEXED, POOL_SIZE, Pools
from oa_sync.client.proxy import proxy_for
from oa_sync.client.response import Response, checked_body, is_blank, server_date
from oa_sync.client.retry import Attempts, RetryPolicy
from oa_sync.client.wording import PATH_TEXT, describe, printable
from oa_sync.clock import Clock
from oa_sync.errors import (
    BodyTooLargeError,
    ConnectionFailedError,
    InvalidResponseError,
    OaSyncError,
    RedirectRefusedError,
    unexpected,
)
from oa_sync.quota.headers import is_rate_limit, lowered, read_retry_after
from oa_sync.quota.pacer import Limiter

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_REDIRECTS = 3
KEEPALIVE_SECONDS = 4.0
"""Idle connections are closed before servers do it (uvicorn after 5 s, most later): a request on
a connection that the server is just closing fails and may cost quota."""
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(slots=True)
class RequestCounts:
    """made: requests put on the wire, repetitions and redirects included, as a server counts them
    (so without attempts that found no connection, although the limiter counts those too).
    retried: those of them that repeat another. rate_limited: answers that are a rate
    limit (429 and its relatives)."""

    made: int = 0
    retried: int = 0
    rate_limited: int = 0


@dataclass(frozen=True, slots=True)
class _Call:
    """One request as the caller wants it."""

    method: str
    url: httpx.URL
    params: Mapping[str, Any]
    json: Any
    note: str | None
    idempotent: bool
    deadline: float | None
    max_tries: int | None
    may_be_empty: bool


@dataclass(frozen=True, slots=True)
class _Redirect:
    location: str
    status: int


class ApiClient:
    """Talks to one API. An async context manager; safe for many tasks of one event loop.

    `auth` comes from `oa_sync.client.auth.credential`. `headers` are added to every request.
    `counts` tells what was sent so far. `transport` stands for the connections (None: real ones).

    Raises ConfigurationError for a base URL that is neither HTTPS nor loopback, and for headers
    that cannot be sent.
    """

    def __init__(
        self,
        base: str,
        auth: Credential,
        limiter: Limiter,
        clock: Clock,
        *,
        retry: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        body_limits: BodyLimits | None = None,
        max_concurrency: int = 64,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base = base_url(base)
        self._auth, self._limiter, self._clock = auth, limiter, clock
        self._retry = retry or RetryPolicy()
        self._timeouts = timeouts or Timeouts()
        self._body_limits = body_limits or BodyLimits()
        self._in_flight = asyncio.Semaphore(max_concurrency)
        self.counts = RequestCounts()
        self._quiet = ExitStack()
        times = self._timeouts
        limits = httpx.Limits(
            max_connections=max_concurrency,
            max_keepalive_connections=max_concurrency,
            keepalive_expiry=KEEPALIVE_SECONDS,
        )
        http2 = importlib.util.find_spec("h2") is not None
        if transport is None:
            transport = self._pools(limits, http2)
        self._http = httpx.AsyncClient(
            headers=request_headers(headers or {}),
            timeout=httpx.Timeout(
                connect=times.connect, read=times.read, write=times.write, pool=times.pool
            ),
            transport=transport,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            trust_env=False,
        )

    def _pools(self, limits: httpx.Limits, http2: bool) -> Pools:
        """Real connections. For plain HTTP no certificates are read, because that takes longer than a
        request; TLS would fail there."""
        context, proxy = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), proxy_for(self._base)
        if self._base.scheme == "https":
            context = httpx.create_ssl_context()
        may_multiplex = http2 and self._base.scheme == "https"
        return Pools(
            lambda: httpx.AsyncHTTPTransport(
                verify=context, http2=http2, limits=limits, proxy=proxy, trust_env=False
            ),
            MULTIPLEXED if may_multiplex else POOL_SIZE,
        )

    @property
    def base(self) -> str:
        """The base URL, without a closing slash."""
        return str(self._base)

    async def __aenter__(self) -> ApiClient:
        self._quiet.enter_context(without_urls_and_headers_in_logs())
        try:
            await self._http.__aenter__()
        except BaseException:
            self._quiet.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._quiet:
            await self._http.__aexit__(kind, error, trace)

    async def request(
        self,
        method: str,
        path_or_url: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        idempotent: bool = True,
        note: str | None = None,
        deadline: float | None = None,
        max_tries: int | None = None,
    ) -> Response:
        """Send a request, again where that can help, and return the whole 2xx answer. Only the answer
        to a DELETE may have no body.

        `path_or_url` is relative to the base URL, or an absolute URL of the same origin. `params`
        that are None are left out. `note` stands behind the path in messages (`page 7`).
        `idempotent=False`: never sent again once the server may have received it. `deadline`, by
        the clock's `monotonic()`: no attempt starts or lasts beyond it. `max_tries` replaces the
        policy's.

        Raises:
            BudgetExhausted: by the limiter; passed on as it is.
            ApiError: one of its subclasses, see `oa_sync.errors`. 404, 405 and 410 are
                NotFoundError; 408 and 425 are ConnectionFailedErrors.
        """
        response, _ = await self._answered(
            _undecoded, method, path_or_url, params, json, idempotent, note, deadline, max_tries
        )
        return response

    async def request_json(
        self, method: str, path_or_url: str, *, params: Mapping[str, Any] | None = None
    ) -> tuple[Response, Any]:
        """As `request`, with the decoded body; if that is not JSON, the request is sent again."""
        return await self.request_decoded(Response.json, method, path_or_url, params=params)

    async def request_decoded(
        self,
        decode: Callable[[Response], T],
        method: str,
        path_or_url: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        note: str | None = None,
        deadline: float | None = None,
        may_be_empty: bool = False,
    ) -> tuple[Response, T]:
        """As `request_json`, with what `decode` makes of the answer; if it raises InvalidResponseError, the
        request is sent again. `may_be_empty`: an answer without a body goes to `decode` too."""
        return await self._answered(
            decode, method, path_or_url, params, json, True, note, deadline, None, may_be_empty
        )

    def redact(self, text: str) -> str:
        """`text`, which the server wrote, with the key replaced: servers do repeat keys."""
        return self._auth.redact(text)

    def resolve(self, response: Response, link: str) -> str:
        """The absolute URL that `link` (absolute or relative) in `response` means.

        Raises:
            RedirectRefusedError: it leaves the configured origin.
        """
        return str(linked(self._base, httpx.URL(response.url), link, response.what))

    async def _answered(
        self, decode: Callable[[Response], T], method: str, path_or_url: str, *rest: Any
    ) -> tuple[Response, T]:
        """The answer to a call, decoded. No exception of a library leaves this room."""
        try:
            return await self._healed(self._call(method, path_or_url, *rest), decode)
        except OaSyncError:
            raise
        except Exception as error:
            shown = "a link" if is_absolute(path_or_url) else printable(path_or_url, PATH_TEXT)
            failed = unexpected(error, f"{method} {shown}")
        raise failed

    def _call(
        self,
        method: str,
        path_or_url: str,
        params: Mapping[str, Any] | None,
        json: Any,
        idempotent: bool,
        note: str | None,
        deadline: float | None,
        max_tries: int | None = None,
        may_be_empty: bool = False,
    ) -> _Call:
        if is_absolute(path_or_url):
            url = linked(self._base, self._base, path_or_url, f"{method} of an absolute URL")
        else:
            url = below(self._base, path_or_url)
        sent = {name: value for name, value in (params or {}).items() if value is not None}
        may_be_empty = may_be_empty or method == "DELETE"
        return _Call(method, url, sent, json, note, idempotent, deadline, max_tries, may_be_empty)

    async def _healed(self, call: _Call, decode: Callable[[Response], T]) -> tuple[Response, T]:
        policy = self._retry
        if call.max_tries is not None:
            policy = replace(policy, max_tries=call.max_tries)
        attempts = Attempts(policy, self._clock, idempotent=call.idempotent, deadline=call.deadline)
        url = call.url.copy_merge_params(call.params) if call.params else call.url
        redirects = 0
        while True:
            outcome = await self._exchange(call, url, attempts)
            if isinstance(outcome, _Redirect):
                url = self._redirected(call, url, outcome, redirects)
                redirects += 1
                continue
            if isinstance(outcome, Response):
                try:
                    return outcome, decode(outcome)
                except InvalidResponseError as error:
                    outcome = Failure(error)
            await self._clock.sleep(attempts.wait_after(outcome))

    async def _exchange(
        self, call: _Call, url: httpx.URL, attempts: Attempts
    ) -> Response | _Redirect | Failure:
        """One request on the wire and its answer, whole."""
        what = describe(call.method, url, self._base, call.note)
        request = self._http.build_request(call.method, url, json=call.json)
        self._auth.sign(request, self._base)
        async with self._in_flight:
            await self._limiter.acquire()
            left = self._time_left(call)
            if left <= 0:
                late = ConnectionFailedError(f"{what}: the time limit passed before it was sent")
                return Failure(late, sent=False, final=True)
            self.counts.made += 1
            started = self._clock.monotonic()
            try:
                async with asyncio.timeout(left):
                    answer = await head_of(self._http, request, self._timeouts, what)
                    try:
                        outcome = await self._outcome(answer, what, call.may_be_empty)
                    finally:
                        await answer.aclose()
            except (httpx.HTTPError, TimeoutError) as error:
                outcome = connection_failure(error, what)
            except EndlessHeadError as error:
                outcome = Failure(error, final=True)
            except (BodyTooLargeError, ConnectionFailedError, InvalidResponseError) as error:
                outcome = Failure(error)
            attempts.spent += self._clock.monotonic() - started
        if isinstance(outcome, Failure) and not outcome.sent:
            self.counts.made -= 1
        elif attempts.made:
            self.counts.retried += 1
        return outcome

    async def _outcome(
        self, answer: httpx.Response, what: str, may_be_empty: bool
    ) -> Response | _Redirect | Failure:
        status = answer.status_code
        logger.debug("%s answered %d", what, status)
        self._limiter.observe(status, answer.headers)
        if status in _REDIRECTS and "location" in answer.headers:
            return _Redirect(answer.headers["location"], status)
        if 200 <= status < 300:
            return await self._whole(answer, what, may_be_empty)
        limited = is_rate_limit(status, lowered(answer.headers))
        self.counts.rate_limited += limited
        vendor = VendorError.parse(await read_error_body(answer), answer.headers, self._auth.redact)
        retry_after = read_retry_after(answer.headers, self._clock.now())
        error = api_error(status, what, vendor, retry_after, limited=limited)
        return Failure(error, retry_after=retry_after)

    async def _whole(self, answer: httpx.Response, what: str, may_be_empty: bool) -> Response:
        body = await read_body(answer, what, self._body_limits)
        if may_be_empty and is_blank(body):
            body = b""
        else:
            content_type = answer.headers.get("content-type", "")
            body = checked_body(body, content_type, what, answer.status_code)
        return Response(
            status=answer.status_code,
            headers=answer.headers,
            body=body,
            url=str(answer.request.url),
            what=what,
            received_at=self._clock.now(),
            server_date=server_date(answer.headers),
        )

    def _redirected(
        self, call: _Call, url: httpx.URL, redirect: _Redirect, followed: int
    ) -> httpx.URL:
        what = describe(call.method, url, self._base, call.note)
        if call.method != "GET":
            raise RedirectRefusedError(
                f"{what} answered {redirect.status}, a redirect, which is followed for GET only;"
                " check the base URL and the path",
                status=redirect.status,
            )
        if followed == MAX_REDIRECTS:
            raise RedirectRefusedError(
                f"{what} answered {redirect.status}, one redirect more than the {MAX_REDIRECTS}"
                " that are followed; check the base URL and the path",
                status=redirect.status,
            )
        return linked(self._base, url, redirect.location, what)

    def _time_left(self, call: _Call) -> float:
        if call.deadline is None:
            return self._timeouts.attempt
        return min(self._timeouts.attempt, call.deadline - self._clock.monotonic())


def _undecoded(response: Response) -> None:
    """Leaves the body as it is."""
