"""The structural index finds exactly the brackets, colons and commas outside strings."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.shape.cutting import structure
from oa_sync.shape.cutting.structure import (
    InvalidJsonError,
    Scanner,
    Structure,
    index,
    levels_of,
)
from tests.support.json_texts import values, whitespace

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]', re.DOTALL)


def _expected(text: bytes) -> list[tuple[int, int, int]]:
    entries, depth = [], 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token in b"}]":
            depth -= 1
        if not token.startswith(b'"'):
            entries.append((match.start(), token[0], depth))
        if token in b"{[":
            depth += 1
    return entries


def _entries(found: Structure) -> list[tuple[int, int, int]]:
    return list(
        zip(found.positions.tolist(), found.kinds.tolist(), found.levels.tolist(), strict=True)
    )


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    return (draw(whitespace) + draw(values) + draw(whitespace)).encode()


@given(documents())
def test_every_structural_byte_outside_strings_is_found_with_its_level(text: bytes) -> None:
    assert _entries(index(text)) == _expected(text)


@given(st.lists(documents(), min_size=1, max_size=4), st.booleans(), st.data())
def test_pieces_cut_anywhere_give_the_same_structure(
    texts: list[bytes], separators: bool, data: st.DataObject
) -> None:
    text = b"\n".join(texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    scanner = Scanner(separators=separators)
    parts = [
        scanner.scan(np.frombuffer(text[start:stop], np.uint8))
        for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True)
    ]
    scanner.finish()
    expected = [e for e in _expected(text) if separators or chr(e[1]) in "{}[]"]
    assert _entries(Structure.concat(parts)) == expected


@given(documents())
def test_blocks_of_any_size_give_the_same_structure(text: bytes) -> None:
    whole = _expected(text * 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structure, "BLOCK", 64)
        assert _entries(index(text * 3)) == whole


@pytest.mark.parametrize("slashes", range(9))
@pytest.mark.parametrize("before", [0, 1, 59, 60, 61, 62, 63, 64])
def test_runs_of_backslashes_over_word_borders(slashes: int, before: int) -> None:
    text = b'["' + b"x" * before + b"\\" * slashes + b'"' + b'",[]' * (slashes % 2) + b"]"
    if slashes % 2 == 0:
        assert _entries(index(text)) == _expected(text)
    else:
        assert index(text).kinds.tolist() == list(b"[,[]]")


@pytest.mark.parametrize("depth", [200, 255, 256, 300, 5_000])
def test_any_depth_is_counted(depth: int) -> None:
    found = index(b"[" * depth + b"]" * depth)
    assert found.levels.tolist() == [*range(depth), *reversed(range(depth))]


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        (b'{"a":[1,2}', 10),
        (b'{"a":[1,2}]', 9),
        (b"[[]]]", 4),
        (b"]", 0),
        (b'["abc', 5),
        (b'["abc\\"]', 8),
        (b"[1,2", 4),
        (b"[1,\\n2]", 3),
        (b"[1|2]", 2),
        (b'[{"a":{}],"b":[}]', 8),
    ],
)
def test_broken_structure_is_refused_at_its_offset(text: bytes, offset: int) -> None:
    with pytest.raises(InvalidJsonError) as caught:
        index(text)
    assert caught.value.offset == offset
    assert f"byte {offset}" in str(caught.value)


def test_an_empty_text_has_no_structure() -> None:
    assert len(index(b"")) == 0
    assert len(index(b'"only {a} string"')) == 0


def test_entries_are_sliced_joined_and_told_apart() -> None:
    whole = index(b'[{"a":1},2]')
    assert _entries(whole.slice(1, 3)) == [(1, ord("{"), 1), (5, ord(":"), 2)]
    assert _entries(whole.slice(4)) == [(8, ord(","), 1), (10, ord("]"), 0)]
    assert _entries(Structure.concat([whole.slice(0, 2), whole.slice(2)])) == _entries(whole)
    assert _entries(Structure.concat([whole])) == _entries(whole)
    assert _entries(Structure.concat([])) == []
    assert whole.is_open().tolist() == [True, True, False, False, False, False]
    assert whole.is_bracket().tolist() == [True, True, False, True, False, True]


def test_a_text_that_ends_in_a_string_is_told_so() -> None:
    for text in (b'"abc', b'["abc', b'[1] "'):
        with pytest.raises(InvalidJsonError, match="ends inside a string"):
            index(text)


@pytest.mark.parametrize("before", [0, 1, 230, 231, 232, 238, 239, 240, 247, 248, 255, 1_000])
def test_levels_are_counted_on_from_any_depth(before: int) -> None:
    for text in (b"[" * 17 + b"]" * 17, b"[[],{},[[]]]" * 3, b"[" * 40, b"]" * min(before, 9), b""):
        depth, expected = before, []
        for kind in text:
            depth -= kind in b"]}"
            expected.append(depth)
            depth += kind in b"[{"
        at = np.arange(len(text), dtype=np.int64)
        levels, after = levels_of(at, np.frombuffer(text, np.uint8), before)
        assert levels.tolist() == expected
        assert after == depth


@pytest.mark.parametrize("before", [0, 1, 5, 7, 8, 9, 16, 250])
def test_one_bracket_too_many_is_noticed_at_any_depth(before: int) -> None:
    text = b"[]" * 4 + b"]" * (before + 1) + b"["
    with pytest.raises(InvalidJsonError) as caught:
        levels_of(np.arange(len(text), dtype=np.int64), np.frombuffer(text, np.uint8), before)
    assert caught.value.offset == 8 + before


@pytest.mark.parametrize("depth", [1, 2, 19, 20, 21, 22, 30])
def test_brackets_of_two_kinds_do_not_pair_at_any_depth(depth: int) -> None:
    index(b"[" * depth + b"]" * depth + b"{}")
    for wrong in range(depth):
        text = bytearray(b"[" * depth + b"]" * depth)
        text[depth + wrong] = ord("}")
        with pytest.raises(
            InvalidJsonError, match="'}' closes a bracket of another kind"
        ) as caught:
            index(bytes(text))
        assert caught.value.offset == depth + wrong
