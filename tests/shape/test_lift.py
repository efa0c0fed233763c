"""Lifted texts and what is left of the rows are together the rows, value by value."""

from __future__ import annotations

import json
import time
from typing import Any

import pyarrow as pa
import pyarrow.json
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oa_sync.shape.cutting import bits, outline
from oa_sync.shape.cutting.lift import DuplicateKeyError, depth, lift
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.naming import ELEMENT, Path
from tests.support.json_texts import exactly, list_of, object_of, scalars, values

KEYS = ["a", "an", "b", 'q"', "é/n", ELEMENT]
_keys = st.sampled_from(KEYS)
_inner = st.recursive(
    scalars | values,
    lambda inner: list_of(inner, 4) | object_of(inner, _keys, 4),
    max_leaves=10,
)
rows = st.lists(object_of(_inner, _keys, 4), max_size=4)
_names = st.sampled_from(["a", "an", "b", 'q"', "é/n", ELEMENT, ELEMENT])
paths = st.sets(
    st.tuples(st.sampled_from(["a", "an", "b", 'q"', "é/n"]))
    | st.tuples(st.sampled_from(["a", "b", "é/n"]), _names)
    | st.tuples(st.sampled_from(["a", "b"]), _names, _names),
    min_size=1,
    max_size=4,
)


def _taken(value: Any, wanted: set[Path], path: Path, out: dict[Path, list[Any]]) -> Any:
    """The value with a 0 for everything wanted; the plain way to say what `lift` does."""
    if path in wanted and value is not None:
        out[path].append(value)
        return "0"
    if isinstance(value, dict):
        return {
            key: _taken(item, wanted, (*path, key) if key != ELEMENT else ("?",), out)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_taken(item, wanted, (*path, ELEMENT), out) for item in value]
    return value


@given(rows, paths, st.sampled_from(["\n", "\r\n", " ", "\n\n"]))
@example(['{"a":1}', '{"\\u0061":[2]}', '{"a":null}'], {("a",)}, "\n")
def test_texts_and_the_rest_are_together_the_rows(
    rows: list[str], wanted: set[Path], gap: str
) -> None:
    source = "".join(row + gap for row in rows).encode()
    lifted = lift(source, wanted)
    expected: dict[Path, list[Any]] = {path: [] for path in wanted}
    left = [_taken(exactly(row), wanted, (), expected) for row in rows]
    assert {p: [exactly(t) for t in lifted.texts[p].to_pylist()] for p in wanted} == expected
    assert len(lifted.buffer) == len(source)
    decoder = json.JSONDecoder(parse_float=str, parse_int=str)
    text, at = lifted.buffer.decode(), 0
    for row in left:
        value, at = decoder.raw_decode(text, at)
        assert value == row
        at += len(text[at:]) - len(text[at:].lstrip())
    assert not text[at:]


@given(rows, paths)
def test_blocks_of_any_size_give_the_same(rows: list[str], wanted: set[Path]) -> None:
    source = "\n".join(rows).encode()
    whole = lift(source, wanted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outline, "BLOCK", 64)
        patch.setattr(bits, "BLOCK", 64)
        pieces = lift(source, wanted)
    assert (pieces.buffer, pieces.texts) == (whole.buffer, whole.texts)


def test_texts_are_exact_and_line_up_with_the_zeros_a_parser_sees() -> None:
    source = (
        b'{"id":1,"steps":[{"n":1,"args":{"x": 1.50}},{"n":2,"args":null},{"n":3}]}\n'
        b'{"id":2,"steps":[]}\n'
        b'{"id":3,"steps":[{"n":4,"args":"text"},{"n":5,"args":[ ]}],"args":9}\n'
    )
    lifted = lift(source, [("steps", ELEMENT, "args")])
    assert lifted.texts[("steps", ELEMENT, "args")].to_pylist() == ['{"x": 1.50}', '"text"', "[ ]"]
    schema = pa.schema(
        {"steps": pa.list_(pa.struct({"n": pa.int64(), "args": pa.int64()}))}  # type: ignore[arg-type]
    )
    options = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    table = pyarrow.json.read_json(pa.BufferReader(lifted.buffer), parse_options=options)
    args = table["steps"].combine_chunks().flatten().field("args").to_pylist()
    assert args == [0, None, None, 0, 0]


def test_a_path_below_a_lifted_one_gives_nothing() -> None:
    lifted = lift(b'{"a":{"b":1}}', [("a",), ("a", "b")])
    assert lifted.texts[("a",)].to_pylist() == ['{"b":1}']
    assert lifted.texts[("a", "b")].to_pylist() == []
    assert lifted.buffer == b'{"a":0      }'


def test_a_key_inside_a_string_or_deeper_down_is_not_the_key() -> None:
    source = b'{"x":"\\"a\\":1","y":{"a":2},"xa":3,"a":4}'
    assert lift(source, [("a",)]).texts[("a",)].to_pylist() == ["4"]


@pytest.mark.parametrize("source", [b'"a":1', b'"a":1 {"b":2}', b"[1]", b"5", b'["a",{"a":1}]'])
def test_what_is_no_object_has_no_members(source: bytes) -> None:
    assert lift(source, [("a",)]).buffer == source


@pytest.mark.parametrize(
    "written", ['"😀"', '"\\ud83d\\ude00"', '"\\uD83D\\uDE00" \n', '"😀"\t\r\n    ' + " " * 40]
)
def test_a_key_is_found_however_it_is_written(written: str) -> None:
    source = f'{{"x\\"😀":1,{written}:[2],"\\\\":3}}'.encode()
    assert lift(source, [("😀",)]).texts[("😀",)].to_pylist() == ["[2]"]


@pytest.mark.parametrize("second", [b'"a"', b'"\\u0061"'])
def test_a_lifted_key_that_stands_twice_is_refused(second: bytes) -> None:
    source = b'{"a":1}\n{"a":1,' + second + b":2}"
    with pytest.raises(DuplicateKeyError, match="'a' stands twice"):
        lift(source, [("a",)])
    with pytest.raises(DuplicateKeyError):
        lift(source, [("a", "b")])
    assert lift(b'{"b":1,"b":2,"a":3}', [("a",)]).texts[("a",)].to_pylist() == ["3"]
    assert lift(b'{"c":{"a":1},"a":3}', [("a",)]).texts[("a",)].to_pylist() == ["3"]


@pytest.mark.parametrize(
    "source",
    [
        b'{"a":}',
        b'{"a":,"b":1}',
        b'{"a":1',
        b'{"a":[1}',
        b'{"a":1 {}}',
        b'{"a":{} 1}',
        b'{"a":{}{}}',
        b'{"a":"x":1}',
        b'{"a":"x}',
        b'{"a"\\n:1}',
    ],
)
def test_broken_rows_are_refused(source: bytes) -> None:
    with pytest.raises(InvalidJsonError):
        lift(source, [("a",)])


@pytest.mark.parametrize("source", [b'{"a":[1,]}', b'{"a":[,1]}', b'{"a":[1,,2]}', b'{"a":[{}[]]}'])
def test_broken_lists_on_the_way_are_refused(source: bytes) -> None:
    with pytest.raises(InvalidJsonError):
        lift(source, [("a", ELEMENT)])


def test_texts_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(InvalidJsonError):
        lift(b'{"a":"\xff"}', [("a",)])


def test_nothing_asked_or_nothing_there_leaves_the_rows_alone() -> None:
    for source in (b"", b"\n", b'{"b":1}\n'):
        for wanted in ([], [("a",)], [("b", ELEMENT, "a")]):
            lifted = lift(source, wanted)
            assert lifted.buffer == source
            assert lifted.texts.keys() == set(wanted)
            assert all(len(found) == 0 for found in lifted.texts.values())


def test_depth_is_counted_row_by_row() -> None:
    source = b'{"a":1}\n{"a":{"b":[[]]}}\n{}\n{"a":"[[[["}\n[1]'
    assert depth(source).tolist() == [1, 4, 1, 1, 1]
    assert depth(b"").tolist() == []
    with pytest.raises(InvalidJsonError):
        depth(b'{"a":[}')


def test_throughput_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    call = {"id": "call_1", "arguments": {"query": 'SELECT "x" FROM t', "limit": 5}, "ms": 12}
    run = {"id": "run_1", "steps": [{"thought": "look\nat it " * 9, "tool_calls": [call]}] * 6}
    count = 9_000
    source = (json.dumps(run, separators=(",", ":")) + "\n").encode() * count
    path = ("steps", ELEMENT, "tool_calls", ELEMENT, "arguments")
    started = time.perf_counter()
    lifted = lift(source, [path])
    seconds = time.perf_counter() - started
    with capsys.disabled():
        print(f" [lift: {len(source) / seconds / 1e6:.0f} MB/s]", end="")
    assert len(lifted.texts[path]) == 6 * count
    assert json.loads(lifted.texts[path][-1].as_py()) == call["arguments"]


@pytest.mark.parametrize(
    ("written", "texts"),
    [("[]", []), ("[ ]", []), ("[1]", ["1"]), ("[ 1 , {} ]", ["1", "{}"]), ("[null,2]", ["2"])],
)
def test_the_elements_of_short_lists_are_taken(written: str, texts: list[str]) -> None:
    found = lift(f'{{"a":{written}}}\n{{"b":[3]}}'.encode(), [("a", ELEMENT)])
    assert found.texts[("a", ELEMENT)].to_pylist() == texts
