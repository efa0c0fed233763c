"""Pages whose rows are decoded one by one say the same as pages that are decoded as a whole."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from oa_sync.client import RetryPolicy
from oa_sync.client.paging import Page, pages
from oa_sync.client.rows import UndecodedRows
from oa_sync.definitions.model import CursorPaginator, Endpoint
from oa_sync.errors import InvalidResponseError
from tests.client.scripted import Script, api, in_turn, reply

RUNS = Endpoint(path="runs", data_selector="data")
BY_CURSOR = CursorPaginator(cursor_path="page.next", cursor_param="after", total_path="page.total")


def compact(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def page(rows: Any, after: str | None = None) -> bytes:
    return compact({"data": rows, "page": {"next": after, "total": 4}})


def read(script: Script, endpoint: Endpoint = RUNS, **options: Any) -> tuple[list[Page], int]:
    """The pages until the list ends, and how many requests were made."""

    async def run() -> tuple[list[Page], int]:
        async with (
            api(script, retry=RetryPolicy(max_tries=1), **options) as (server, client),
            aclosing(pages(client, endpoint, BY_CURSOR)) as found,
        ):
            return [one async for one in found], len(server.seen)

    return asyncio.run(run())


def told(script: Script, endpoint: Endpoint = RUNS, **options: Any) -> Any:
    """What can be seen of the pages, or the error."""
    try:
        found, requests = read(script, endpoint, **options)
        seen = [
            (list(p.rows), len(p.rows), p.raw_rows(), p.total, p.is_last, p.cursor, p.rows_path)
            for p in found
        ]
    except InvalidResponseError as error:
        return str(error)
    return seen, requests


FIRST = page([{"id": 1, "steps": [{"n": 1.50}, []]}, {"id": "zwei", "text": "ü\u2028\\"}], "a")
LAST = page([{"id": 3}, {"id": 18446744073709551617}])


@pytest.mark.parametrize("selector", ["data", None])
@pytest.mark.parametrize(
    "second",
    [
        LAST,
        LAST.replace(b",", b" , "),
        b"\xef\xbb\xbf" + LAST,
        page([]),
        page([{"id": 3}, 4]),
        page({"id": 3}),
        page(None),
        compact({"page": {"next": None}}),
        compact([{"id": 3}]),
        LAST[:-4],
        LAST.replace(b'{"id":3}', b'{"id":tru}'),
        LAST.replace(b":3", b':"\xff"'),
        LAST.replace(b":3", b':"\\ud800"'),
        LAST.replace(b":4", b":1e999"),
        LAST.replace(b'"total"', b'"\\udc00"'),
        LAST.replace(b"}]", b'}],"data":[{"id":4}]'),
        FIRST,
    ],
)
def test_either_way_tells_the_same(
    second: bytes, selector: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script() -> Script:
        return in_turn(reply(FIRST), reply(second), reply(LAST))

    endpoint = Endpoint(path="runs", data_selector=selector)
    quick = told(script(), endpoint)
    monkeypatch.setattr("oa_sync.client.response.split_list", lambda body, path: None)
    assert quick == told(script(), endpoint)


def test_rows_are_decoded_one_by_one_once_it_is_known_where_they_stand() -> None:
    answers = in_turn(reply(FIRST), reply(LAST))
    found, _ = read(answers, Endpoint(path="runs"))
    assert [type(one.rows) for one in found] == [list, UndecodedRows]
    assert found[1].rows[0] == {"id": 3}
    assert list(found[1].rows[1:]) == [{"id": 18446744073709551617}]


def test_a_row_that_cannot_be_decoded_is_an_error() -> None:
    rows = UndecodedRows([b'{"id":3}', b'{"id":tru}'], "GET runs (page 2)")
    with pytest.raises(InvalidResponseError, match=r"GET runs .page 2.*a row cannot be decoded"):
        list(rows)
