"""Signed URLs: which hosts are asked, without the key, and how a file comes whole in pieces."""

from __future__ import annotations

import asyncio
import io
from datetime import timedelta
from typing import Any

import httpx
import pytest

from oa_sync.client import Timeouts
from oa_sync.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DestinationError,
    InvalidResponseError,
    OaSyncError,
    RedirectRefusedError,
)
from oa_sync.extract.jobs.download import Download, Fetched
from oa_sync.extract.jobs.exports import Ticket
from oa_sync.extract.jobs.hosts import DownloadHosts
from tests.client.scripted import Reply, Script, ScriptedServer, in_turn, reply
from tests.queries.files import FileHost, redirect
from tests.support.clock import START, ManualClock
from tests.support.endless import endless_hints

CONTENT = bytes(range(256)) * 40
SECRET = "sig=s3cr3t"


def fetch(
    script: Script,
    *,
    size: int | None = len(CONTENT),
    expires_in: float | None = None,
    file: Any = None,
) -> tuple[Fetched | OaSyncError, bytes, ScriptedServer, list[Ticket]]:
    """The outcome, the file, the server that was asked and the fresh tickets."""
    clock, renewed = ManualClock(), list[Ticket]()
    file = file or io.BytesIO()
    server = ScriptedServer(script)

    async def whole() -> Fetched | OaSyncError:
        async with server:
            url = f"{server.url}/file?{SECRET}"
            until = None if expires_in is None else START + timedelta(seconds=expires_in)

            async def renew() -> Ticket:
                renewed.append(Ticket(f"{url}&n={len(renewed)}", None, size))
                return renewed[-1]

            hosts = DownloadHosts(httpx.URL(server.url))
            try:
                return await Download(file, hosts, clock, renew).fetch(Ticket(url, until, size))
            except OaSyncError as error:
                assert SECRET not in str(error)
                return error

    outcome = asyncio.run(whole())
    return outcome, b"" if not isinstance(file, io.BytesIO) else file.getvalue(), server, renewed


def test_a_file_comes_in_one_request_without_a_key() -> None:
    outcome, found, server, _ = fetch(FileHost(CONTENT))
    assert (outcome, found) == (Fetched(len(CONTENT), 1), CONTENT)
    [request] = server.seen
    assert not {"authorization", "cookie", "range"} & request.headers.keys()
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("etag", ['"one"', None])
@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_cut_file_goes_on_where_it_was(size: int | None, etag: str | None) -> None:
    outcome, found, server, _ = fetch(FileHost(CONTENT, [100, 1000, 1], etag=etag), size=size)
    assert (outcome, found) == (Fetched(len(CONTENT), 4), CONTENT)
    asked = [request.headers.get("range") for request in server.seen]
    assert asked[:2] == [None, "bytes=100-"]


def test_a_file_that_ends_early_without_saying_so_goes_on() -> None:
    host = FileHost(CONTENT)
    quiet = Reply(b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n" + CONTENT[:77], "close")
    answers = iter([lambda _: quiet, host])
    outcome, found, _, _ = fetch(lambda request: next(answers)(request))
    assert (outcome, found) == (Fetched(len(CONTENT), 2), CONTENT)


def test_a_host_without_ranges_sends_the_file_again() -> None:
    outcome, found, server, _ = fetch(FileHost(CONTENT, [100, 50], ranges=False))
    assert (outcome, found) == (Fetched(len(CONTENT), 3), CONTENT)
    assert len(server.seen) == 3


def test_a_file_that_changed_on_the_way_is_taken_from_its_beginning() -> None:
    first, second = FileHost(CONTENT, [5000], etag='"one"'), FileHost(CONTENT[::-1], etag='"two"')
    hosts = iter([first, second, second])
    outcome, found, _, _ = fetch(lambda request: next(hosts)(request))
    assert isinstance(outcome, Fetched)
    assert found == CONTENT[::-1]


def test_a_range_that_does_not_fit_is_not_taken() -> None:
    wrong = reply(CONTENT[7:], 206, content_range=f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}")
    host = FileHost(CONTENT, [100])
    answers = iter([host, lambda _: wrong, host])
    outcome, found, _, _ = fetch(lambda request: next(answers)(request))
    assert (outcome, found) == (Fetched(len(CONTENT), 3), CONTENT)


def test_an_expired_url_is_asked_for_again_and_the_file_goes_on() -> None:
    host = FileHost(CONTENT, [100])
    answers = iter([host, lambda _: reply(status=403), host])
    outcome, found, server, renewed = fetch(lambda request: next(answers)(request))
    assert (outcome, found) == (Fetched(len(CONTENT), 3), CONTENT)
    assert len(renewed) == 1
    assert server.seen[2].headers["range"] == "bytes=100-"
    assert server.seen[2].query["n"] == "0"


def test_a_url_known_to_have_expired_is_not_asked_again() -> None:
    outcome, _, server, renewed = fetch(FileHost(CONTENT, [100]), expires_in=0.5)
    assert isinstance(outcome, Fetched)
    assert (len(server.seen), len(renewed)) == (2, 1)
    assert "n" in server.seen[1].query


def test_a_clock_that_is_ahead_of_the_api_costs_no_request() -> None:
    outcome, _, server, renewed = fetch(FileHost(CONTENT), expires_in=-3600)
    assert isinstance(outcome, Fetched)
    assert (len(server.seen), len(renewed)) == (1, 0)


def test_a_url_that_is_always_refused_ends_after_some_fresh_ones() -> None:
    outcome, _, _, renewed = fetch(in_turn(reply(status=403)))
    assert isinstance(outcome, ConnectionFailedError)
    assert "refused the URL with 403" in str(outcome)
    assert len(renewed) == 2


def test_a_host_that_brings_nothing_ends_after_some_attempts() -> None:
    outcome, _, server, _ = fetch(in_turn(reply(status=503)))
    assert isinstance(outcome, ConnectionFailedError)
    assert len(server.seen) == 6


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1, 0])
def test_a_file_of_another_size_than_the_api_said_is_refused(size: int) -> None:
    outcome, _, _, _ = fetch(FileHost(CONTENT), size=size)
    assert isinstance(outcome, InvalidResponseError)


def test_a_compressed_file_is_refused() -> None:
    outcome, _, _, _ = fetch(in_turn(reply(CONTENT, content_encoding="gzip")))
    assert isinstance(outcome, InvalidResponseError)


def test_a_full_disk_is_told() -> None:
    class Full(io.RawIOBase):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

        def seek(self, *_: Any) -> int:
            return 0

        def truncate(self, *_: Any) -> int:
            return 0

    outcome, _, _, _ = fetch(FileHost(CONTENT), file=Full())
    assert isinstance(outcome, DestinationError)
    assert "No space left" in str(outcome)


@pytest.mark.parametrize(
    "to", ["http://files.example.com/x", "ftp://127.0.0.1/x", "https://10.0.0.1/x", "file:///etc"]
)
def test_a_redirect_to_where_nothing_may_be_asked_is_refused(to: str) -> None:
    outcome, _, server, _ = fetch(redirect(to))
    assert isinstance(outcome, RedirectRefusedError)
    assert len(server.seen) == 1


def test_a_redirect_on_the_same_host_is_followed_but_not_for_ever() -> None:
    host = FileHost(CONTENT)
    answers = iter([redirect("/elsewhere?x=1"), host])
    outcome, found, _, _ = fetch(lambda request: next(answers)(request))
    assert (outcome, found) == (Fetched(len(CONTENT), 2), CONTENT)
    outcome, _, server, _ = fetch(redirect("/again"))
    assert isinstance(outcome, RedirectRefusedError)
    assert len(server.seen) == 4


NEAR = [
    ("https://api.openanalyst.com/v1", "https://api.openanalyst.com/x"),
    ("https://api.openanalyst.com/v1", "https://files.openanalyst.com/x"),
    ("https://api.openanalyst.com/v1", "https://a.b.openanalyst.com:8443/x"),
    ("https://api.firm.co.uk", "https://files.firm.co.uk/x"),
    ("https://openanalyst.com", "https://files.openanalyst.com/x"),
    ("http://127.0.0.1:80/v1", "http://127.0.0.1:9/x"),
    ("http://localhost/v1", "http://127.0.0.1:9/x"),
]
FAR = [
    ("https://api.openanalyst.com/v1", "https://bucket.s3.amazonaws.com/x"),
    ("https://api.openanalyst.com/v1", "https://openanalyst.com.evil.example/x"),
    ("https://api.openanalyst.com/v1", "https://evilopenanalyst.com/x"),
    ("https://api.openanalyst.com/v1", "http://files.openanalyst.com/x"),
    ("https://api.openanalyst.com/v1", "http://127.0.0.1/x"),
    ("https://api.openanalyst.com/v1", "https://127.0.0.1/x"),
    ("https://api.openanalyst.com/v1", "https://169.254.169.254/latest"),
    ("https://api.openanalyst.com/v1", "https://user@files.openanalyst.com/x"),
    ("https://api.openanalyst.com/v1", "https:///x"),
    ("https://api.openanalyst.com/v1", "/x"),
    ("https://firm.co.uk", "https://other.co.uk/x"),
    ("https://openanalyst.com", "https://other.com/x"),
    ("https://10.0.0.1/v1", "https://10.0.0.2/x"),
    ("http://127.0.0.1:80/v1", "https://10.0.0.2/x"),
]


@pytest.mark.parametrize(("base", "url"), NEAR)
def test_hosts_beside_the_api_are_asked(base: str, url: str) -> None:
    assert str(DownloadHosts(httpx.URL(base)).check(url)) == url


@pytest.mark.parametrize(("base", "url"), FAR)
def test_other_hosts_are_not_asked_unless_allowed(base: str, url: str) -> None:
    with pytest.raises(RedirectRefusedError) as caught:
        DownloadHosts(httpx.URL(base)).check(f"{url}?{SECRET}")
    assert SECRET not in str(caught.value)


def test_a_host_is_allowed_by_name() -> None:
    hosts = DownloadHosts(
        httpx.URL("https://api.openanalyst.com"), ["files.example.com", "*.Amazonaws.com"]
    )
    hosts.check("https://files.example.com/x")
    hosts.check("https://bucket.s3.amazonaws.com/x")
    for url in ("https://sub.files.example.com/x", "https://example.com/x"):
        with pytest.raises(RedirectRefusedError, match="--download-host"):
            hosts.check(url)
    with pytest.raises(ConfigurationError, match="not a host name"):
        DownloadHosts(httpx.URL("https://api.openanalyst.com"), ["https://x.example.com/"])


def test_interim_answers_without_end_stop_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timeouts, "head", 0.3)

    async def whole(url: str) -> None:
        async def renew() -> Ticket:
            raise AssertionError("a fresh URL cannot help")

        download = Download(io.BytesIO(), DownloadHosts(httpx.URL(url)), ManualClock(), renew)
        await download.fetch(Ticket(f"{url}/file?{SECRET}", None, None))

    with endless_hints() as url, pytest.raises(ConnectionFailedError, match="no head") as failed:
        asyncio.run(whole(url))
    assert SECRET not in str(failed.value)
