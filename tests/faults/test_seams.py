"""Whatever a library raises stays in the room it came from: its row, then its resource; the rest is loaded."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pyarrow as pa
import pytest

from oa_sync.client import body
from oa_sync.commands.check import run_checks
from oa_sync.commands.sync import sync
from oa_sync.extract.details import fetching
from oa_sync.extract.lists import scan
from oa_sync.settings import Settings
from oa_sync.shape import shaper
from oa_sync.workspace.report import SyncReport
from tests.support.raw_api import RawApi, raw_api
from tests.support.syncing import query, settings_for

DEFINITION = """
name: seams
client: {paginator: single_page}
resources:
  - name: first
    primary_key: id
    endpoint: {path: first, data_selector: data}
    detail: {path: "first/{id}"}
  - name: second
    primary_key: id
    endpoint: {path: second, data_selector: data}
"""
KEPT = {
    "first": b'{"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}',
    "first/a": b'{"id": "a", "t": 1}',
    "first/b": b'{"id": "b", "t": 2}',
    "first/c": b'{"id": "c", "t": 3}',
    "second": b'{"data": [{"id": "x"}]}',
}
ERRORS: dict[str, Callable[[], Exception]] = {
    "TypeError": lambda: TypeError("no"),
    "KeyError": lambda: KeyError("no"),
    "RecursionError": lambda: RecursionError("no"),
    "OverflowError": lambda: OverflowError("no"),
    "UnicodeError": lambda: UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no"),
    "OSError": lambda: OSError(errno.EINVAL, "no"),
    "InvalidURL": lambda: httpx.InvalidURL("no"),
    "ArrowInvalid": lambda: pa.ArrowInvalid("no"),
    "msgspec": lambda: msgspec.DecodeError("no"),
}


def settings(api: RawApi, folder: Path, text: str = DEFINITION) -> Settings:
    (folder / "seams.yaml").write_text(text)
    return settings_for(api.base_url, folder, source=str(folder / "seams.yaml"), api_key=None)


def ids(where: Settings, table: str) -> set[str]:
    return {key for (key,) in query(where, f"SELECT id FROM {table}")}


def failing_once(function: Any, error: Exception, when: Callable[..., bool]) -> Any:
    def replaced(*args: Any, **options: Any) -> Any:
        if when(*args):
            raise error
        return function(*args, **options)

    return replaced


def _is_first(resource: Any, *_: Any) -> bool:
    return bool(resource.name == "first")


@pytest.mark.parametrize("name", ERRORS)
def test_in_a_list_it_stays_with_the_resource(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = failing_once(scan.listed, ERRORS[name](), _is_first)
    with raw_api(**KEPT) as api:
        where = settings(api, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(scan, "listed", broken)
            report = sync(where)
        assert report.exit_code == 1
        assert "first: reading the list" in str(report.error)
        assert ids(where, "second") == {"x"}
        assert sync(where).exit_code == 0
        assert ids(where, "first") == {"a", "b", "c"}


@pytest.mark.parametrize("name", ERRORS)
def test_in_a_detail_it_stays_with_the_row(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = failing_once(
        fetching.read_document, ERRORS[name](), lambda _, text: b'"b"' in bytes(text)
    )
    with raw_api(**KEPT) as api:
        where = settings(api, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(fetching, "read_document", broken)
            report = sync(where)
        assert report.exit_code == 1
        assert "detail of first b" in str(report.error)
        assert query(where, "SELECT id, t FROM first ORDER BY id") == [
            ("a", 1),
            ("b", None),
            ("c", 3),
        ]
        assert report.tallies["first"].backlog == 1
        assert ids(where, "second") == {"x"}
        assert (sync(where).exit_code, api.asked["/first/b"]) == (0, 2)


@pytest.mark.parametrize("name", ERRORS)
def test_in_the_shaper_it_stays_with_the_row(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = failing_once(
        shaper.Shaper.shape, ERRORS[name](), lambda _, ndjson, extras=None: b'"b"' in ndjson
    )
    with raw_api(**KEPT) as api:
        where = settings(api, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(shaper.Shaper, "shape", broken)
            report = sync(where)
        assert report.exit_code == 1
        assert "first b: " in str(report.error)
        told = report.as_json()["resources"]
        assert (told["first"]["set_aside"], told["second"]["set_aside"]) == (1, 0)
        assert told["first"]["set_aside_rows"][0]["key"] == "b"
        assert ids(where, "first") == {"a", "c"}
        assert ids(where, "second") == {"x"}
        assert sync(where).exit_code == 0
        assert ids(where, "first") == {"a", "b", "c"}


@pytest.mark.parametrize("name", ERRORS)
def test_in_the_client_it_stays_with_the_request(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = httpx.AsyncClient.send

    async def broken(client: Any, request: httpx.Request, **options: Any) -> httpx.Response:
        if request.url.path == "/first":
            raise ERRORS[name]()
        return await send(client, request, **options)

    with raw_api(**KEPT) as api:
        where = settings(api, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(httpx.AsyncClient, "send", broken)
            report = sync(where)
        assert report.exit_code == 1
        assert "GET first" in str(report.error)
        assert ids(where, "second") == {"x"}


# -- what servers really answer -------------------------------------------------------------------

LONG = "x" * 70_000

ANSWERS: dict[str, dict[str, Any]] = {
    "a value 300 lists deep": {"first/b": b'{"id": "b", "t": %s1%s}' % (b"[" * 300, b"]" * 300)},
    "javascript": {"first/b": (302, {"Location": "javascript:alert(1)"}, b"")},
    "mailto": {"first/b": (302, {"Location": "mailto:x@example.com"}, b"")},
    "no URL": {"first/b": (302, {"Location": "http://[::1"}, b"")},
    "a port that is none": {"first/b": (302, {"Location": "http://h:99999999/"}, b"")},
    "400": {"first/b": (400, {}, b'{"error": NaN}')},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_odd_answer_to_one_detail_costs_one_detail(name: str, tmp_path: Path) -> None:
    with raw_api(**KEPT | ANSWERS[name]) as api:
        where = settings(api, tmp_path)
        report = sync(where)
        assert report.exit_code == (0 if "deep" in name else 1)
        assert ids(where, "first") == {"a", "b", "c"}
        assert report.tallies["first"].backlog == report.exit_code
        assert ids(where, "second") == {"x"}


@pytest.mark.parametrize(
    "location", ["javascript:alert(1)", "mailto:x@example.com", "http://[::1", "//"]
)
def test_an_odd_redirect_of_a_list_is_told_by_sync_and_by_check(
    location: str, tmp_path: Path
) -> None:
    with raw_api(**KEPT | {"first": (302, {"Location": location}, b"")}) as api:
        where = settings(api, tmp_path)
        report = sync(where)
        assert report.exit_code == 1
        assert "GET first" in str(report.error)
        assert ids(where, "second") == {"x"}
        assert run_checks(where).exit_code == 1


@pytest.mark.parametrize(
    "link",
    [
        '"javascript:alert(1)"',
        '"http://[::1"',
        '"\\ud83d"',
        f'"/{LONG}"',
        "7",
        "[7]",
        '[{"rel": "next", "href": 7}]',
    ],
)
def test_a_next_link_of_garbage_fails_its_list(link: str, tmp_path: Path) -> None:
    """An empty list is none: that is how some servers write that there are no links."""
    text = DEFINITION.replace(
        "endpoint: {path: first,",
        "endpoint: {path: first, paginator: {type: json_link, next_url_path: next},",
    )
    listed = b'{"data": [{"id": "a"}], "next": %s}' % link.encode()
    with raw_api(**KEPT | {"first": listed}) as api:
        where = settings(api, tmp_path, text)
        report = sync(where)
        assert report.exit_code == 1
        assert ids(where, "second") == {"x"}


def test_an_id_that_makes_no_url_keeps_its_row_and_the_others(tmp_path: Path) -> None:
    listed = b'{"data": [{"id": "a"}, {"id": "%s"}, {"id": "c"}]}' % LONG.encode()
    with raw_api(**KEPT | {"first": listed}) as api:
        where = settings(api, tmp_path)
        report = sync(where)
        assert report.exit_code == 1
        assert "(70,006 characters) makes no URL" in str(report.error)
        assert len(str(report.error)) < 1_000
        assert ids(where, "first") == {"a", "c", LONG}
        assert (report.tallies["first"].backlog, report.requests.made) == (1, 4)


def test_a_spool_file_that_cannot_be_written_fails_its_resource(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body.BodyLimits, "__init__", _small(body.BodyLimits.__init__, tmp_path))
    large = b'{"data": [{"id": "a", "t": "%s"}]}' % (b"x" * 5_000)
    with raw_api(**KEPT | {"first": large}) as api:
        where = settings(api, tmp_path)
        report: SyncReport = sync(where)
        assert report.exit_code == 1
        assert report.error is not None
        assert report.error.code == "not_kept"
        assert api.asked["/first"] == 1, "asking again costs quota and cannot help"
        assert ids(where, "second") == {"x"}


def _small(init: Any, folder: Path) -> Any:
    def limited(limits: Any, *_: Any, **__: Any) -> None:
        init(limits, spool_threshold=1_000, spool_dir=folder / "not there")

    return limited


# -- details that always fail ----------------------------------------------------------------------


def test_details_that_always_fail_and_stand_first_starve_no_others(tmp_path: Path) -> None:
    names = [f"r{n:02}" for n in range(26)]
    listed = b'{"data": [%s]}' % b", ".join(b'{"id": "%s"}' % name.encode() for name in names)
    details = {f"first/{n}": b'{"id": "%s", "t": 1}' % n.encode() for n in names[5:]}
    refused = {f"first/{n}": (400, {}, b"{}") for n in names[:5]}
    with raw_api(**KEPT | {"first": listed} | details | refused) as api:
        where = settings(api, tmp_path)
        sync(where)
        api.in_turn.clear()
        report = sync(where)
        assert report.exit_code == 1
        [(loaded,)] = query(where, "SELECT count(*) FROM first WHERE t = 1")
        assert loaded == 21
        assert report.tallies["first"].backlog == 5
        asked = [path for path in api.in_turn if path.startswith("/first/")]
        # How many the first sync still got depends on what was on its way at once; so does the order of arrival.
        asked_first = asked[: max(0, len(asked) - 16)]
        assert not {path.removeprefix("/first/") for path in asked_first} & set(names[:5])
