"""Placeholders in paths: `{name}`, with `{{` and `}}` for literal braces, as in dlt."""

from __future__ import annotations

import string
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from oa_sync.definitions.paths import select, spelled


def placeholders(template: str) -> tuple[str, ...]:
    """The names in braces in `template`, in order.

    Raises ValueError for unbalanced braces, a format (`{id:>10}`) or an empty name.
    """
    return tuple(name for _, name in _pieces(template) if name is not None)


def literal(template: str) -> str:
    """`template` with doubled braces made single; ValueError if it holds a placeholder."""
    pieces = _pieces(template)
    if any(name is not None for _, name in pieces):
        raise ValueError("a placeholder where plain text is expected")
    return "".join(text for text, _ in pieces)


def bind(template: str, name: str, value: str) -> str:
    """`template` with the placeholder `name` replaced by `value` for good, as literal text."""
    bound: list[str] = []
    for text, found in _pieces(template):
        bound.append(_escaped(text))
        if found is not None:
            bound.append(_escaped(value) if found == name else f"{{{found}}}")
    return "".join(bound)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def fill_path(template: str, values: Mapping[str, Any]) -> str:
    """`template` with every `{name}` replaced by `values[name]`, else by the value at that path.

    Values come from the API, so each is percent-encoded whole and can neither add a path segment
    nor climb out of one. Raises ValueError naming the placeholder whose value is absent, empty,
    a dot segment, or neither text nor number.
    """
    filled: list[str] = []
    for text, name in _pieces(template):
        filled.append(text)
        if name is not None:
            value = values[name] if name in values else select(values, name)
            if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
                raise ValueError(f"{{{name}}} has no text or number to put into the path")
            written = value if isinstance(value, str) else spelled(value)
            if written in ("", ".", ".."):
                raise ValueError(f"{{{name}}} is empty or a dot segment: {written!r}")
            filled.append(quote(written, safe="", errors="surrogatepass"))
    return "".join(filled)


def _pieces(template: str) -> list[tuple[str, str | None]]:
    pieces: list[tuple[str, str | None]] = []
    for text, name, form, conversion in string.Formatter().parse(template):
        if name is not None and (not name or form or conversion):
            raise ValueError("a placeholder is a name in braces and nothing else")
        pieces.append((text, name))
    return pieces
