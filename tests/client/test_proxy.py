"""Proxies of the environment: which hosts go through one, and what of the environment cannot be used."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from oa_sync.client.auth import Credential
from oa_sync.client.origin import linked
from oa_sync.client.proxy import ProxiedByHost, proxy_for
from oa_sync.client.session import ApiClient
from oa_sync.clock import Clock
from oa_sync.errors import ConfigurationError, ConnectionFailedError, RedirectRefusedError
from tests.support.emulator import KEY
from tests.support.limiter import Unlimited

PROXY = "http://proxy.example:3128"
NAMES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("host", "entries", "is_excepted"),
    [
        ("api.example.com", "", False),
        ("api.example.com", "*", True),
        ("api.example.com", "example.com", True),
        ("api.example.com", " .example.com , x", True),
        ("api.example.com", "*.example.com", True),
        ("API.Example.com", "api.EXAMPLE.com", True),
        ("api.example.com", "ample.com", False),
        ("api.example.com", "api.example.com.evil.org", False),
        ("api.example.com", "api.example.com:443", True),
        ("api.example.com", "api.example.com:8443", False),
        ("api.example.com:8443", "api.example.com:8443", True),
        ("api.example.com", "127.0.0.1,fd00::/8", False),
        ("api.example.com", "[::1]", False),
        ("api.example.com", "[::1,]],:::,/,http://x,fd00::/8,api.example.com", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "2.3", False),
        ("[fd00::7]", "fd00::/8", True),
        ("[fd00::7]", "[fd00::7]:443", True),
        ("[fe00::7]", "fd00::/8", False),
        ("[::1]", "[::1]", True),
        ("[::1]", "10.0.0.0/8", False),
    ],
)
def test_no_proxy_names_hosts_domains_addresses_and_networks(
    host: str, entries: str, is_excepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", entries)
    assert (proxy_for(httpx.URL(f"https://{host}/v1")) is None) is is_excepted


def test_the_proxy_of_https_wins_over_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    url = httpx.URL("https://api.example.com")
    assert proxy_for(url) is None
    monkeypatch.setenv("ALL_PROXY", "other.example:1080")
    assert proxy_for(url) == "http://other.example:1080"
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert proxy_for(url) == PROXY
    assert proxy_for(httpx.URL("http://127.0.0.1:8000")) is None


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://user:secret@127.0.0.1:1080", "httpx.socks"),
        ("ftp://user:secret@proxy", "a proxy is http"),
        ("http://user:secret@[::1", "not a URL"),
        ("http://user:secret@127.0.0.1:99999", "not a URL"),
        ("http://:3128", "not a URL"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_unless_the_host_is_excepted(
    proxy: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigurationError, match=words) as caught:
        ApiClient("https://api.example.com", Credential(KEY), Unlimited(), Clock())
    assert "secret" not in str(caught.value)
    assert "NO_PROXY" in str(caught.value)
    monkeypatch.setenv("NO_PROXY", "api.example.com,fd00::/8,[::1]")
    ApiClient("https://api.example.com", Credential(KEY), Unlimited(), Clock())


async def first_line(of: str, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What a proxy hears when `of` is asked for; it then hangs up."""
    heard: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        if of == "api":
            client = ApiClient("https://api.example", Credential(KEY), Unlimited(), Clock())
            async with client:
                with pytest.raises(ConnectionFailedError):
                    await client.request("GET", "reports", max_tries=1)
        else:
            transport = ProxiedByHost(lambda proxy: httpx.AsyncHTTPTransport(proxy=proxy))
            async with httpx.AsyncClient(transport=transport, trust_env=False) as files:
                with pytest.raises(httpx.TransportError):
                    await files.get("https://files.example/x")
    return heard


@pytest.mark.parametrize("of", ["api", "files"])
def test_a_request_goes_through_the_proxy(of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [line] = asyncio.run(first_line(of, monkeypatch))
    assert line == f"CONNECT {of}.example:443 HTTP/1.1\r\n".encode()


@pytest.mark.parametrize(
    ("base", "link", "url"),
    [
        ("https://a.example/v1", "http://a.example/v1/i?page=2", "https://a.example/v1/i?page=2"),
        ("https://a.example/v1", "http://a.example:443/v1/i", "https://a.example/v1/i"),
        ("https://a.example:8443/v1", "http://a.example:8443/v1/i", "https://a.example:8443/v1/i"),
        ("https://a.example/v1", "//a.example/v1/i", "https://a.example/v1/i"),
    ],
)
def test_a_link_to_the_same_host_without_tls_is_followed_with_tls(
    base: str, link: str, url: str
) -> None:
    assert linked(httpx.URL(base), httpx.URL(base), link, "GET i") == httpx.URL(url)


@pytest.mark.parametrize(
    "link",
    [
        "http://a.example:8080/v1/i",
        "http://b.example/v1/i",
        "http://user@a.example/v1/i",
        "ftp://a.example/v1/i",
    ],
)
def test_a_link_to_another_port_or_host_is_refused(link: str) -> None:
    base = httpx.URL("https://a.example/v1")
    with pytest.raises(RedirectRefusedError):
        linked(base, base, link, "GET i")
