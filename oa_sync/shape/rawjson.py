"""JSON values together with the exact text they were written in.

The C scanner of `json` reads the values and says where each ends; only the steps between members
are Python. A value nested deeper than its stack is skipped by a loop over brackets, so the depth of
a document costs no stack. Integers of thousands of digits are read as infinity: only their text counts.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple

_BLANK = re.compile(r"[ \t\n\r]*")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _integer(digits: str) -> int | float:
    # Beyond 64 bits only the text counts, and CPython refuses to read thousands of digits.
    return int(digits) if len(digits) < 40 else math.inf


_DECODER = json.JSONDecoder(parse_constant=_refuse)
_LENIENT = json.JSONDecoder(parse_constant=_refuse, parse_int=_integer)


class Value(NamedTuple):
    """A decoded value and the place of its text: `text[start:end]`.

    An object or list too deep to decode is replaced by a placeholder: one of its kind, not empty.
    """

    value: Any
    start: int
    end: int


def value_at(text: str, start: int) -> Value:
    """The value at `start`, or after the blanks there. Raises ValueError."""
    start = _blank(text, start)
    try:
        return Value(*_at(_DECODER, text, start))
    except RecursionError:
        return Value({"": 0} if text[start] == "{" else [0], start, _end(text, start))
    except json.JSONDecodeError:
        raise
    except ValueError:
        return Value(*_at(_LENIENT, text, start))


def _at(decoder: json.JSONDecoder, text: str, start: int) -> tuple[Any, int, int]:
    value, end = decoder.raw_decode(text, start)
    return value, start, end


def members(text: str, start: int) -> Iterator[tuple[str, Value]]:
    """The members of the object at `start`, as they stand there."""
    position = _blank(text, start + 1)
    while text[position] != "}":
        key, position = scanstring(text, position + 1, True)
        value = value_at(text, _blank(text, position) + 1)
        yield key, value
        position = _past_comma(text, value.end)


def elements(text: str, start: int) -> Iterator[Value]:
    """The elements of the list at `start`."""
    position = _blank(text, start + 1)
    while text[position] != "]":
        value = value_at(text, position)
        yield value
        position = _past_comma(text, value.end)


def _blank(text: str, position: int) -> int:
    return _BLANK.match(text, position).end()  # type: ignore[union-attr]


def _past_comma(text: str, position: int) -> int:
    position = _blank(text, position)
    return _blank(text, position + 1) if text[position] == "," else position


def _end(text: str, start: int) -> int:
    """The end of the object or list at `start`, found by counting brackets."""
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text, start):
        if token[0] in ("{", "["):
            depth += 1
        elif token[0] in ("}", "]"):
            depth -= 1
            if depth == 0:
                return token.end()
    raise ValueError("the text ends inside an object or list")
