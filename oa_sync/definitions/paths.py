"""Paths into JSON: dotted everywhere, with the part of JSONPath that dlt's users write.

`a.b` is the key `b` of the object at `a`. `$` is the whole value and may lead (`$.a.b`). A key that
holds a dot stands in brackets and quotes: `a['b.c']`. A closing `[*]` (dlt: "the items of that
list") is accepted and changes nothing, because a list is always taken with all its items. Indices,
filters, slices and `..` are refused: no word of a definition needs one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

_STEP = re.compile(
    r"""
    (?: (?P<dot>\.)? (?P<name>[^.\[\]'"\s]+(?:\ +[^.\[\]'"\s]+)*) )   # name, or one with blanks
    | \[ (?: '(?P<single>[^']+)' | "(?P<double>[^"]+)" ) \]           # ['a.b']
    """,
    re.VERBOSE,
)


class _Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING = _Missing()
"""What `select` gives for a path that is not there, as opposed to one that holds null."""


@lru_cache(maxsize=1024)
def parse_path(path: str) -> tuple[str, ...]:
    """The keys that `path` goes through, outermost first; `()` for `$`.

    Raises ValueError, with a text that never repeats the path, for anything outside the grammar.
    """
    text = path.strip()
    if not text:
        raise ValueError("an empty path; write $ for the whole value")
    text = text.removesuffix("[*]")
    rooted = text.startswith("$") and text[1:2] in ("", ".", "[")
    position = 1 if rooted else 0
    keys: list[str] = []
    while position < len(text):
        step = _STEP.match(text, position)
        # The first key stands without a dot, every later one behind a dot or in brackets.
        first = position == 0
        if step is None or (step["name"] and bool(step["dot"]) == first):
            raise ValueError("not a path; write keys with dots between them, like a.b or a['b.c']")
        if step["name"] in ("*", "$"):
            raise ValueError("* and $ may only close and open a path; write keys with dots between")
        keys.append(step["name"] or step["single"] or step["double"])
        position = step.end()
    return tuple(keys)


def format_path(keys: tuple[str, ...]) -> str:
    """The text of a path: the inverse of `parse_path` for any keys without a quote in them."""
    parts: list[str] = []
    for key in keys:
        if re.fullmatch(r"[^.\[\]'\"\s*$]+", key):
            parts.append(f".{key}" if parts else key)
        else:
            parts.append(f"['{key}']")
    return "".join(parts) or "$"


def select(data: Any, path: str, default: Any = MISSING) -> Any:
    """The value at `path` in `data`, or `default` where a key on the way is absent.

    Null counts as a value. Lists are not descended into: a path ends at a list or passes objects.
    """
    for key in parse_path(path):
        if not isinstance(data, Mapping) or key not in data:
            return default
        data = data[key]
    return data


def spelled(value: Any) -> str:
    """A JSON scalar as text: a string is its own text, a number its digits, a truth value `true` or `false`.

    So `7` and `"7"` have one text. NUL, which not every destination can store, becomes U+FFFD.
    """
    if isinstance(value, str):
        return value.replace("\0", "\ufffd") if "\0" in value else value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    return orjson.dumps(value).decode()
