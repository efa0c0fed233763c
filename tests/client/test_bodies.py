from __future__ import annotations

import asyncio
import gzip
import json
import resource
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.client import BodyLimits, Response
from oa_sync.client.response import checked_body
from oa_sync.errors import ApiError, BodyTooLargeError, ConnectionFailedError, InvalidResponseError
from tests.client.scripted import Reply, api, in_turn, reply, zipped
from tests.support.properties import examples

DOCUMENT = {"data": [{"id": f"r{n}", "title": 'Ümläut, {braces] and "quotes"'} for n in range(500)]}
BODY = json.dumps(DOCUMENT).encode()
MIB = 1024 * 1024


def get(answer: Reply, **options: Any) -> tuple[Response, int]:
    async def run() -> tuple[Response, int]:
        async with api(in_turn(answer), **options) as (server, client):
            return await client.request("GET", "reports"), len(server.seen)

    return asyncio.run(run())


def fails(answer: Reply, error: type[ApiError], match: str, **options: Any) -> int:
    async def run() -> int:
        async with api(in_turn(answer), **options) as (server, client):
            with pytest.raises(error, match=match):
                await client.request("GET", "reports")
            assert client.counts.made == len(server.seen)
            return len(server.seen)

    return asyncio.run(run())


def chunked(*chunks: bytes, end: bool = True, headers: str = "") -> Reply:
    raw = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}"
    closing = b"0\r\n\r\n" if end else b""
    return Reply(f"{head}transfer-encoding: chunked\r\n\r\n".encode() + raw + closing, "close")


# --- whole bodies -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        reply(BODY),
        zipped(BODY),
        chunked(BODY[:100], BODY[100:]),
        chunked(*(bytes([b]) for b in gzip.compress(BODY)), headers="content-encoding: gzip\r\n"),
        reply(
            gzip.compress(BODY[:99]) + gzip.compress(BODY[99:]) + b"\0\0", content_encoding="gzip"
        ),
        reply(b"\xef\xbb\xbf" + BODY),
        reply(b" \n" + BODY + b"\n"),
        reply(BODY, content_type="text/plain"),
    ],
    ids=["plain", "gzip", "chunked", "bytewise", "members", "bom", "blanks", "text/plain"],
)
def test_a_body_arrives_whole_however_it_is_sent(answer: Reply) -> None:
    response, _ = get(answer)
    assert response.json() == DOCUMENT
    assert bytes(response.body).strip() == BODY


@examples(30)
@given(st.binary(max_size=300_000), st.integers(1, 70_000))
def test_gzip_is_inflated_exactly_in_any_pieces(data: bytes, cut: int) -> None:
    body = b"[" + json.dumps(data.hex()).encode() + b"]"
    packed = gzip.compress(body)
    answer = chunked(
        *(packed[start : start + cut] for start in range(0, len(packed), cut)),
        headers="content-encoding: gzip\r\n",
    )
    assert get(answer)[0].body == body


def test_a_large_body_is_mapped_from_a_file_without_a_name(tmp_path: Path) -> None:
    limits = BodyLimits(spool_threshold=1000, spool_dir=tmp_path)
    for answer in (reply(BODY), zipped(BODY)):
        response, _ = get(answer, body_limits=limits)
        assert isinstance(response.body, memoryview)
        assert response.body.readonly
        assert response.json() == DOCUMENT
        assert list(tmp_path.iterdir()) == []
    small, _ = get(reply({"id": 1}), body_limits=limits)
    assert isinstance(small.body, bytes)


def test_no_file_is_left_open_behind_failed_bodies(tmp_path: Path) -> None:
    limits = BodyLimits(max_bytes=5000, spool_threshold=1000, spool_dir=tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    fails(chunked(BODY), BodyTooLargeError, "more than 5,000 bytes", body_limits=limits)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


# --- bounds -----------------------------------------------------------------------------------


def test_a_body_beyond_the_bound_is_refused_at_once_and_not_asked_for_again() -> None:
    limits = BodyLimits(max_bytes=1000)
    assert fails(reply(BODY), BodyTooLargeError, "by its Content-Length", body_limits=limits) == 1
    assert fails(chunked(BODY), BodyTooLargeError, "more than 1,000", body_limits=limits) == 1
    roomier = BodyLimits(max_bytes=5000)
    assert fails(zipped(BODY), BodyTooLargeError, "more than 5,000", body_limits=roomier) == 1


def bomb(mebibytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    parts = [packer.compress(b'{"data":[')]
    parts += [packer.compress(b" " * MIB) for _ in range(mebibytes)]
    return b"".join([*parts, packer.compress(b"]}"), packer.flush()])


def test_a_gzip_bomb_is_stopped_by_its_ratio_without_inflating_it() -> None:
    packed = bomb(400)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fails(reply(packed, content_encoding="gzip"), BodyTooLargeError, "200 times") == 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, f"{grown} KiB"


def test_a_small_body_may_be_compressed_as_well_as_it_can() -> None:
    packed = bomb(9)
    assert len(packed) * 200 < 9 * MIB
    assert get(reply(packed, content_encoding="gzip"))[0].json() == {"data": []}


# --- cut, empty, foreign ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        reply(BODY[:500], length=len(BODY), then="close"),
        reply(BODY[:500], length=len(BODY), then="reset"),
        chunked(BODY[:500], end=False),
        reply(gzip.compress(BODY)[:-20], content_encoding="gzip"),
        Reply(b"", "close"),
        Reply(b"", "reset"),
        Reply(b"HTTP/1.1 200 OK\r\ncontent-le", "close"),
        Reply(b"this is not HTTP\r\n\r\n", "close"),
    ],
    ids=["early", "reset", "chunk", "gzip", "nothing", "reset0", "head", "noise"],
)
def test_a_broken_connection_is_retried_and_then_told(answer: Reply) -> None:
    assert fails(answer, ConnectionFailedError, r"GET reports(:| failed).*\(tried 6 times\)") == 6


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (reply(b""), "an empty body"),
        (reply(b"", 204), "answered 204 with an empty body"),
        (reply(b" \n "), "an empty body"),
        (reply(b"<html>Sign in</html>", content_type="text/html"), "HTML instead of JSON"),
        (reply(b"\n<!doctype html>"), "HTML instead of JSON"),
        (reply(b"Sign in", content_type="text/html"), "HTML instead of JSON"),
        (reply(b"upstream timeout"), "neither a JSON object nor a list"),
        (reply(b"null"), "neither a JSON object nor a list"),
        (reply(BODY[: len(BODY) // 2]), "cut or broken"),
        (reply(BODY[: BODY.index(b"}") + 1]), "cut or broken"),
        (reply(b'{"data": [{"a": 1}]'), "cut or broken"),
        (reply(b"not gzip", content_encoding="gzip"), "not gzip"),
        (reply(zlib.compress(BODY), content_encoding="deflate"), "not asked for"),
    ],
)
def test_a_success_without_json_is_told_apart_and_asked_for_twice_more(
    answer: Reply, match: str
) -> None:
    assert fails(answer, InvalidResponseError, match) == 3


def test_unpaired_braces_in_strings_are_not_taken_for_a_cut() -> None:
    response, requests = get(reply(b'{"template": "{{ name", "b": "]]]"}'))
    assert requests == 1
    assert response.json() == {"template": "{{ name", "b": "]]]"}


@examples(60)
@given(st.integers(1, len(BODY) - 1))
def test_no_cut_of_a_body_passes(length: int) -> None:
    with pytest.raises(InvalidResponseError, match="GET reports answered 200"):
        checked_body(BODY[:length], "application/json", "GET reports", 200)


def test_text_that_only_decoding_shows_to_be_no_json_is_asked_for_again_where_it_is_decoded() -> (
    None
):
    bad = reply(b'{"id": NaNs}')

    async def run() -> tuple[int, Any]:
        async with api(in_turn(bad, reply({"id": 7}))) as (server, client):
            _, document = await client.request_json("GET", "reports/7")
            return len(server.seen), document

    assert asyncio.run(run()) == (2, {"id": 7})
    response, _ = get(bad)
    with pytest.raises(
        InvalidResponseError, match="GET reports answered 200 with a body that is not"
    ):
        response.json()
