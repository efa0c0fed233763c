"""JSON text: fast where it can be, exact where it must be (integers of any size, lone surrogates)."""

from __future__ import annotations

import json
from typing import Any

import orjson


def encode(value: Any) -> bytes:
    """`value` as compact JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def decode(text: bytes) -> Any:
    """The value of a JSON text, integers beyond 64 bits kept exact. ValueError when it is none."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
