"""Fetching the file behind a signed URL: without a key, in as many parts as needed, and checked.

A signed URL is valid for 15 minutes and is a secret: whoever has it has the file. It never stands in a
message. If it expires during the download, a fresh one is asked for, and the download continues there.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import IO

import httpx

from oa_sync.client.head import Timeouts, head_of
from oa_sync.client.headers import request_headers, without_urls_and_headers_in_logs
from oa_sync.client.proxy import ProxiedByHost
from oa_sync.clock import Clock
from oa_sync.errors import (
    ConnectionFailedError,
    DestinationError,
    InvalidResponseError,
    RedirectRefusedError,
)
from oa_sync.extract.jobs.exports import Ticket
from oa_sync.extract.jobs.hosts import DownloadHosts

MAX_BYTES = 256 * 1024**3
"""The most bytes that are accepted where the API does not tell the size."""

ATTEMPTS = 6
"""After this many attempts in a row that bring no byte, the download fails."""

RENEWALS = 2
"""Fresh URLs that are asked for in a row without a byte in between; each is a request to the API."""

_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 3
_EXPIRED = frozenset({400, 401, 403, 404, 410})
_TIMES = Timeouts()
_LONGEST_WAIT = 30.0
_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15}|\*)")

Renew = Callable[[], Awaitable[Ticket]]


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched to its end: its bytes, and the requests that it took."""

    nbytes: int
    requests: int


class _Expired(Exception):
    """The URL is no longer good; `status` is what its host said."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Download:
    """Fetches one file into `file`, an empty one open for writing in binary, unbuffered. Use it once.

    `renew` asks the API for a fresh URL. The download's own requests do not go to the API: no quota
    counts them.
    """

    def __init__(self, file: IO[bytes], hosts: DownloadHosts, clock: Clock, renew: Renew) -> None:
        self._file, self._hosts, self._clock, self._renew = file, hosts, clock, renew
        self._received = self._requests = 0
        self._mark: str | None = None
        self._total: int | None = None

    async def fetch(self, ticket: Ticket) -> Fetched:
        """Fetch the file to its end.

        Raises:
            RedirectRefusedError: the URL, or one it leads to, may not be asked.
            InvalidResponseError: the file is not as large as the API said, or the host answers with
                something that is no file.
            ConnectionFailedError: too many attempts brought nothing.
            ApiError, BudgetExhausted: a fresh URL could not be had.
        """
        fruitless = refused = 0
        is_fresh = True
        async with self._client() as client:
            while True:
                # A fresh ticket is tried even if it looks expired: the API's clock may be another.
                if not is_fresh and ticket.expires_at and self._clock.now() >= ticket.expires_at:
                    ticket = await self._renew()
                is_fresh = False
                before, problem = self._received, "it ended too early"
                try:
                    if await self._attempt(client, ticket):
                        return Fetched(self._received, self._requests)
                except httpx.HTTPError as error:
                    problem = f"the connection failed ({type(error).__name__})"
                except _Expired as expired:
                    problem = f"its host refused the URL with {expired.status}"
                    refused += 1
                    if refused <= RENEWALS:
                        ticket, is_fresh = await self._renew(), True
                if self._received > before:
                    fruitless = refused = 0
                fruitless += self._received <= before
                if fruitless == ATTEMPTS or refused > RENEWALS:
                    raise ConnectionFailedError(
                        f"the download stopped at {self._received:,} bytes: {problem}, again and"
                        " again; check the network and run again"
                    )
                await self._clock.sleep(min(_LONGEST_WAIT, 2.0**fruitless))

    @staticmethod
    @asynccontextmanager
    async def _client() -> AsyncIterator[httpx.AsyncClient]:
        with without_urls_and_headers_in_logs():
            async with httpx.AsyncClient(
                headers={**request_headers({}), "Accept": "*/*", "Accept-Encoding": "identity"},
                timeout=httpx.Timeout(
                    connect=_TIMES.connect, read=_TIMES.read, write=_TIMES.write, pool=_TIMES.pool
                ),
                follow_redirects=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                transport=ProxiedByHost(lambda proxy: httpx.AsyncHTTPTransport(proxy=proxy)),
                trust_env=False,
            ) as client:
                yield client

    async def _attempt(self, client: httpx.AsyncClient, ticket: Ticket) -> bool:
        """Send one request for what is missing. True: the file is whole now."""
        url = self._hosts.check(ticket.url)
        for _ in range(_MAX_REDIRECTS + 1):
            request = client.build_request("GET", url, headers=self._range())
            self._requests += 1
            answer = await head_of(client, request, _TIMES, "the download")
            try:
                location = answer.headers.get("location")
                if answer.status_code not in _REDIRECTS or location is None:
                    return await self._take(answer, ticket)
            finally:
                await answer.aclose()
            url = self._hosts.check(str(url.join(location)))
        raise RedirectRefusedError(f"the download URL redirects more than {_MAX_REDIRECTS} times")

    def _range(self) -> dict[str, str]:
        """Headers for the rest if the file is still the same, else for all (RFC 9110, 14.2, 13.1.5)."""
        if not self._received:
            return {}
        headers = {"range": f"bytes={self._received}-"}
        return {**headers, "if-range": self._mark} if self._mark else headers

    async def _take(self, answer: httpx.Response, ticket: Ticket) -> bool:
        status = answer.status_code
        if status in _EXPIRED:
            raise _Expired(status)
        if status == 416 and self._received:
            self._start_again()
            return False
        if status == 429 or status >= 500:
            return False
        if status not in (200, 206):
            raise InvalidResponseError(
                f"the host of the download answered {status}, which is no file; run again, then tell"
                " the vendor"
            )
        if status == 200:
            self._begin(answer)
        elif not self._is_the_rest(answer):
            self._start_again()
            return False
        self._check_headers(answer, ticket)
        async for chunk in answer.aiter_raw():
            self._received += len(chunk)
            self._check_size(ticket)
            self._write(chunk)
        wanted = ticket.size_bytes if ticket.size_bytes is not None else self._total
        return wanted is None or self._received == wanted

    def _begin(self, answer: httpx.Response) -> None:
        self._start_again()
        length = answer.headers.get("content-length", "")
        self._total = int(length) if length.isdecimal() and len(length) < 16 else None

    def _is_the_rest(self, answer: httpx.Response) -> bool:
        """Whether this part of the file continues what was received."""
        span = _RANGE.fullmatch(answer.headers.get("content-range", ""))
        if span is None or int(span[1]) != self._received:
            return False
        self._total = int(span[2]) if span[2] != "*" else self._total
        return True

    def _check_headers(self, answer: httpx.Response, ticket: Ticket) -> None:
        if answer.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise InvalidResponseError(
                "the host of the download compressed the file, which was not asked for; tell the"
                " vendor"
            )
        if None not in (ticket.size_bytes, self._total) and ticket.size_bytes != self._total:
            raise InvalidResponseError(
                f"the API said that the export has {ticket.size_bytes:,} bytes, its host has"
                f" {self._total:,}; nothing was loaded; run again, then tell the vendor"
            )
        mark = answer.headers.get("etag", "")
        self._mark = mark if mark.startswith('"') else None

    def _write(self, chunk: bytes) -> None:
        try:
            self._file.write(chunk)
        except OSError as error:
            raise DestinationError(
                f"the download cannot be written after {self._received:,} bytes: {error.strerror};"
                " make room in the folder of --home, or set another"
            ) from error

    def _check_size(self, ticket: Ticket) -> None:
        most = MAX_BYTES if ticket.size_bytes is None else ticket.size_bytes
        if self._received > most:
            raise InvalidResponseError(
                f"the download has more than the {most:,} bytes that it may have; nothing was loaded"
            )

    def _start_again(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._received = 0
        self._mark = self._total = None
