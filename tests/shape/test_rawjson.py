"""Values with the exact text they were written in, at any depth and with any number."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.shape.json_text import decode
from oa_sync.shape.rawjson import elements, members, value_at

DEEP = 5_000
LONG = "1" * 5_000
"""More digits than CPython reads."""
BLANKS = ["", " ", "\n\t ", "\r"]
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=12,
)


def spaced(value: Any, blank: str) -> str:
    """`value` as JSON with `blank` wherever JSON allows it."""
    if isinstance(value, dict):
        inside = [f"{json.dumps(k)}{blank}:{spaced(v, blank)}" for k, v in value.items()]
        return f"{blank}{{{blank}{','.join(inside)}{blank}}}{blank}"
    if isinstance(value, list):
        inside = [spaced(v, blank) for v in value]
        return f"{blank}[{blank}{','.join(inside)}{blank}]{blank}"
    return f"{blank}{json.dumps(value)}{blank}"


@given(st.dictionaries(st.text(), documents), st.sampled_from(BLANKS))
def test_members_are_given_with_their_texts_however_they_are_spaced(
    row: dict[str, Any], blank: str
) -> None:
    text = spaced(row, blank)
    found = dict(members(text, text.index("{")))
    assert {key: value.value for key, value in found.items()} == row
    assert {key: json.loads(text[v.start : v.end]) for key, v in found.items()} == row
    assert all(text[v.start : v.end].strip() == text[v.start : v.end] for v in found.values())


@given(st.lists(documents), st.sampled_from(BLANKS))
def test_elements_are_given_with_their_texts_however_they_are_spaced(
    row: list[Any], blank: str
) -> None:
    text = spaced(row, blank)
    found = list(elements(text, text.index("[")))
    assert [value.value for value in found] == row
    assert [json.loads(text[value.start : value.end]) for value in found] == row


def test_of_a_key_that_stands_twice_the_last_one_counts() -> None:
    assert dict(members('{"a":1,"a":2}', 0))["a"] == (2, 11, 12)


@pytest.mark.parametrize("text", ["nope", "{", "[1,", '{"a"}', "NaN", "-Infinity", '"\n"', ""])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        value_at(text, 0)


def test_an_integer_of_thousands_of_digits_is_infinite_and_those_beside_it_are_read() -> None:
    """Its text is what counts."""
    text = f"[7,-8,{LONG},{2**64}]"
    value, start, end = value_at(text, 0)
    assert value == [7, -8, math.inf, 2**64]
    assert all(type(one) is int for one in (value[0], value[1], value[3]))
    assert text[start:end] == text
    assert decode(text.encode()) == [7, -8, Decimal(LONG), 2**64]


@pytest.mark.parametrize(
    ("text", "kind"),
    [('{"a":' * DEEP + "1" + "}" * DEEP, dict), ("[" * DEEP + '"]"' + "]" * DEEP, list)],
    ids=["object", "list"],
)
def test_a_value_too_deep_to_decode_is_one_of_its_kind_that_is_not_empty(
    text: str, kind: type
) -> None:
    value, start, end = value_at(" " + text + " ,", 0)
    assert type(value) is kind
    assert value
    assert (start, end) == (1, 1 + len(text))


@pytest.mark.parametrize("text", ["[" * DEEP, "[" * DEEP + "]" * (DEEP - 1), '{"a":' * DEEP])
def test_a_deep_value_that_is_cut_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the text ends inside"):
        value_at(text, 0)
