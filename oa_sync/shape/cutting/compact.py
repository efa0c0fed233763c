"""The quick way into a document of ordinary size: msgspec says where the elements of a list stand.

NumPy walks through a large text at the speed of memory, but its dozens of calls cost a millisecond even
where the text has a hundred bytes. msgspec has one call, and an object for each element: for a document of
20 elements 0.02 ms, for one of 5,000 in 0.9 MB the same time as NumPy, with one wait for the interpreter
instead of dozens.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from oa_sync.shape.cutting.bits import CLOSE_LIST, OPEN_LIST, Index
from oa_sync.shape.cutting.head import Path, Text

MOST_BYTES = 1 << 20
"""Beyond it, a list of nothing but digits would make objects of tens of megabytes."""

_BLANKS = b" \t\r\n"


def compact_spans(body: bytes, path: Path) -> tuple[Index, Index] | None:
    """Where each element of the list at `path` starts and ends in `body`, and an element is there.

    None where this cannot tell: `body` is large, or not JSON to the last byte, the path leads elsewhere or
    has a key that msgspec knows no field for (with a quote in it, say), blanks stand between elements. Keys
    that stand twice are not noticed.
    """
    if len(body) > MOST_BYTES:
        return None
    try:
        found = _decoder(path).decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    for _ in path:
        found = found.inner
    if not found:
        return None
    sizes = np.fromiter(map(len, found), np.int64, len(found))
    # msgspec hands out views of `body`, not copies.
    start = pa.py_buffer(found[0]).address - pa.py_buffer(body).address
    ends = start + np.cumsum(sizes + 1) - 1
    last = pa.py_buffer(found[-1]).address - pa.py_buffer(body).address + len(found[-1])
    return (ends - sizes, ends) if ends[-1] == last else None


def list_around(body: Text, start: int, end: int) -> tuple[int, int]:
    """Behind the bracket that opens the list and before the one that closes it, whose first element starts at
    `start` and whose last ends at `end`."""
    while body[start - 1] in _BLANKS:
        start -= 1
    while body[end] in _BLANKS:
        end += 1
    assert body[start - 1] == OPEN_LIST and body[end] == CLOSE_LIST
    return start, end


@lru_cache(maxsize=64)
def _decoder(path: Path) -> msgspec.json.Decoder[Any]:
    """For objects in objects along `path` with a list at its end, whose elements stay as they are written."""
    kind: Any = list[msgspec.Raw]
    for key in reversed(path):
        kind = msgspec.defstruct("Object", [("inner", kind)], rename={"inner": key})
    return msgspec.json.Decoder(kind)
