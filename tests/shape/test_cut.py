"""A list is cut out of its document: the same rows whole or in pieces, and nothing wrong passes."""

from __future__ import annotations

import json
import mmap
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oa_sync.shape.cutting.compact import MOST_BYTES, compact_spans
from oa_sync.shape.cutting.cut import Cut, Cutter, cut
from oa_sync.shape.cutting.structure import InvalidJsonError
from tests.support.json_texts import exactly, list_of, object_of, strings, values, whitespace

BOM = b"\xef\xbb\xbf"
_other_keys = st.sampled_from(["meta", "dat", "data ", "Data", "éa", 'x"data', "a,b", "[]"])


@st.composite
def documents(draw: st.DrawFn, path: tuple[str, ...]) -> str:
    """A document with a list at `path`."""
    gap = draw(whitespace), draw(whitespace)
    if not path:
        return gap[0] + draw(list_of(values)) + gap[1]
    others = draw(object_of(values, _other_keys, 3))[1:-1]
    more = draw(object_of(values, st.sampled_from(["z", "y"]), 2))[1:-1]
    member = f"{draw(strings(st.just(path[0])))}{gap[0]}:{draw(documents(path[1:]))}"
    members = [m for m in (others, member, more) if m.strip()]
    return gap[1] + "{" + ",".join(members) + "}" + gap[0]


PATHS = [(), ("data",), ("data", "data"), ("data", "näh/e"), ('da"ta\\\n',)]
any_path = st.sampled_from(PATHS)


def _at(value: object, path: tuple[str, ...]) -> object:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _texts(found: Cut) -> list[str]:
    return found.rows.texts().to_pylist()  # type: ignore[no-any-return]


def _assert_cut(body: bytes, path: tuple[str, ...], head: bytes, rows: list[str]) -> None:
    whole, left = exactly(body), exactly(head)
    assert [exactly(row) for row in rows] == _at(whole, path)
    assert all(row == row.strip(" \t\r\n") for row in rows)
    assert _at(left, path) == []
    holder = _at(whole, path)
    assert isinstance(holder, list)
    holder.clear()
    assert left == whole


@given(any_path.flatmap(lambda p: st.tuples(st.just(p), documents(p))), st.booleans())
def test_head_and_rows_together_are_the_document(
    case: tuple[tuple[str, ...], str], with_bom: bool
) -> None:
    path, text = case
    body = BOM * with_bom + text.encode()
    found = cut(body, path)
    assert found.found
    _assert_cut(body, path, found.head, _texts(found))


@given(
    any_path.flatmap(lambda p: st.tuples(st.just(p), documents(p))),
    st.integers(1, 200),
    st.data(),
)
def test_pieces_cut_anywhere_give_the_same_rows(
    case: tuple[tuple[str, ...], str], max_rows_bytes: int, data: st.DataObject
) -> None:
    path, text = case
    body = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=10)))
    cutter, rows = Cutter(path, max_rows_bytes=max_rows_bytes), []
    for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True):
        for block in cutter.feed(body[start:stop]):
            assert len(block)
            rows += block.texts().to_pylist()
            for start_of, text_of in zip(block.starts.tolist(), block.texts(), strict=True):
                at = block.base + start_of
                assert body[at:].startswith(text_of.as_py().encode())
    whole = cut(body, path)
    assert (cutter.finish(), rows, cutter.found) == (whole.head, _texts(whole), True)


@given(st.lists(st.tuples(whitespace, values, whitespace), max_size=6))
def test_ndjson_has_one_element_a_line_with_the_same_values(parts: list[tuple[str, ...]]) -> None:
    body = "[" + ",".join("".join(part) for part in parts) + "]"
    lines = cut(body.encode(), ()).rows.ndjson()
    assert lines.count(b"\n") == len(parts)
    assert b"\r" not in lines
    assert [exactly(line) for line in lines.split(b"\n")[:-1]] == exactly(body)


@given(values, any_path)
def test_a_document_without_the_list_is_all_head(text: str, path: tuple[str, ...]) -> None:
    body = text.encode()
    found = cut(body, path)
    if found.found:
        assert isinstance(_at(exactly(body), path), list)
        return
    assert not isinstance(_at(exactly(body), path), list)
    assert (found.head, len(found.rows)) == (body, 0)
    cutter = Cutter(path, max_rows_bytes=8)
    assert (cutter.feed(body), cutter.finish(), cutter.found) == ([], body, False)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":null}',
        b'{"data":{"data":5}}',
        b'{"data":"[1,2]"}',
        b'{"other":{"data":[1]}}',
        b'[{"data":[1]}]',
        b'[["data",[1]]]',
        b'"data"',
        b'{"x\\"data":[1]}',
        b"{}",
    ],
)
def test_a_list_elsewhere_is_not_the_list(body: bytes) -> None:
    assert not cut(body, ("data",)).found


def _stream(body: bytes, step: int) -> None:
    cutter = Cutter(("data",), max_rows_bytes=16)
    for start in range(0, len(body), step):
        cutter.feed(body[start : start + step])
    cutter.finish()


BROKEN = [
    (b'{"data":[1,,2]}', 11),
    (b'{"data":[1 2]}', None),
    (b'{"data":[1,]}', 11),
    (b'{"data":[,1]}', 9),
    (b'{"data":[,]}', 9),
    (b'{"data":[{},]}', 12),
    (b'{"data":[,{}]}', 9),
    (b'{"data":[{},,{}]}', 12),
    (b'{"data":[{}{}]}', None),
    (b'{"data":[{} {}]}', None),
    (b'{"data":[{} 1,{}]}', None),
    (b'{"data":[{},{} 1]}', None),
    (b'{"data":[1 {},{}]}', None),
    (b'{"data":["a" "b"]}', None),
    (b'{"data":["a"1]}', None),
    (b'{"data":["a",tru]}', None),
    (b'{"data":[{"a":[1}]]}', 16),
    (b'{"data":[{"a":1]]}', 15),
    (b'{"data":[{"a":1}}', 17),
    (b'{"data":[{"a":1}', 16),
    (b'{"data":[{"a":1}]', 17),
    (b'{"data":[{"a":"x', 16),
    (b'{"data":[{"a":1}]}x', 18),
    (b'{"data":[{"a":1}]}]', 18),
    (b'{"data":[{"a":1}]}{"data":[2]}', 18),
    (b'{"data":[1] "b":2}', 12),
    (b'x{"data":[1]}', 0),
    (b'{"data" 1:[1]}', None),
    (b'{"data":[1],"data":[2]}', None),
    (b'{"data":[1],"d\\u0061ta":[2]}', None),
    (b'{"data":null,"data":[2]}', None),
    (b'{"data":[2],"data":7}', None),
    (b'{"data":{},"data":[2]}', 18),
    (b"", 0),
    (b" ", None),
    (b"<html>no</html>", 0),
    (b'{"a":"\xff"}', 6),
    (b'{"data":[NaN]}', 9),
]


@pytest.mark.parametrize(("body", "offset"), BROKEN)
def test_what_is_not_json_is_refused(body: bytes, offset: int | None) -> None:
    with pytest.raises(InvalidJsonError) as caught:
        cut(body, ("data",))
    if offset is not None:
        assert caught.value.offset == offset


@pytest.mark.parametrize("body", [body for body, _ in BROKEN])
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_what_is_not_json_is_refused_in_pieces(body: bytes, step: int) -> None:
    with pytest.raises(InvalidJsonError):
        _stream(body, step)


@given(documents(("data",)), st.data())
def test_a_document_cut_short_is_always_refused(text: str, data: st.DataObject) -> None:
    body = text.strip(" \t\r\n").encode()
    short = body[: data.draw(st.integers(0, len(body) - 1))]
    with pytest.raises(InvalidJsonError):
        cut(short, ("data",))
    with pytest.raises(InvalidJsonError):
        _stream(short, 7)


@given(documents(("data",)), st.data())
def test_a_comma_more_or_less_in_the_list_is_always_refused(text: str, data: st.DataObject) -> None:
    body = text.encode()
    rows = cut(body, ("data",)).rows
    assume(len(rows))
    row = data.draw(st.integers(0, len(rows) - 1))
    end = int(rows.ends[row])
    more = body[:end] + b"," + body[end:]
    for broken in (more, *([_without_comma(body, end)] if row + 1 < len(rows) else [])):
        with pytest.raises(InvalidJsonError):
            cut(broken, ("data",))
        with pytest.raises(InvalidJsonError):
            _stream(broken, 5)


def _without_comma(body: bytes, end: int) -> bytes:
    comma = body.index(b",", end)
    return body[:comma] + b" " + body[comma + 1 :]


def test_bytes_that_are_not_utf8_are_refused_when_rows_are_taken() -> None:
    rows = cut(b'{"data":[{"a":"ok"},{"a":"\xc3("}]}', ("data",)).rows
    for take in (rows.texts, rows.ndjson):
        with pytest.raises(InvalidJsonError) as caught:
            take()
        assert caught.value.offset == 26


def test_a_raw_newline_in_a_string_is_refused_not_changed() -> None:
    with pytest.raises(InvalidJsonError, match="newline inside a string"):
        cut(b'[{"a":"one\ntwo"}]', ()).rows.ndjson()


def test_legal_values_that_some_parsers_refuse_stay_as_they_are() -> None:
    body = b'[1e999, "\\ud800", 123456789012345678901234567890, {"a": -0}]'
    assert _texts(cut(body, ()))[:3] == ["1e999", '"\\ud800"', "123456789012345678901234567890"]


def test_rows_are_sliced_and_measured_without_a_copy() -> None:
    rows = cut(b'[{"a":1}, {"b":22} ,3]', ()).rows
    assert (len(rows), rows.nbytes, rows.all_objects()) == (3, 16, False)
    assert rows.slice(1, 2).texts().to_pylist() == ['{"b":22}']
    assert rows.slice(0, 2).all_objects()
    assert rows.slice(1).ndjson() == b'{"b":22}\n3\n'
    assert rows.slice(3).ndjson() == b""
    assert rows.slice(3).texts().type == pa.string()


@pytest.mark.parametrize("kind", ["bytearray", "memoryview", "mmap"])
def test_any_buffer_will_do(kind: str, tmp_path: Path) -> None:
    body = b'{"data":[1,{"a":2}],"n":1}'
    file = tmp_path / "body.json"
    file.write_bytes(body)
    with file.open("rb") as handle:
        mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    buffer = {"bytearray": bytearray(body), "memoryview": memoryview(body), "mmap": mapped}[kind]
    found = cut(buffer, ("data",))
    assert (_texts(found), found.head) == (["1", '{"a":2}'], b'{"data":[],"n":1}')
    cutter = Cutter(("data",))
    assert [b.texts().to_pylist() for b in cutter.feed(buffer)] == [["1", '{"a":2}']]


def test_a_long_list_streams_in_bounded_blocks() -> None:
    row = b'{"id":%d,"name":"a name","values":[1,2,3]}'
    cutter, blocks = Cutter(("data",), max_rows_bytes=64_000), []
    held = 0
    for i in range(40_000):
        blocks += cutter.feed((b'{"meta":{},"data":[' if i == 0 else b",") + row % i)
        held = max(held, len(cutter._window) + len(cutter._head))
    blocks += cutter.feed(b"]}")
    assert cutter.finish() == b'{"meta":{},"data":[]}'
    assert sum(len(block) for block in blocks) == 40_000
    assert max(block.nbytes for block in blocks) < 70_000
    assert held < 70_000


def test_a_row_larger_than_a_block_passes() -> None:
    big = b'{"a":"' + b"x" * 300_000 + b'"}'
    cutter, rows = Cutter((), max_rows_bytes=1_000), []
    body = b"[" + b",".join([b"{}", big, b"{}"]) + b"]"
    for i in range(0, len(body), 700):
        rows += [len(t.as_py()) for b in cutter.feed(body[i : i + 700]) for t in b.texts()]
    assert (cutter.finish(), rows) == (b"[]", [2, len(big), 2])


def test_a_head_beyond_its_bound_is_refused() -> None:
    cutter = Cutter(("data",), max_head_bytes=1_000)
    with pytest.raises(
        InvalidJsonError, match="more than 1000 bytes stand outside the list at data"
    ):
        for _ in range(200):
            cutter.feed(b'{"a":1,' if not cutter._head else b'"b":12345,')


def test_throughput_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    row = '{"day":"2025-03-01","region":"north","units":%d,"revenue":%d.25,"note":"checked \\"by\\" hand"}'
    body = ('{"data":[' + ",".join(row % (i, i) for i in range(110_000)) + "]}").encode()
    started = time.perf_counter()
    found = cut(body, ("data",))
    texts = found.rows.texts()
    seconds = time.perf_counter() - started
    with capsys.disabled():
        print(f" [cut and texts: {len(body) / seconds / 1e6:.0f} MB/s]", end="")
    assert texts[-1].as_py() == json.dumps(
        json.loads(row % (109_999, 109_999)), separators=(",", ":")
    )


@given(path=any_path, data=st.data())
def test_either_way_of_looking_gives_the_same_cut(
    path: tuple[str, ...], data: st.DataObject
) -> None:
    body = data.draw(documents(path)).encode("utf-8", "surrogatepass")

    quick = _outcome(body, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oa_sync.shape.cutting.cut.compact_spans", lambda body, path: None)
        assert _outcome(body, path) == quick


def _outcome(body: bytes, path: tuple[str, ...]) -> tuple[object, ...]:
    try:
        found = cut(body, path)
    except InvalidJsonError:
        return ()
    return found.head, found.found, found.rows.starts.tolist(), found.rows.ends.tolist()


def test_a_compact_document_is_looked_at_once() -> None:
    body = json.dumps({"id": 1, "data": [{"a": 1}, [], "x"]}, separators=(",", ":")).encode()

    spans = compact_spans(body, ("data",))

    assert spans is not None
    assert [body[start:end] for start, end in zip(*spans, strict=True)] == [
        b'{"a":1}',
        b"[]",
        b'"x"',
    ]


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[1, 2]}',
        b'{"data":[]}',
        b'{"data":{"data":[1]}}',
        b'{"data":[1]} 2',
        b'{"data":["\xff]}',
        b'{"data":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
)
def test_what_is_not_compact_is_left_to_the_other_way(body: bytes) -> None:
    assert compact_spans(body, ("data",)) is None


def test_a_large_document_makes_no_object_for_each_element() -> None:
    body = b'{"data":[' + b",".join([b"1"] * MOST_BYTES) + b"]}"

    assert compact_spans(body, ("data",)) is None
    assert len(cut(body, ("data",)).rows.starts) == MOST_BYTES
