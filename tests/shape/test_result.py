"""The rows of one large JSON body: found in any chunk, read again, and never from a broken body."""

from __future__ import annotations

import pytest

from oa_sync.shape import body
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.result import JsonResult, json_rows

PATHS = [("rows",), ("data",)]


def texts(result: JsonResult) -> list[str]:
    return [text for block in result.blocks() for text in block.texts().to_pylist()]


@pytest.mark.parametrize("chunk_bytes", [1, 7, 20, 1_000])
def test_the_list_is_found_in_whatever_chunk_it_begins(
    chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "CHUNK_BYTES", chunk_bytes)
    result = json_rows(b'{"meta": {"pages": 1}, "data": [1, {"a": 2}], "n": 2}', PATHS)
    assert (result.path, result.count) == (("data",), 2)
    assert result.head == {"meta": {"pages": 1}, "data": [], "n": 2}
    assert texts(result) == texts(result) == ["1", '{"a": 2}']


def test_a_document_that_is_the_list_has_an_empty_head() -> None:
    result = json_rows(b"[1, 2]", [()])
    assert (result.path, result.head, result.count) == ((), {}, 2)


@pytest.mark.parametrize(("text", "head"), [(b'{"a": 1}', {"a": 1}), (b"[1]", {}), (b"7", {})])
def test_without_a_list_there_are_no_rows_and_the_head_is_all(
    text: bytes, head: dict[str, int]
) -> None:
    result = json_rows(text, PATHS)
    assert (result.path, result.head, result.count) == (None, head, None)
    assert texts(result) == []


def test_a_body_that_ends_early_is_refused_each_time_it_is_read() -> None:
    with pytest.raises(InvalidJsonError):
        json_rows(b'{"data": [1], "n"', PATHS)
    with pytest.raises(InvalidJsonError):
        texts(JsonResult(b'{"data": [1], "n"', ("data",), {}, 1))
