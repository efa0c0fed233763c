"""The one door for JSON: what it takes, what it makes of it, and that nobody is stricter or looser."""

from __future__ import annotations

import hashlib
import json
import sys
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.definitions.loader import load_definition
from oa_sync.extract.lists.changes import content_hash
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.document import read_row
from oa_sync.shape.json_text import canonical, decode, encode, is_strict, mended, mended_lines
from oa_sync.shape.lists import cut_list
from oa_sync.shape.shaper import Shaper
from oa_sync.shape.spec import TableSpec
from tests.support import json_rows, json_texts

REPORTS = load_definition("openanalyst", dialect="page", environ={}).resource("reports")
DEEP = sys.getrecursionlimit() + 100

ODD: dict[bytes, Any] = {
    rb'"cut \ud83d"': "cut \ufffd",
    rb'"\ud83d\ude00\ude00\ud83d\u0041"': "\U0001f600\ufffd\ufffdA",
    rb'"\\ud83d"': r"\ud83d",
    b'"\xff\xed\xa0\xbd"': "\ufffd" * 4,
    b"NaN": None,
    b"[1,-Infinity,Infinity]": [1, None, None],
    b'{"a":NaN,"NaN":"NaN, Infinity"}': {"a": None, "NaN": "NaN, Infinity"},
    b'\xef\xbb\xbf{"a":1}': {"a": 1},
    b'"a\tb\nc\x00"': "a\tb\nc\x00",
    b'{"a":1,"a":2}': {"a": 2},
    b"18446744073709551616": 2**64,
    b"-9223372036854775809": -(2**63) - 1,
    b"1" * 5_000: Decimal("1" * 5_000),
    b"1e400": Decimal("1e400"),
    b"-1E+400": Decimal("-1e400"),
    b"1e9999999999999999999": Decimal("Infinity"),
    rb'"\u0000"': "\x00",
}


@pytest.mark.parametrize("text", ODD, ids=lambda text: repr(text[:24]))
def test_odd_values_have_one_meaning(text: bytes) -> None:
    assert decode(text) == ODD[text]
    assert decode(memoryview(text)) == ODD[text]
    assert decode(b"[" + text.removeprefix(b"\xef\xbb\xbf") + b"]") == [ODD[text]]


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b"{", b"[1", b"[1 2]", b'{"a" 1}', b"tru", b"01", b"NaNs", b'"\\x"', b"{} {}"],
)
@pytest.mark.parametrize("levels", [0, DEEP])
def test_what_is_not_json_is_refused_at_any_depth(text: bytes, levels: int) -> None:
    with pytest.raises(InvalidJsonError):
        decode(b"[" * levels + text + b"]" * levels if text.strip() else b"[" * levels + text)


@pytest.mark.parametrize(
    "text",
    [
        *(b"[}", b"[1}", b"[1,}", b'{"a":1]', b"{]", b'{"a":1,]'),  # closed by the other bracket
        *(b"[,1]", b"[1,]", b"[1,,1]", b"[,}]", b"[:}]", b"[:]", b"[1:1]", b'["a":1]', b"[,]"),
        *(
            b'{"a"}',
            b'{"a":}',
            b'{"a":1,}',
            b"{,}",
            b"{:1}",
            b"{1:1}",
            b"{1}",
            b"{[]}",
            b"{true:1}",
        ),
        *(b'{"a":1,2}', b'{"a":1 "b":2}', b'{"a"::1}', b'{"a":,1}', b'{"a":1:2}', b'{"a","b"}'),
        *(
            b'{"a" "b"}',
            b'{"a"[]}',
            b"[[] []]",
            b"[[]{}]",
            b'["a" "b"]',
            b"[1[]]",
            b"[] 1",
            b'{} "a"',
        ),
    ],
)
@pytest.mark.parametrize("levels", [0, DEEP])
def test_signs_at_wrong_places_are_refused_at_any_depth(text: bytes, levels: int) -> None:
    with pytest.raises(InvalidJsonError):
        decode(b"[" * levels + text + b"]" * levels)


@pytest.mark.parametrize("more", [b"]", b"}", b",", b":", b",1", b" 1", b"[]", b',{"a":1}', b'"a"'])
@pytest.mark.parametrize("levels", [1, DEEP])
def test_nothing_comes_after_the_value_at_any_depth(more: bytes, levels: int) -> None:
    text = b"[" * levels + b"]" * levels
    assert decode(text + b" \n") is not None
    with pytest.raises(InvalidJsonError):
        decode(text + more)


@pytest.mark.parametrize("missing", [1, 2, DEEP])
def test_a_deep_value_whose_end_is_missing_is_refused(missing: int) -> None:
    text = b'{"a":[' * DEEP + b"1" + b"]}" * DEEP
    with pytest.raises(InvalidJsonError, match="ends too early"):
        decode(text[:-missing])


@pytest.mark.parametrize("levels", [0, DEEP])
def test_each_value_belongs_to_the_key_before_it_at_any_depth(levels: int) -> None:
    value = decode(
        b'{"x":' * levels + b'{"a":{"b":1,"c":{}},"d":[{"e":2},3],"a":4,"f":"g"}' + b"}" * levels
    )
    for _ in range(levels):
        assert list(value) == ["x"]
        value = value["x"]
    assert value == {"a": 4, "d": [{"e": 2}, 3], "f": "g"}


def test_an_integer_stays_one_beside_a_number_that_only_a_decimal_can_hold() -> None:
    """Else one such number would change what the columns of all others become."""
    values = decode(b"[1,18446744073709551616,%s,%s,1e400]" % (b"9" * 4_000, b"9" * 4_001))
    assert [type(value) for value in values] == [int, int, int, Decimal, Decimal]
    assert values[:2] == [1, 2**64]


@pytest.mark.parametrize("levels", [250, 256, DEEP, 20_000])
@pytest.mark.parametrize("ends", [(b"[", b"]"), (b'{"k":', b"}"), (b'[{"k" : [', b" ] } ]")])
def test_depth_costs_nothing_but_time(levels: int, ends: tuple[bytes, bytes]) -> None:
    opens, closes = ends
    text = opens * levels + rb'[ 1, "\ud83d\ude00", {}, [], null, -1.5e2 ]' + closes * levels
    value = decode(text)
    written = text.replace(b" ", b"").replace(rb"\ud83d\ude00", "\U0001f600".encode())
    assert canonical(value) == encode(value) == written.replace(b"-1.5e2", b"-150.0")


def test_sorted_keys_are_those_of_the_quick_way_at_any_depth() -> None:
    deep: Any = {"ключ": 1, "b": [2**70], "a": {"é": None, "e": True}}
    text = canonical(deep)
    assert decode(text) == deep
    assert (
        text == json.dumps(deep, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    )


def test_hashes_are_those_that_are_loaded() -> None:
    """Golden values of version 0d88dc7."""
    row = decode('{"b":[1.50,"ü",null,true],"a":{"y":-0.0,"x":18446744073709551615}}'.encode())
    assert content_hash(row) == "a12e77b14bf3fda72acb733607b039e7"


@pytest.mark.parametrize("levels", [0, 300])
def test_keys_are_written_in_their_order_at_any_depth(levels: int) -> None:
    text = b"[" * levels + b'{"b":1,"a":{"d":2,"c":3}}' + b"]" * levels
    assert encode(decode(text)) == text
    assert canonical(decode(text)) != text


@given(json_rows.rows)
def test_the_hash_of_what_orjson_takes_is_what_it_was(row: dict[str, Any]) -> None:
    """Else every loaded row would be written again after an upgrade. Integers beyond 64 bits were hashed as
    the nearest double, so that changes in them were not seen."""
    text = json.dumps(row).encode()
    try:
        before = orjson.loads(text)
    except orjson.JSONDecodeError:
        return
    if json.loads(text) == before and not _has_large(before):
        hashed = orjson.dumps(before, option=orjson.OPT_SORT_KEYS)
        assert content_hash(decode(text)) == hashlib.blake2b(hashed, digest_size=16).hexdigest()


def _has_large(value: Any) -> bool:
    leaves = (leaf for _, leaf in json_rows.leaves(value))
    return any(isinstance(leaf, float) and abs(leaf) >= 2**63 for leaf in leaves)


def test_a_change_in_the_last_digit_of_any_number_is_a_change() -> None:
    for one, other in [(b"18446744073709551617", b"18446744073709551618"), (b"1e400", b"1e401")]:
        assert content_hash(decode(b'{"n":%s}' % one)) != content_hash(decode(b'{"n":%s}' % other))


# -- nobody is stricter, nobody looser -------------------------------------------------------------

PIECES = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b'"a"', b'"id"', b"1", b"-", b"0.5", b"1e400", b" "),
    *(b"NaN", b"Infinity", b"-Infinity", b"null", b"true", b"18446744073709551617", b"\\"),
    *(rb'"\ud83d"', rb'"\u0000"', rb'"\ud83d\ude00"', b'"\xff"', b'"\t"', b"\xef\xbb\xbf", b'{"a":1,"a":2}'),
    *(b"[" * DEEP + b"]" * DEEP, b'"x\\"', b'"\\u12"'),
]  # fmt: skip
odd_rows = st.lists(st.sampled_from(PIECES), max_size=5).map(b"".join)
rows_with_odd_values = st.dictionaries(
    st.sampled_from([b'"a"', b'"b"', rb'"k\udc00"', b'"\xfe"']), st.sampled_from([*ODD, *PIECES])
).map(lambda row: b"{" + b",".join(key + b":" + value for key, value in row.items()) + b"}")


def _is_taken(read: Any, *refusals: type[Exception]) -> bool:
    try:
        read()
    except refusals:
        return False
    return True


@given(odd_rows | rows_with_odd_values, st.booleans())
def test_whatever_the_shaper_takes_the_scan_takes_and_the_other_way_round(
    row: bytes, has_learned: bool
) -> None:
    shaper = Shaper(TableSpec("things"))
    if has_learned:
        shaper.shape(b'{"a": 1.5, "b": [{"c": {}}]}\n')
    scan = _is_taken(lambda: content_hash(decode(row)), InvalidJsonError)
    line = row.replace(b"\n", b" ") + b"\n"  # a row comes to it on one line
    shaped = _is_taken(lambda: shaper.shape(line), InvalidJsonError)
    assert shaped == scan
    if scan and isinstance(decode(row), dict):
        read_row(REPORTS, row)
        assert len(cut_list(b'{"data":[%s]}' % row.removeprefix(b"\xef\xbb\xbf"), "data")) == 1


@given(
    odd_rows
    | rows_with_odd_values
    | json_texts.values.map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_what_is_mended_is_strict_and_means_the_same(text: bytes) -> None:
    try:
        value = decode(text)
    except InvalidJsonError:
        return
    whole = mended(text)
    assert decode(whole) == value
    assert mended(whole) == whole
    if text.count(b"[") < DEEP:
        assert is_strict(whole)
    if is_strict(text):
        assert whole == text


def test_of_many_lines_only_those_are_mended_that_need_it() -> None:
    lines = [b'{"a": "\xc3\xa9"}', rb'{"a": "\ud83d"}', b"", b'{"a": [NaN]}', b"{", b"1e400"]
    found, changed = mended_lines(b"\n".join(lines) + b"\n")
    assert changed == [1, 3]
    assert found == '{"a": "é"}\n{"a": "\ufffd"}\n\n{"a": [null]}\n{\n1e400\n'.encode()


def test_lines_are_told_of_only_where_something_was_replaced() -> None:
    """An escape for a control character and a mark left out lose nothing."""
    lines = [
        b'\xef\xbb\xbf{"a":null}',
        b'{"a":"\t","b":"\xef\xbf\xbd"}',
        b'{"a":"\xff"}',
        b"[NaN,null]",
    ]
    found, changed = mended_lines(b"\n".join(lines))
    assert changed == [2, 3]
    assert [decode(line) for line in found.split(b"\n")] == [
        {"a": None},
        {"a": "\t", "b": "\ufffd"},
        {"a": "\ufffd"},
        [None, None],
    ]


def test_lines_that_need_nothing_are_not_copied() -> None:
    lines = b'{"a":1}\n' * 3
    assert mended_lines(lines)[0] is lines
