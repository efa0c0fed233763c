"""JSON documents as bytes, written in every legal way: for tests of what reads bytes, not values."""

from __future__ import annotations

import json
from collections.abc import Callable

from hypothesis import strategies as st

JsonText = st.SearchStrategy[str]

whitespace = st.sampled_from(["", "", "", " ", "\n", "\r\n", "\t  ", "    "])

# Text that looks like structure, quotes, escapes, and characters of two to four bytes.
_tricky = st.text(st.sampled_from('"\\{}[]:,/ \n\tnué€😀0eE.-'), max_size=12)
_any_text = _tricky | st.text(max_size=8)
_numbers = st.one_of(
    st.integers(-(10**25), 10**25).map(str),
    st.sampled_from(["0", "-0", "1e5", "-2.5E-3", "0.1", "1E+400", "123456789012345678901.5"]),
    st.floats(allow_nan=False, allow_infinity=False).map(json.dumps),
)


@st.composite
def strings(draw: st.DrawFn, values: st.SearchStrategy[str] | None = None) -> str:
    r"""A string literal: raw or escaped Unicode, `\/`, and a `\u` escape for plain letters."""
    text = draw(_any_text if values is None else values)
    literal = json.dumps(text, ensure_ascii=draw(st.booleans()))
    style = draw(st.sampled_from(["plain", "plain", "slash", "letters"]))
    if style == "slash":
        return literal.replace("/", "\\/")
    if style == "letters" and "\\" not in literal:
        return '"' + "".join(f"\\u{ord(c):04x}" if c in "an" else c for c in literal[1:-1]) + '"'
    return literal


scalars = st.one_of(st.sampled_from(["null", "true", "false"]), _numbers, strings())


@st.composite
def list_of(draw: st.DrawFn, elements: JsonText, max_size: int = 5) -> str:
    """A list of such elements, with whitespace in any place."""
    parts = draw(st.lists(st.tuples(whitespace, elements, whitespace), max_size=max_size))
    return "[" + (",".join("".join(part) for part in parts) or draw(whitespace)) + "]"


@st.composite
def object_of(
    draw: st.DrawFn,
    values: Callable[[str], JsonText] | JsonText,
    keys: st.SearchStrategy[str] | None = None,
    max_size: int = 5,
) -> str:
    """An object without a key that stands twice; `values` may depend on the key."""
    names = draw(st.lists(_tricky if keys is None else keys, max_size=max_size, unique=True))
    parts = []
    for name in names:
        value = draw(values(name) if callable(values) else values)
        key = draw(strings(st.just(name)))
        gaps = [draw(whitespace) for _ in range(4)]
        parts.append(f"{gaps[0]}{key}{gaps[1]}:{gaps[2]}{value}{gaps[3]}")
    return "{" + (",".join(parts) or draw(whitespace)) + "}"


values: JsonText = st.recursive(
    scalars, lambda inner: list_of(inner, 4) | object_of(inner, max_size=4), max_leaves=12
)


def exactly(text: str | bytes) -> object:
    """The value with its numbers as they were written: nothing is rounded away."""
    return json.loads(text, parse_float=str, parse_int=str)
