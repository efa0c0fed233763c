"""What a download makes of each answer, at the value at which it decides."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest

from oa_sync.errors import (
    ConnectionFailedError,
    InvalidResponseError,
    OaSyncError,
    RedirectRefusedError,
)
from oa_sync.extract.jobs import download
from oa_sync.extract.jobs.download import ATTEMPTS, RENEWALS, Download, Fetched
from oa_sync.extract.jobs.exports import Ticket
from oa_sync.extract.jobs.hosts import DownloadHosts
from tests.client.scripted import Reply, Script, ScriptedServer, Seen, reply
from tests.queries.files import FileHost, redirect
from tests.support.clock import START, ManualClock

CONTENT = bytes(range(256)) * 4
SIZE = len(CONTENT)
REFUSED, BUSY = reply(status=403), reply(status=503)


@dataclass(frozen=True)
class Result:
    outcome: Fetched | OaSyncError
    content: bytes
    seen: list[Seen]
    renewed: int
    sleeps: list[float]

    @property
    def is_whole(self) -> bool:
        return isinstance(self.outcome, Fetched) and self.content == CONTENT


def fetch(
    *scripts: Script | Reply,
    size: int | None = SIZE,
    expires_in: float | None = None,
    fresh_expires_in: float | None = None,
) -> Result:
    """A download whose requests are answered by each of `scripts` in turn, then by the last one."""
    clock, file, left, renewed = ManualClock(), io.BytesIO(), list(scripts), list[str]()

    def answer(request: Seen) -> Reply:
        script = left.pop(0) if len(left) > 1 else left[0]
        return script if isinstance(script, Reply) else script(request)

    server = ScriptedServer(answer)

    def ticket(seconds: float | None) -> Ticket:
        ends = None if seconds is None else START + timedelta(seconds=seconds)
        return Ticket(f"{server.url}/file", ends, size)

    async def renew() -> Ticket:
        renewed.append(server.url)
        return ticket(fresh_expires_in)

    async def whole() -> Fetched | OaSyncError:
        async with server:
            try:
                job = Download(file, DownloadHosts(httpx.URL(server.url)), clock, renew)
                return await job.fetch(ticket(expires_in))
            except OaSyncError as error:
                return error

    outcome = asyncio.run(whole())
    return Result(outcome, file.getvalue(), server.seen, len(renewed), clock.sleeps)


def ranges(result: Result) -> list[str | None]:
    return [request.headers.get("range") for request in result.seen]


def cut(after: int, **options: object) -> FileHost:
    return FileHost(CONTENT, [after], **options)  # type: ignore[arg-type]


# -- how often, and after which waits --------------------------------------------------------------


@pytest.mark.parametrize(("expires_in", "renewed"), [(0.5, 1), (1.0, 1), (1.5, 0)])
def test_a_url_is_renewed_from_the_instant_at_which_it_ends(
    expires_in: float, renewed: int
) -> None:
    result = fetch(cut(100), expires_in=expires_in)
    assert (result.is_whole, result.renewed) == (True, renewed)


def test_a_fresh_url_is_tried_although_it_looks_expired() -> None:
    result = fetch(REFUSED, FileHost(CONTENT), fresh_expires_in=-3_600)
    assert (result.is_whole, result.renewed, len(result.seen)) == (True, 1, 2)


def test_waits_double_while_nothing_comes_and_begin_anew_after_a_byte() -> None:
    result = fetch(BUSY, BUSY, BUSY, BUSY, BUSY, cut(1), BUSY, FileHost(CONTENT))
    assert result.is_whole
    assert result.sleeps == [2.0, 4.0, 8.0, 16.0, 30.0, 1.0, 2.0]


@pytest.mark.parametrize("then", ["close", "reset"])
def test_attempts_without_a_byte_are_counted_in_a_row(then: str) -> None:
    nothing = reply(b"", length=SIZE, then=then)
    few = [nothing] * (ATTEMPTS - 1)
    assert fetch(*few, cut(1), *few, FileHost(CONTENT)).is_whole
    result = fetch(*few, nothing, FileHost(CONTENT))
    assert isinstance(result.outcome, ConnectionFailedError)
    assert "the download stopped at 0 bytes: the connection failed (" in str(result.outcome)


def test_fresh_urls_are_counted_in_a_row() -> None:
    few = [REFUSED] * RENEWALS
    result = fetch(*few, cut(1), *few, FileHost(CONTENT))
    assert (result.is_whole, result.renewed) == (True, 2 * RENEWALS)
    result = fetch(*few, REFUSED, FileHost(CONTENT))
    assert isinstance(result.outcome, ConnectionFailedError)
    assert result.renewed == RENEWALS


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_url_that_is_refused_is_renewed(status: int) -> None:
    result = fetch(reply(status=status), FileHost(CONTENT))
    assert (result.is_whole, result.renewed) == (True, 1)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_host_is_asked_again(status: int) -> None:
    result = fetch(reply(CONTENT, status=status), FileHost(CONTENT))
    assert (result.is_whole, result.renewed, len(result.seen)) == (True, 0, 2)
    assert result.outcome == Fetched(SIZE, 2)


@pytest.mark.parametrize("status", [204, 304, 402, 416, 418, 430, 499])
def test_an_answer_that_is_no_file_ends_the_download(status: int) -> None:
    result = fetch(reply(status=status), FileHost(CONTENT))
    assert isinstance(result.outcome, InvalidResponseError)
    assert f"answered {status}, which is no file" in str(result.outcome)


# -- redirects -------------------------------------------------------------------------------------


def test_three_redirects_are_followed_and_a_fourth_is_not() -> None:
    on = redirect("/file")
    result = fetch(on, on, on, FileHost(CONTENT))
    assert (result.is_whole, result.outcome) == (True, Fetched(SIZE, 4))
    result = fetch(on, on, on, on, FileHost(CONTENT))
    assert isinstance(result.outcome, RedirectRefusedError)
    assert len(result.seen) == 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_kind_of_redirect_is_followed(status: int) -> None:
    assert fetch(reply(status=status, location="/file"), FileHost(CONTENT)).is_whole


def test_a_redirect_to_nowhere_is_no_file() -> None:
    assert isinstance(fetch(reply(status=302)).outcome, InvalidResponseError)


def test_a_file_may_say_where_it_stands() -> None:
    result = fetch(reply(CONTENT, location="/elsewhere"))
    assert (result.is_whole, len(result.seen)) == (True, 1)


# -- the rest of a file ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("etag", "if_range"), [('"one"', '"one"'), ('W/"one"', None), ("one", None), (None, None)]
)
def test_a_strong_mark_of_the_file_goes_with_the_request_for_its_rest(
    etag: str | None, if_range: str | None
) -> None:
    """A weak one says nothing of bytes (RFC 9110, 13.1.5)."""
    result = fetch(cut(100, etag=etag), FileHost(CONTENT, etag=etag))
    assert result.is_whole
    assert (ranges(result)[1], result.seen[1].headers.get("if-range")) == ("bytes=100-", if_range)


def rest(start: int, span: str | None) -> Callable[[Seen], Reply]:
    headers = {} if span is None else {"content_range": span}
    return lambda _: reply(CONTENT[start:], 206, **headers)


@pytest.mark.parametrize(
    ("span", "is_taken"),
    [
        (f"bytes 100-{SIZE - 1}/{SIZE}", True),
        (f"bytes 100-{SIZE - 1}/*", True),
        (f"bytes 99-{SIZE - 1}/{SIZE}", False),
        (f"bytes 101-{SIZE - 1}/{SIZE}", False),
        ("bytes 100-", False),
        (None, False),
    ],
)
@pytest.mark.parametrize("size", [SIZE, None])
def test_a_part_is_taken_where_it_says_that_it_goes_on(
    span: str | None, is_taken: bool, size: int | None
) -> None:
    result = fetch(cut(100), rest(100, span), FileHost(CONTENT), size=size)
    assert result.is_whole
    again = [] if is_taken else [None]
    assert ranges(result) == [None, "bytes=100-", *again]


def test_the_part_that_a_host_no_longer_has_is_asked_for_from_the_beginning() -> None:
    result = fetch(cut(100), reply(status=416), FileHost(CONTENT))
    assert result.is_whole
    assert ranges(result) == [None, "bytes=100-", None]


def test_what_came_before_the_beginning_anew_does_not_stay_behind() -> None:
    other = CONTENT[::-1] + b"more"
    longer = Reply(b"HTTP/1.1 200 X\r\ncontent-length: 9999\r\n\r\n" + other, "reset")
    result = fetch(longer, reply(CONTENT), size=None)
    assert (result.outcome, result.content) == (Fetched(SIZE, 2), CONTENT)


# -- the size --------------------------------------------------------------------------------------


def plain(*headers: str, content: bytes = CONTENT) -> Reply:
    """An answer that ends with the connection."""
    lines = "".join(f"{line}\r\n" for line in ("connection: close", *headers))
    return Reply(f"HTTP/1.1 200 X\r\n{lines}\r\n".encode() + content, "close")


def test_a_file_of_an_unknown_size_ends_with_the_connection() -> None:
    assert fetch(plain(), size=None).is_whole


@pytest.mark.parametrize(("length", "counts"), [("9" * 15, True), ("1" + "0" * 15, False)])
def test_a_length_that_no_file_has_says_nothing(length: str, counts: bool) -> None:
    framing = f"transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n400\r\n"
    answer = Reply(b"HTTP/1.1 200 X\r\n" + framing.encode() + CONTENT + b"\r\n0\r\n\r\n", "close")
    assert fetch(answer).is_whole is not counts
    assert counts or fetch(answer, size=None).is_whole


@pytest.mark.parametrize("size", [SIZE, None])
def test_a_file_that_is_shorter_than_its_length_goes_on(size: int | None) -> None:
    result = fetch(plain(f"content-length: {SIZE}", content=CONTENT[:9]), cut(9999), size=size)
    assert (result.is_whole, len(result.seen)) == (True, 2)


def test_a_part_tells_the_size_where_nothing_else_does() -> None:
    first = Reply(
        b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n64\r\n" + CONTENT[:100] + b"\r\n",
        "reset",
    )
    short = reply(CONTENT[100:200], 206, content_range=f"bytes 100-199/{SIZE}")
    result = fetch(first, short, FileHost(CONTENT), size=None)
    assert (result.is_whole, ranges(result)[2]) == (True, "bytes=200-")


@pytest.mark.parametrize(("told", "loaded"), [(SIZE, True), (SIZE - 1, False), (SIZE + 1, False)])
def test_the_host_must_have_the_size_that_the_api_said(told: int, loaded: bool) -> None:
    result = fetch(reply(CONTENT), size=told)
    assert result.is_whole is loaded
    if not loaded:
        assert f"has {told:,} bytes, its host has {SIZE:,}" in str(result.outcome)


def test_no_byte_more_is_written_than_the_api_said() -> None:
    result = fetch(plain(), size=SIZE - 1)
    assert f"more than the {SIZE - 1:,} bytes" in str(result.outcome)
    assert result.content == b""


@pytest.mark.parametrize(("most", "loaded"), [(SIZE, True), (SIZE - 1, False)])
def test_a_file_of_an_unknown_size_has_a_limit(
    monkeypatch: pytest.MonkeyPatch, most: int, loaded: bool
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", most)
    assert fetch(reply(CONTENT), size=None).is_whole is loaded


@pytest.mark.parametrize("encoding", ["identity", " Identity "])
def test_a_host_may_say_that_nothing_is_compressed(encoding: str) -> None:
    assert fetch(reply(CONTENT, content_encoding=encoding)).is_whole
