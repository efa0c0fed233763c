"""The one door for JSON that a server wrote: every answer, row and callback is read here.

Two ways lead through it, with the same values. The quick one is msgspec's decoder. It takes what RFC 8259 allows,
but no text with a fault, no number outside the doubles and no deep nesting. What it refuses goes the tolerant way.

What the tolerant way makes of texts that are no strict JSON (`mended`), in the spirit of RFC 8259, section 9 ("a
parser MAY accept non-JSON forms"):

- half a surrogate pair (JavaScript writes one where it cuts a text inside an emoji) and bytes that are not
  UTF-8 become U+FFFD;
- `NaN`, `Infinity` and `-Infinity` become null, as `JSON.stringify` writes them;
- control characters inside a string become their escapes;
- a byte order mark in front is left out.

What RFC 8259 leaves open: of a key that stands twice in one object the last one counts; numbers are exact if they
are integers or outside the doubles, else the nearest double; nesting may have any depth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
import orjson

from oa_sync.shape.cutting.spans import is_utf8
from oa_sync.shape.cutting.structure import InvalidJsonError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
REPLACEMENT = "\ufffd"
_REPLACEMENTS = (REPLACEMENT.encode(), b"null")

_QUICK = msgspec.json.Decoder()
_LINES = msgspec.json.Decoder(msgspec.Raw)
_MOST_DIGITS = 4_000
"""CPython makes no integer of a text with more digits than 4,300."""

_STRING = r'"(?:[^"\\]++|\\.)*+"'
_STRING_OR_CONSTANT = re.compile(rf"{_STRING}|-?\b(?:NaN|Infinity)\b", re.DOTALL)
_NEEDS_CARE = re.compile(r"\\u[dD]|[\x00-\x1f]")
_ESCAPE_OR_CONTROL = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\."
    r"|([\x00-\x1f])",
    re.DOTALL,
)
_TOKEN = re.compile(
    rf"[ \t\n\r]*(?:([\[{{\]}},:])|({_STRING})|(-?\d[0-9.eE+-]*)|(true|false|null)|$)", re.DOTALL
)


def decode(text: bytes | memoryview) -> Any:
    """The value of `text`. A number that no double comes near is a `Decimal`.

    Raises:
        InvalidJsonError: it is not JSON, even when it is mended.
    """
    try:
        return _QUICK.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return decode_strict(mended(text))


def decode_strict(text: bytes) -> Any:
    """As `decode`, but nothing is mended, except that half a surrogate pair passes.

    Raises:
        InvalidJsonError: it is not JSON by RFC 8259.
    """
    try:
        return _QUICK.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        written = text.decode()
    except UnicodeDecodeError as error:
        raise InvalidJsonError("not UTF-8", error.start) from None
    try:
        try:
            return _EXACT.decode(written)
        except RecursionError:
            return _deep(written)
    except json.JSONDecodeError as error:
        raise InvalidJsonError(error.msg, len(error.doc[: error.pos].encode())) from None


def canonical(value: Any) -> bytes:
    """`value` as JSON with sorted keys: equal content gives equal bytes, whatever order its keys came in.

    It is for hashes and comparisons. Values that came from `decode` never fail here.
    """
    return _written(value, orjson.OPT_SORT_KEYS)


def encode(value: Any) -> bytes:
    """`value` as JSON, its keys in their order."""
    return _written(value, 0)


def is_strict(text: bytes | memoryview) -> bool:
    """Whether `text`, one JSON value a line, needs no mending. Costs about a second for a gigabyte."""
    try:
        _LINES.decode_lines(text)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return is_utf8(bytes(text))


def mended(text: bytes | memoryview) -> bytes:
    """`text` as strict JSON in UTF-8, as far as it can be mended (see the module)."""
    written = bytes(text).removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace")
    return _STRING_OR_CONSTANT.sub(_mended_token, written).encode()


def mended_lines(ndjson: bytes) -> tuple[bytes, list[int]]:
    """`ndjson` (one JSON value a line) with each line mended that needs it, and the numbers of those in which
    something was replaced."""
    if is_strict(ndjson):
        return ndjson, []
    lines = ndjson.split(b"\n")
    changed = []
    for number, line in enumerate(lines):
        if not is_strict(line) and (whole := mended(line)) != line:
            lines[number] = whole
            if any(whole.count(mark) > line.count(mark) for mark in _REPLACEMENTS):
                changed.append(number)
    return b"\n".join(lines), changed


# -- mending ------------------------------------------------------------------------------------


def _mended_token(token: re.Match[str]) -> str:
    text = token[0]
    if text[0] != '"':
        return "null"
    return _ESCAPE_OR_CONTROL.sub(_mended_character, text) if _NEEDS_CARE.search(text) else text


def _mended_character(found: re.Match[str]) -> str:
    if found[1]:
        return REPLACEMENT
    return f"\\u{ord(found[2]):04x}" if found[2] else found[0]


# -- without mending ----------------------------------------------------------------------------


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _MOST_DIGITS else Decimal(digits)


def _number(text: str) -> float | Decimal:
    """The nearest double; a number beyond the doubles is exact, up to exponents of 18 digits."""
    value = float(text)
    if value - value == 0:
        return value
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal(value)


def _refuse(constant: str) -> Any:
    raise json.JSONDecodeError(f"{constant} is not a JSON value", constant, 0)


_EXACT = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_refuse)


def _deep(text: str) -> Any:
    """The value of a text that is nested too deep for a recursive reader. Its depth costs no stack."""
    root: list[Any] = []
    inside: list[Any] = [root]
    key: str | None = None
    comes = "value"
    for kind, token, position in _tokens(text):
        here = inside[-1]
        if comes == "end" and here is root:
            raise InvalidJsonError("more than one value", position)
        if kind == "text" and comes in ("key", "key or }"):
            key, comes = json.loads(token), ":"
        elif token in ("]", "}"):
            closes = comes == "end" or comes == f"value or {token}" or comes == f"key or {token}"
            if not closes or (token == "]") != isinstance(here, list):
                raise InvalidJsonError(f"{token!r} closes nothing", position)
            inside.pop()
            comes = "end"
        elif token == "," and comes == "end":
            comes = "value" if isinstance(here, list) else "key"
        elif token == ":" and comes == ":":
            comes = "value"
        elif comes.startswith("value") and token not in (",", ":"):
            value: Any = {"[": [], "{": {}}.get(token) if kind == "sign" else _EXACT.decode(token)
            if isinstance(here, list):
                here.append(value)
            else:
                here[key] = value
            comes = "end"
            if kind == "sign":
                inside.append(value)
                comes = "value or ]" if token == "[" else "key or }"
        else:
            raise InvalidJsonError(f"{token[:20]!r} where a {comes} comes", position)
    if len(inside) > 1:
        raise InvalidJsonError("the text ends too early", len(text))
    return root[0]


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise InvalidJsonError("no JSON value", position)
        kind = found.lastindex
        if kind is not None:
            names = ("sign", "text", "number", "word")
            yield names[kind - 1], found[kind], found.start(kind)
        position = found.end()


# -- writing ------------------------------------------------------------------------------------


def _written(value: Any, option: int) -> bytes:
    try:
        return orjson.dumps(value, option=option)
    except TypeError:  # an integer beyond 64 bits, a Decimal, or more than 254 levels
        return "".join(_pieces(value, bool(option))).encode()


def _pieces(value: Any, is_sorted: bool) -> Iterator[str]:
    """The pieces of `value` as JSON. Its depth costs no stack."""
    todo: list[tuple[bool, Any]] = [(False, value)]
    while todo:
        is_text, one = todo.pop()
        if is_text:
            yield one
        elif isinstance(one, dict):
            parts: list[tuple[bool, Any]] = []
            for key, inner in sorted(one.items()) if is_sorted else one.items():
                parts += [(True, "," if parts else "{"), (True, f"{_scalar(key)}:"), (False, inner)]
            todo += [(True, "}" if parts else "{}"), *reversed(parts)]
        elif isinstance(one, list):
            parts = []
            for inner in one:
                parts += [(True, "," if parts else "["), (False, inner)]
            todo += [(True, "]" if parts else "[]"), *reversed(parts)]
        else:
            yield _scalar(one)


def _scalar(value: Any) -> str:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    return orjson.dumps(value).decode()
