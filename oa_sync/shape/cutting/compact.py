"""The quick way for a document of ordinary size: msgspec says where the elements of a list are.

NumPy reads a large text at the speed of memory, but its dozens of calls cost a millisecond even for a
hundred bytes. msgspec needs one call, and one object for each element. A document of 20 elements takes it
0.02 ms; one of 5,000 in 0.9 MB takes the same time as with NumPy, but waits for the GIL once instead of
dozens of times.
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
"""In a larger body, a list of nothing but digits would make objects of tens of megabytes."""

_BLANKS = b" \t\r\n"


def compact_spans(body: bytes, path: Path) -> tuple[Index, Index] | None:
    """Where each element of the list at `path` starts and ends in `body`; there is at least one.

    None if this way cannot tell: `body` is large or not valid JSON, the path leads elsewhere, the list is
    empty or has blanks between its elements, or msgspec cannot have a field for a key of the path (one with
    a quote in it, say). Keys that stand twice are not noticed.
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
    """The positions right after the opening bracket of a list and right before its closing one; its first
    element starts at `start`, its last ends at `end`."""
    while body[start - 1] in _BLANKS:
        start -= 1
    while body[end] in _BLANKS:
        end += 1
    assert body[start - 1] == OPEN_LIST and body[end] == CLOSE_LIST
    return start, end


@lru_cache(maxsize=64)
def _decoder(path: Path) -> msgspec.json.Decoder[Any]:
    """Decodes objects in objects along `path` and the list at its end, but not the list's elements."""
    kind: Any = list[msgspec.Raw]
    for key in reversed(path):
        kind = msgspec.defstruct("Object", [("inner", kind)], rename={"inner": key})
    return msgspec.json.Decoder(kind)
