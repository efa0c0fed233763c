"""Keys and structural bytes found by their bits, next to the same found by a plain search, at every shift of a word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
import pytest

from oa_sync.shape.cutting import outline as outlines
from oa_sync.shape.cutting.keys import Keys, as_written, ends_with_key, longest_written
from oa_sync.shape.cutting.outline import outline
from oa_sync.shape.cutting.structure import InvalidJsonError

KEYS = [
    "a", "b", "ba", 'q"', "back\\", "/", "é/n", "😀", "😀😀", "", "0123456789", "x0123456789", "n n",
]  # fmt: skip
WRITTEN = [
    '"a"', '"b"', '"ba"', '"q\\""', '"back\\\\"', '"/"', '"\\/"', '"é/n"', '"é\\/\\u006e"', '"😀"',
    '"\\ud83d\\ude00"', '"\\uD83D\\uDE00"', '"\\u0061"', '"\\u0062\\u0061"', '""', '"0123456789"',
    '"\\ud83d\\ude00\\ud83d\\ude00"', '"x\\"\\ud83d\\ude00"', '"x0123456789"', '"n n"', '"\\\\\\"a"', '"a:"', '"\\u003a"',
]  # fmt: skip
VALUES = ["1", '"a"', '"\\"a\\":"', "{}", '[{"a":1},"a"]', '{"ba":[{"b":{"a":2}}]}', '"x:,{"', "[]"]
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]', re.DOTALL)


def rows() -> Iterator[bytes]:
    """A row for each way to write a key, before and behind blanks, at some distance from the begin of the text."""
    for number, key in enumerate(WRITTEN):
        value, other = VALUES[number % len(VALUES)], VALUES[(number + 3) % len(VALUES)]
        for gap in ("", " ", "\n\t  "):
            yield f'{{{key}{gap}:{gap}{value},"zz":{other}}}'.encode()
            yield f'{{"zz":{{{key}{gap}:{value}}}{gap},{gap}"z z":[{value}]}}'.encode()


def texts() -> Iterator[bytes]:
    every = list(rows())
    for number, row in enumerate(every):
        yield row
        yield b" " * (number % 67) + row + b"\n" + every[-number - 1]
    yield b"\n".join(every)
    for shift in range(9):
        yield b" " * shift + b'{"a":1}'
        yield b" " * shift + b'{"":1}'
    yield from (b"", b" ", b"7", b'"a"')


def expected(text: bytes, key: str) -> list[tuple[int, int]]:
    """The colons after that key, and how many containers are around them."""
    found, depth, before = [], 0, b""
    for token in TOKEN.finditer(text):
        if token[0] in b"{[":
            depth += 1
        elif token[0] in b"}]":
            depth -= 1
        elif token[0] == b":" and json.loads(before) == key:
            found.append((token.start(), depth))
        before = token[0]
    return found


@pytest.mark.parametrize("block", [64, 1 << 18])
def test_the_colons_after_each_key_however_it_is_written(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlines, "BLOCK", block)
    last = {as_written(key)[-2] for key in KEYS}
    for text in texts():
        keys = Keys(outline(np.frombuffer(text, np.uint8), last))
        for key in KEYS:
            colons, levels = keys.colons_after(key)
            assert list(zip(colons.tolist(), levels.tolist(), strict=True)) == expected(text, key)
            assert keys.colons_after(key)[0] is colons


@pytest.mark.parametrize("block", [64, 1 << 18])
def test_one_key_alone_is_found_among_others(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlines, "BLOCK", block)
    for key in KEYS:
        for text in list(texts())[-5:]:
            found = outline(np.frombuffer(text, np.uint8), {as_written(key)[-2]})
            assert Keys(found).colons_after(key)[0].tolist() == [
                at for at, _ in expected(text, key)
            ]


@pytest.mark.parametrize("block", [64, 1 << 18])
def test_the_next_structural_byte_from_anywhere(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlines, "BLOCK", block)
    far = b'{"a":"' + b"x" * 300 + b'"}' + b" " * 200 + b"{}" + b" " * 130
    for text in (*list(texts())[:9], far, b" " * 70, b'["' + b"]" * 70 + b'"]'):
        stops = [t.start() for t in TOKEN.finditer(text) if not t[0].startswith(b'"')]
        at = np.arange(len(text))
        nearest = [next((s for s in stops if s >= place), len(text)) for place in at.tolist()]
        found = outline(np.frombuffer(text, np.uint8), {ord("a")})
        assert found.next_stop(at).tolist() == nearest


def test_a_colon_outside_of_everything_is_after_no_key() -> None:
    for text in (b' "a":1', b' "a":1 {"b":2}'):
        found = Keys(outline(np.frombuffer(text, np.uint8), {ord("a")})).colons_after("a")
        assert [part.tolist() for part in found] == [[], []]


def test_fewer_colons_are_looked_at_than_there_are() -> None:
    text = b'{"a":1,"b":2,"c" :3,"\\u0061":4,"\\n":5,"d":6}' * 3
    found = outline(np.frombuffer(text, np.uint8), {ord("a")})
    places = [i for i in range(len(text)) if text[i : i + 1] == b":"]
    wanted = [i for i in places if text[i + 1 : i + 2] in (b"1", b"3", b"4")]
    assert found.colons.tolist() == wanted
    assert found.escaped.tolist() == [i for i in places if text[i + 1 : i + 2] == b"4"]


def test_an_escape_at_the_border_of_a_block_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlines, "BLOCK", 64)
    for shift in range(70):
        text = b" " * shift + b'{"\\u0061":1,"\\/":2}'
        found = outline(np.frombuffer(text, np.uint8), {ord("x")})
        assert found.escaped.tolist() == [shift + 9, shift + 16]


@pytest.mark.parametrize(
    ("text", "offset"),
    [(b'{"a":[1}', 8), (b'{"a":[1}]', 7), (b'{"a":1', 6), (b'{"a":"x}', 8), (b'{"a"|1}', 4)],
)
def test_what_does_not_pair_is_refused(text: bytes, offset: int) -> None:
    with pytest.raises(InvalidJsonError) as caught:
        outline(np.frombuffer(text, np.uint8), {ord("a")})
    assert caught.value.offset == offset


@pytest.mark.parametrize("key", KEYS)
def test_a_text_ends_with_a_key_or_does_not(key: str) -> None:
    plain, escaped = as_written(key), json.dumps(key).encode()
    points = "".join(f"\\u{ord(letter):04x}" for letter in key if letter < "\ud800")
    for written in (plain, escaped, *([f'"{points}"'.encode()] if "😀" not in key else [])):
        assert len(written) <= longest_written(key)
        assert ends_with_key(written, key)
        assert ends_with_key(b'{"x":1,' + written, key)
        assert not ends_with_key(written[1:], key)
        assert not ends_with_key(written[:-1] + b'x"', key)
    assert not ends_with_key(b"", key)
    assert not ends_with_key(b'"\\q"', key)
