"""Which hosts a signed URL may name: the API's, those beside it, and those that were allowed."""

from __future__ import annotations

from collections.abc import Collection

import httpx
import pytest

from oa_sync.errors import ConfigurationError, RedirectRefusedError
from oa_sync.extract.jobs.hosts import DownloadHosts


def may(base: str, url: str, allowed: Collection[str] = ()) -> bool:
    try:
        DownloadHosts(httpx.URL(base), allowed).check(url)
    except RedirectRefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("base", "url", "asked"),
    [
        ("https://api.example.com/v1", "https://api.example.com/f", True),
        ("https://api.example.com/v1", "https://files.example.com/f", True),
        ("https://api.example.com/v1", "https://example.com/f", True),
        ("https://api.example.com/v1", "https://a.b.example.com/f", True),
        ("https://api.example.com/v1", "https://notexample.com/f", False),
        ("https://api.example.com/v1", "https://example.com.evil.org/f", False),
        ("https://api.example.com/v1", "https://evil.com/f", False),
        ("https://example.com/v1", "https://files.example.com/f", True),
        ("https://example.com/v1", "https://other.com/f", False),
        ("https://api.example.co.uk/v1", "https://files.example.co.uk/f", True),
        ("https://api.example.co.uk/v1", "https://other.co.uk/f", False),
        ("https://example.co.uk/v1", "https://other.co.uk/f", False),
        ("https://example.co.uk/v1", "https://files.example.co.uk/f", True),
        ("https://api.example.de/v1", "https://files.example.de/f", True),
        ("https://a.abc.de/v1", "https://b.abc.de/f", False),
        ("https://a.abcd.de/v1", "https://b.abcd.de/f", True),
        ("https://api.abc.com/v1", "https://files.abc.com/f", True),
        ("https://intranet/v1", "https://intranet/f", True),
        ("https://intranet/v1", "https://files.intranet/f", False),
        ("https://intranet/v1", "https://other/f", False),
        ("https://10.1.2.3/v1", "https://10.1.2.3/f", True),
        ("https://10.1.2.3/v1", "https://10.1.2.4/f", False),
        ("https://10.1.2.3/v1", "https://9.10.1.2.3/f", False),
        ("https://api.example.com/v1", "https://10.1.2.3/f", False),
        ("https://api.example.com/v1", "https://127.0.0.1/f", False),
        ("https://api.example.com/v1", "https://localhost/f", False),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:9000/f", True),
        ("http://127.0.0.1:8000/v1", "http://localhost:9000/f", True),
        ("http://127.0.0.1:8000/v1", "https://10.1.2.3/f", False),
    ],
)
def test_a_host_may_be_asked_that_is_the_one_of_the_api_or_near_it(
    base: str, url: str, asked: bool
) -> None:
    assert may(base, url) is asked


@pytest.mark.parametrize(
    ("allowed", "url", "asked"),
    [
        ("files.other.com", "https://files.other.com/f", True),
        (" Files.Other.com ", "https://files.other.com/f", True),
        ("files.other.com", "https://a.files.other.com/f", False),
        ("files.other.com", "https://other.com/f", False),
        ("*.other.com", "https://files.other.com/f", True),
        (" *.other.com", "https://a.files.other.com/f", True),
        ("*.other.com", "https://another.com/f", False),
        ("10.1.2.3", "https://10.1.2.3/f", True),
        ("*.0.0.1", "https://127.0.0.1/f", False),
        ("*.2.3", "https://10.1.2.3/f", False),
        ("files.other.com", "https://files.example.com/f", True),
    ],
)
def test_a_host_may_be_asked_that_was_allowed_by_name(allowed: str, url: str, asked: bool) -> None:
    assert may("https://api.example.com/v1", url, [allowed]) is asked


@pytest.mark.parametrize("allowed", ["", "*", "*.", "https://a.com", "a.com/x", "-a.com", "a_b.c"])
def test_an_allowed_host_that_is_no_name_is_refused(allowed: str) -> None:
    with pytest.raises(ConfigurationError, match="not a host name"):
        DownloadHosts(httpx.URL("https://api.example.com"), [allowed])


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://files.example.com/f?secret=s", "is not HTTPS"),
        ("ftp://files.example.com/f?secret=s", "is not HTTPS"),
        ("https:///f?secret=s", "is not HTTPS"),
        ("http://127.0.0.1/f?secret=s", "is not HTTPS"),
        ("https://secret:s@files.example.com/f", "has a user in it"),
        ("https://evil.com/f?secret=s", "--download-host evil.com"),
        ("https://files.example.com:secret/f", "is not a URL"),
        ("https://files.example.com:99999/f", "is not a URL"),
    ],
)
def test_a_refused_url_is_told_by_its_origin_alone(url: str, says: str) -> None:
    with pytest.raises(RedirectRefusedError, match=says) as caught:
        DownloadHosts(httpx.URL("https://api.example.com/v1")).check(url)
    assert "secret" not in str(caught.value)


def test_plain_http_is_for_this_machine_alone_and_only_where_the_api_is_here() -> None:
    assert may("http://127.0.0.1:1/v1", "http://localhost:2/f")
    assert not may("http://127.0.0.1:1/v1", "ftp://localhost:2/f")
    assert not may("http://127.0.0.1:1/v1", "http://files.example.com/f", ["files.example.com"])
    assert may("http://127.0.0.1:1/v1", "https://files.example.com/f", ["files.example.com"])


def test_the_url_is_asked_as_it_was_told_without_its_fragment() -> None:
    url = DownloadHosts(httpx.URL("https://api.example.com")).check(
        "https://api.example.com:8443/a%2Fb?x=1&y=%20#part"
    )
    assert str(url) == "https://api.example.com:8443/a%2Fb?x=1&y=%20"
