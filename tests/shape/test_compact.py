"""Where the elements of a list stand in a document of ordinary size, and when the other way must find them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oa_sync.shape.cutting.compact import MOST_BYTES, compact_spans, list_around

ELEMENTS: list[Any] = [{"a": 1}, [], "x,]", 12, None, [[1, 2], {}]]


def written(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def taken(body: bytes, path: tuple[str, ...] = ("data",)) -> list[bytes] | None:
    spans = compact_spans(body, path)
    return None if spans is None else [body[i:j] for i, j in zip(*spans, strict=True)]


@pytest.mark.parametrize("path", [(), ("data",), ("a", "b", "c")])
@pytest.mark.parametrize("elements", [ELEMENTS, ELEMENTS[:1], ELEMENTS[2:4]])
def test_elements_are_found_wherever_the_path_leads(
    path: tuple[str, ...], elements: list[Any]
) -> None:
    value: Any = elements
    for key in reversed(path):
        value = {"id": 1, key: value, "more": [7]}
    assert taken(written(value), path) == [written(each) for each in elements]


@pytest.mark.parametrize(
    "body", [b"[1 ,2,3]", b"[1, 2,3]", b"[1,2, 3]", b"[1,2 ,3]", b"[]", b"[ ]"]
)
def test_blanks_between_elements_and_empty_lists_are_left_to_the_other_way(body: bytes) -> None:
    assert taken(b'{"data":' + body + b"}") is None


@pytest.mark.parametrize("key", ['a"b', "a\\b", "\ud83d", "a\n"])
def test_so_is_a_key_that_msgspec_has_no_field_for(key: str) -> None:
    assert taken(written({key: [1]}), (key,)) is None


@pytest.mark.parametrize(("size", "is_taken"), [(MOST_BYTES, True), (MOST_BYTES + 1, False)])
def test_so_is_a_large_document(size: int, is_taken: bool) -> None:
    body = b'{"data":["' + b"x" * (size - 13) + b'"]}'
    assert len(body) == size
    assert (taken(body) is not None) is is_taken


@pytest.mark.parametrize("blanks", [b"", b" ", b"\t", b"\r", b"\n", b" \r\n\t "])
def test_the_inside_of_a_list_begins_and_ends_at_its_brackets(blanks: bytes) -> None:
    body = b'{"id":[1],"data":[' + blanks + b"10,[20],30" + blanks + b'],"more":[2]}'
    spans = compact_spans(body, ("data",))
    assert spans is not None
    start, end = list_around(body, int(spans[0][0]), int(spans[1][-1]))
    assert body[start:end] == blanks + b"10,[20],30" + blanks
