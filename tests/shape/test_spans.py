"""Spans of a text: trimmed, gathered, and refused where they are not UTF-8."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from oa_sync.shape.cutting.spans import (
    Rows,
    gathered,
    is_utf8,
    positions_within,
    texts,
    trimmed,
    without_leading,
    without_trailing,
)
from oa_sync.shape.cutting.structure import InvalidJsonError


def array(text: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(text, np.uint8)


def index(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, np.int64)


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 34, 100])
def test_a_span_of_blanks_is_trimmed_to_nothing_inside_itself(size: int) -> None:
    text = array(b" " * 4 * size)
    starts, ends = index(0, size, 2 * size, 2 * size), index(size, 2 * size, 2 * size, 3 * size)
    assert without_leading(text, starts, ends).tolist() == ends.tolist()
    assert without_trailing(text, starts, ends).tolist() == starts.tolist()
    assert [part.tolist() for part in trimmed(text, starts, ends)] == [ends.tolist()] * 2


@pytest.mark.parametrize("blanks", [0, 1, 31, 32, 33, 70])
def test_a_value_is_left_alone_between_blanks(blanks: int) -> None:
    text = b"\t" * blanks + b'"a b"' + b"\n" * blanks + b"," + b" " * blanks + b"7" + b"\r" * blanks
    comma = text.index(b",")
    starts, ends = trimmed(array(text), index(0, comma + 1), index(comma, len(text)))
    assert [text[a:b] for a, b in zip(starts, ends, strict=True)] == [b'"a b"', b"7"]


def test_every_position_of_every_span() -> None:
    assert positions_within(index(3, 9, 20), index(5, 9, 23)).tolist() == [3, 4, 20, 21, 22]
    assert positions_within(index(), index()).tolist() == []


def test_spans_become_arrow_texts() -> None:
    found = texts(array("äbc,de,,f".encode()), index(0, 5, 8), index(4, 7, 8))
    assert found.type == pa.string()
    assert found.to_pylist() == ["äbc", "de", ""]
    assert gathered(array(b"abc"), index(), index()).to_pylist() == []


def test_bytes_that_are_not_utf8_are_refused_at_their_place() -> None:
    text = b'["a","\xc3(",{"b" : 1}]'
    with pytest.raises(InvalidJsonError) as caught:
        texts(array(text), index(1, 5), index(4, 9), 100)
    assert caught.value.offset == 106
    rows = Rows(text, index(1, 5), index(4, 9), 100)
    for take in (rows.texts, rows.ndjson):
        with pytest.raises(InvalidJsonError) as caught:
            take()
        assert caught.value.offset == 106
    assert rows.slice(0, 1).ndjson() == b'"a"\n'
    assert is_utf8(text[:5])
    assert not is_utf8(text)
    assert not is_utf8(b"\xff")


@pytest.mark.parametrize("gap", [b",", b" ,", b", \n", b"\n,\r\n  "])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_rows_are_written_one_a_line_whatever_is_between_them(gap: bytes, count: int) -> None:
    elements = [b'{"id":%d}' % 10**number for number in range(count)]
    text = b"[" + gap.join(elements) + b"]"
    starts = np.cumsum([1] + [len(each) + len(gap) for each in elements[:-1]])
    rows = Rows(text, starts, starts + np.array([len(each) for each in elements]))
    assert rows.ndjson() == b"\n".join(elements) + b"\n"
    assert rows.all_objects()
    assert not Rows(b"[{},7]", index(1, 4), index(3, 5)).all_objects()
