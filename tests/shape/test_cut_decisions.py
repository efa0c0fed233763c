"""Documents put together from parts that are known, and cut apart again by every way there is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from oa_sync.shape.cutting import cut as cutting
from oa_sync.shape.cutting.cut import Cutter, HeadTooLargeError, cut
from oa_sync.shape.cutting.spans import Rows, trimmed
from oa_sync.shape.cutting.structure import InvalidJsonError

BOM = b"\xef\xbb\xbf"
LONG = " " * 40
LISTS = [
    ["", ""],
    ["{}"],
    ['{"a":1}', '{"b":[1,2]}', "[[],{}]"],
    ['{"a":1}', ' {"a":"x,]"}\n', '\t{"a":{}}\r\n', "{}"],
    ["1", '"x,y"', "null", '{"a":{}}', "[[1],2]", "true", "1e999", '"\\"]"', "-0"],
    [" 1 ", "\n[ ]", '"a b" ', "{ }\t", f"{LONG}7{LONG}", f"{LONG}[{LONG}]{LONG}"],
    ["{}", f"{LONG}{{}}{LONG}", "{}", '{"é":"ü"}'],
    ["[1]", " [2]", "3"],
    ["0", "[1]"],
    ['"one"'],
    [f'{{"id":{n},"text":"{"x" * n}"}}' for n in range(9)],
    [f'{{"id":{n}}}{" " * (n % 3)}' for n in range(9)],
]
"""Elements with the blanks around them. `["", ""]` stands for a list of nothing but a blank."""
AROUND = [
    ((), "{}"),
    ((), " \n{}\t"),
    (("data",), '{"data":{}}'),
    (("data",), ' {"m":{"data":[9]},"data" : {} ,"n":{"x":[{"data":[1]}]},"s":"\\"data\\":["} '),
    (("data",), '{"x":[["data",[1]],{"data":[2]}],"y":"data","data":{}}'),
    (("data",), '{"d\\u0061ta"\n:\t{}}'),
    (("a", "b"), '{"a":{"x":{"b":[1]},"b":{}},"b":[2]}'),
    (("a", "b"), '{"c":{"b":[1]},"b":{"a":[3]},"a":{"y":[{"b":[4]}],"b":{}}}'),
    (("a", "a"), '{"b":{"a":[0]},"a":{"a":{},"c":{"a":[5]}}}'),
    (('q"\\', "é"), '{"q\\"\\\\":{"é":{},"e":{}}}'.replace('"e":{}', '"e":[]')),
]


def documents() -> Iterator[tuple[tuple[str, ...], bytes, bytes, list[bytes]]]:
    """Path, document, the document with an empty list, and the elements."""
    for number, elements in enumerate(LISTS):
        for path, around in AROUND if number == 3 else (AROUND[2], AROUND[number % len(AROUND)]):
            before, after = around.split("{}", 1)
            inside = ",".join(elements) if any(elements) else " "
            body, head = (f"{before}[{text}]{after}".encode() for text in (inside, ""))
            yield path, body, head, [each.strip().encode() for each in elements if each]


def of(rows: Rows) -> list[bytes]:
    """The rows by each way to read them, which must agree."""
    taken = [bytes(rows.buffer[a:b]) for a, b in zip(rows.starts, rows.ends, strict=True)]
    assert [text.encode() for text in rows.texts().to_pylist()] == taken
    lines = rows.ndjson().split(b"\n")
    assert [line.replace(b" ", b"") for line in lines] == [
        *(text.translate(None, b" \t\r\n") for text in taken),
        b"",
    ]
    assert rows.nbytes == sum(map(len, taken))
    return taken


def test_a_document_is_cut_into_what_it_was_put_together_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for path, body, head, elements in documents():
        for whole in (body, memoryview(body), bytearray(body)):
            found = cut(whole, path)
            assert (found.found, found.head, of(found.rows)) == (True, head, elements)
        assert cut(BOM + body, path).head == head
    monkeypatch.setattr(cutting, "compact_spans", lambda body, path: None)
    for path, body, head, elements in documents():
        found = cut(body, path)
        assert (found.found, found.head, of(found.rows)) == (True, head, elements)


@pytest.mark.parametrize(("step", "block"), [(64, 9), (10_000, 64), (5, 1 << 22), (3, 1)])
def test_a_document_in_pieces_is_cut_the_same(step: int, block: int) -> None:
    for path, body, head, elements in documents():
        cutter, found = Cutter(path, max_rows_bytes=block), []
        for start in range(0, len(body), step):
            for rows in cutter.feed(body[start : start + step]):
                taken = of(rows)
                assert taken
                assert all(
                    body[rows.base + at :].startswith(text)
                    for at, text in zip(rows.starts.tolist(), taken, strict=True)
                )
                found += taken
        assert (cutter.found, cutter.finish(), found) == (True, head, elements)


ELSEWHERE = [
    b'{"data":null}', b'{"data":{"data":[5]}}', b'{"data":"[1,2]"}', b'{"other":{"data":[1]}}',
    b'[{"data":[1]}]', b'[["data",[1]]]', b'"data"', b'{"x\\"data":[1]}', b"{}", b"7",
    b'{"data":7,"x":[1]}', b'{"x":["data",[1]]}', b'["data",{"data":[1]}]',
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "path"),
    [
        *((body, ("data",)) for body in ELSEWHERE),
        (b'{"a":[1]}', ()),
        (b'{"a":{"x":1},"c":{"b":[1]},"b":[2]}', ("a", "b")),
        (b'{"a":[{"b":[1]},{"b":[2]}]}', ("a", "b")),
        (b'{"a":["b",[1]]}', ("a", "b")),
    ],
)
def test_a_list_elsewhere_is_not_the_list_whole_or_in_pieces(
    body: bytes, path: tuple[str, ...]
) -> None:
    for text in (body, BOM + body):
        found = cut(text, path)
        assert (found.found, found.head, len(found.rows)) == (False, body, 0)
        for step in (1, 100):
            cutter = Cutter(path, max_rows_bytes=4)
            for start in range(0, len(text), step):
                assert cutter.feed(text[start : start + step]) == []
            assert (cutter.found, cutter.finish()) == (False, body)


BROKEN = [
    (b'{"data":[1,,2]}', 11), (b'{"data":[1 2]}', 11), (b'{"data":[7, 1 2]}', 14),
    (b'{"data":[1,]}', 11), (b'{"data":[,1]}', 9), (b'{"data":[,]}', 9), (b'{"data":[ , 1]}', 10),
    (b'{"data":[{},]}', 12), (b'{"data":[,{}]}', 9), (b'{"data":[{},,{}]}', 12),
    (b'{"data":[{} , ,{}]}', 14), (b'{"data":[{}{}]}', 9), (b'{"data":[{} {}]}', 9),
    (b'{"data":[1,{} {}]}', 11), (b'{"data":[{} 1,{}]}', 9), (b'{"data":[{},{} 1]}', 12),
    (b'{"data":[1 {},{}]}', 9), (b'{"data":[0,1 {},{}]}', 11), (b'{"data":["a" "b"]}', 13),
    (b'{"data":["a",tru]}', 13), (b'{"data":[{},tru]}', 12), (b'{"data":[{"a":[1}]]}', 16),
    (b'{"data":[{"a":1}}', 17), (b'{"data":[{"a":1}]}x', 18), (b'{"data":[{"a":1}]}]', 18),
    (b'{"data":[1] "b":2}', 12), (b'x{"data":[1]}', 0), (b'{"a":x,"data":[1]}', 5),
    (b'{"data":[1],"b":x}', 16), (BOM + b'{"data":[1],"b":x}', 19), (BOM + b'{"b":x}', 8),
    (b'{"data":{},"data":[2]}', 18), (b'{"data":[NaN]}', 9), (b'{"data":[{}, NaN]}', 13),
    (b'{"data":[{"aaaaaaaaaa":1}  {"b":2}]}', 9), (b'{"data":[{"aaaaaaaaaa":1}, ,{"b":2}]}', 27),
    (b'{"data":[1,2,]}', 13), (b'{"data":[{},{},]}', 15),
]  # fmt: skip


@pytest.mark.parametrize(("body", "offset"), BROKEN)
def test_what_is_broken_is_refused_at_its_place(
    body: bytes, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "compact_spans", lambda body, path: None)
    with pytest.raises(InvalidJsonError) as caught:
        cut(body, ("data",))
    assert caught.value.offset == offset
    for step, block in ((1, 1), (3, 4), (1_000, 4)):
        cutter = Cutter(("data",), max_rows_bytes=block)
        with pytest.raises(InvalidJsonError):
            for start in range(0, len(body), step):
                cutter.feed(body[start : start + step])
            cutter.finish()


NAMED_TWICE = [
    b'{"data":[1],"data":[2]}', b'{"data":[1],"d\\u0061ta":[2]}', b'{"data":null,"data":[2]}',
    b'{"data":[2],"data":7}', b'{"data":{},"data":[2]}', b'{"data":{},"data":{}}',
    b'{"data":1,"data":2}', b'{"da\\u0074a":1,"data":2}',
]  # fmt: skip


@pytest.mark.parametrize("body", NAMED_TWICE)
@pytest.mark.parametrize("outer", [False, True])
def test_a_key_of_the_path_that_stands_twice_is_refused(body: bytes, outer: bool) -> None:
    path = ("a", "data") if outer else ("data",)
    text = b'{"a":' + body + b"}" if outer else body
    with pytest.raises(InvalidJsonError, match="'data' stands twice in one object"):
        cut(text, path)
    cutter = Cutter(path)
    with pytest.raises(InvalidJsonError, match="'data' stands twice"):
        cutter.feed(text)
        cutter.finish()


def test_keys_of_the_path_elsewhere_are_no_second_ones() -> None:
    body = b'{"b":{"a":1,"b":2},"a":{"b":[1],"c":{"b":3,"\\/":1}},"c":[{"a":1},{"a":2}]}'
    assert of(cut(body, ("a", "b")).rows) == [b"1"]
    assert cut(b'{"a":{"b":1},"c":{"a":{"b":2}},"x":"\\u0041"}', ("a", "b")).found is False
    for none in (
        b'{"a":1,"c":{"a":{"b":2,"b":3}}}',
        b'{"a":{"c":{"b":1},"d":{"b":2}}}',
        b'{"x":{"a":{"b":1}},"y":{"a":{"b":2}}}',
    ):
        assert cut(none, ("a", "b")).found is False


def test_a_second_key_is_seen_with_a_slash_that_is_escaped() -> None:
    for body in (b'{"a/b":[1],"a\\/b":[2]}', b'{"a\\/b":[1],"a/b":7}'):
        with pytest.raises(InvalidJsonError, match="'a/b' stands twice"):
            cut(body, ("a/b",))


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        (b'{"a":x,"data":[1]}', 5),
        (b'{"data":[11,2],"b":x}', 19),
        (BOM + b'{"data":[11,2],"b":x}', 22),
        (b'{"data":[11,2', 13),
        (b'{"data":[11,"2', 14),
        (b'{"data":[1],"n":[', 17),
        (b'{"data":[1}}', 10),
    ],
)
def test_the_place_of_a_fault_around_the_list_is_that_in_the_whole_stream(
    body: bytes, offset: int
) -> None:
    cutter = Cutter(("data",))
    with pytest.raises(InvalidJsonError) as caught:
        for start in range(0, len(body), 5):
            cutter.feed(body[start : start + 5])
        cutter.finish()
    assert caught.value.offset == offset


def test_the_head_may_be_as_large_as_its_bound_and_not_larger() -> None:
    body = b'{"data":[1],"n":1}'
    Cutter(("data",), max_head_bytes=len(body) - 1).feed(body)
    with pytest.raises(
        HeadTooLargeError, match=r"more than 16 bytes stand outside the list at a\.b"
    ):
        Cutter(("a", "b"), max_head_bytes=16).feed(b'{"a":1,"b":12345}')
    with pytest.raises(HeadTooLargeError, match="outside the list at the top level"):
        Cutter((), max_head_bytes=2).feed(b"777")


def test_a_block_is_given_as_soon_as_it_is_full() -> None:
    cutter = Cutter((), max_rows_bytes=8)
    assert [len(rows) for rows in cutter.feed(b"[111,22,")] == []
    assert [len(rows) for rows in cutter.feed(b"3")] == [2]
    assert [len(rows) for rows in cutter.feed(b"3333333,")] == [1]
    assert [len(rows) for rows in cutter.feed(b"4]")] == [1]
    assert len(Cutter((), max_rows_bytes=8).feed(b"[" + b"1," * 50 + b"1]")) > 5


# --- rows -------------------------------------------------------------------------------------


def rows_of(*elements: str) -> Rows:
    return cut(f"[{','.join(elements)}]".encode(), ()).rows


def test_pieces_are_as_large_as_they_may_be() -> None:
    rows = rows_of("1", "22", "333", "4444", "55555", "6")

    def sizes(max_bytes: int, until: int | None = None) -> list[tuple[int, int]]:
        return [(start, len(piece)) for start, piece in rows.pieces(max_bytes, until)]

    assert sizes(100) == sizes(16) == [(0, 6)]
    assert sizes(15) == [(0, 4), (4, 2)]
    assert sizes(7)[0] == (0, 3)
    assert sizes(6) == [(0, 2), (2, 1), (3, 1), (4, 1), (5, 1)]
    assert sizes(1) == [(n, 1) for n in range(6)]
    assert sizes(6, 3) == [(0, 3)]
    assert sizes(5, 3) == [(0, 2), (2, 1)]
    assert sizes(100, 0) == sizes(0, 0) == []


def test_a_raw_break_is_refused_in_a_string_and_a_blank_elsewhere() -> None:
    assert rows_of('{"a":\r\n1}', "[\n]").ndjson() == b'{"a":  1}\n[ ]\n'
    for text in ('"a\nb"', '"a\rb"'):
        with pytest.raises(InvalidJsonError, match="newline inside a string") as caught:
            rows_of("{}", f"[{text}]").ndjson()
        assert caught.value.offset == 1


def test_spans_are_trimmed_and_those_of_blanks_become_empty() -> None:
    text = f"{LONG}a b{LONG},{LONG},x,,\t\r\n 1 \n".encode()
    edges = [-1, *(i for i, byte in enumerate(text) if byte == ord(",")), len(text)]
    starts, ends = trimmed(
        np.frombuffer(text, np.uint8), np.array(edges[:-1]) + 1, np.array(edges[1:])
    )
    found = [text[a:b] for a, b in zip(starts, ends, strict=True)]
    assert found == [b"a b", b"", b"x", b"", b"1"]
    assert (starts <= ends).all()
