"""Spans of a JSON text: trimmed, gathered into Arrow strings, written as NDJSON.

Everything works on whole arrays of spans. Measured for 165-byte spans on one core: `texts` 3 GB/s
(Arrow's `take` over offsets that name both the spans and the gaps between them); a numpy mask gives
1.6, joining slices in Python 0.6 and a gather by `np.repeat` 0.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oa_sync.shape.cutting.bits import OPEN_OBJECT, Bytes, Index, StringMask
from oa_sync.shape.cutting.structure import Buffer, InvalidJsonError

_NEWLINE, _RETURN, _SPACE = (ord(c) for c in "\n\r ")
_WHITESPACE = np.zeros(256, np.bool_)
_WHITESPACE[[ord(c) for c in " \t\r\n"]] = True
_STEPS = 32
_INT32_MAX = 2**31 - 1


def is_whitespace(data: Bytes) -> NDArray[np.bool_]:
    """Which bytes are JSON whitespace (RFC 8259, section 2)."""
    return _WHITESPACE[data]


def trimmed(data: Bytes, starts: Index, ends: Index) -> tuple[Index, Index]:
    """The spans without whitespace around them; a span of nothing else becomes empty."""
    starts = without_leading(data, starts, ends)
    return starts, without_trailing(data, starts, ends)


def without_leading(data: Bytes, starts: Index, ends: Index) -> Index:
    """Where the spans start after their leading whitespace, at the latest at their end."""
    starts = starts.copy()
    moving = np.flatnonzero(starts < ends)
    for _ in range(_STEPS):
        moving = moving[_WHITESPACE[data[starts[moving]]]]
        if not len(moving):
            return starts
        starts[moving] += 1
        moving = moving[starts[moving] < ends[moving]]
    for i in moving.tolist():
        text = data[starts[i] : ends[i]].tobytes()
        starts[i] += len(text) - len(text.lstrip(b" \t\r\n"))
    return starts


def without_trailing(data: Bytes, starts: Index, ends: Index) -> Index:
    """Where the spans end before their trailing whitespace, at the earliest at their start."""
    ends = ends.copy()
    moving = np.flatnonzero(starts < ends)
    for _ in range(_STEPS):
        moving = moving[_WHITESPACE[data[ends[moving] - 1]]]
        if not len(moving):
            return ends
        ends[moving] -= 1
        moving = moving[starts[moving] < ends[moving]]
    for i in moving.tolist():
        ends[i] = starts[i] + len(data[starts[i] : ends[i]].tobytes().rstrip(b" \t\r\n"))
    return ends


def positions_within(starts: Index, ends: Index) -> Index:
    """Every position of every span, one after the other."""
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    at: Index = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
    return at


def texts(data: Bytes, starts: Index, ends: Index, base: int = 0) -> pa.Array:
    """The spans, ascending and disjoint, as an Arrow `string` array (`large_string` from 2 GiB on).

    Raises InvalidJsonError for bytes that are not UTF-8, at their offset plus `base`.
    """
    array = gathered(data, starts, ends)
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        _raise_not_utf8(data, starts, ends, base)
        raise
    return array


def gathered(data: Bytes, starts: Index, ends: Index) -> pa.Array:
    """As `texts`, without checking that the bytes are UTF-8."""
    count = len(starts)
    first, last = (int(starts[0]), int(ends[-1])) if count else (0, 0)
    large = last - first > _INT32_MAX
    offsets = np.empty(2 * count if count else 1, np.int64 if large else np.int32)
    if count:
        np.subtract(starts, first, out=offsets[0::2], casting="same_kind")
        np.subtract(ends, first, out=offsets[1::2], casting="same_kind")
    else:
        offsets[0] = 0
    alternating = (pa.LargeStringArray if large else pa.StringArray).from_buffers(
        len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data[first:last])
    )
    return alternating.take(pa.array(np.arange(0, len(alternating), 2)))


def is_utf8(text: bytes) -> bool:
    """Whether `text` is UTF-8. Arrow checks 4 GB a second, decoding only 1.6."""
    whole = pa.StringArray.from_buffers(
        1, pa.py_buffer(np.array([0, len(text)], np.int32)), pa.py_buffer(text)
    )
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _raise_not_utf8(data: Bytes, starts: Index, ends: Index, base: int) -> None:
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        try:
            data[start:end].tobytes().decode()
        except UnicodeDecodeError as error:
            raise InvalidJsonError("not UTF-8", base + start + error.start) from None


@dataclass(frozen=True, eq=False)
class Rows:
    """Elements of a JSON list: spans in `buffer`, without the whitespace around them.

    `base` is where `buffer` begins in the document, for messages. Keeps `buffer` alive, does not
    copy it.
    """

    buffer: Buffer
    starts: Index
    ends: Index
    base: int = 0

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def nbytes(self) -> int:
        """The bytes of the elements alone."""
        return int((self.ends - self.starts).sum())

    def slice(self, start: int, stop: int | None = None) -> Rows:
        """The elements from `start` to `stop`, without a copy."""
        return Rows(self.buffer, self.starts[start:stop], self.ends[start:stop], self.base)

    def pieces(self, max_bytes: int, until: int | None = None) -> Iterator[tuple[int, Rows]]:
        """The elements before position `until` (None: all) in pieces of at most about `max_bytes`,
        each piece with the position of its first element."""
        rows = self if until is None else self.slice(0, until)
        if rows.nbytes <= max_bytes:
            if len(rows):
                yield 0, rows
            return
        ends = np.cumsum(rows.ends - rows.starts)
        start = 0
        while start < len(rows):
            done = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, done + max_bytes)))
            yield start, rows.slice(start, stop)
            start = stop

    def all_objects(self) -> bool:
        """Whether every element is an object."""
        return bool((self._data[self.starts] == OPEN_OBJECT).all())

    def texts(self) -> pa.Array:
        """The exact text of each element, as Arrow `string` (`large_string` from 2 GiB on).

        Raises InvalidJsonError if the bytes are not UTF-8.
        """
        return texts(self._data, self.starts, self.ends, self.base)

    def ndjson(self) -> bytes:
        r"""One element a line, each line ended by `\n`; newlines within elements become spaces.

        Raises InvalidJsonError if a string has a raw newline inside, or bytes are not UTF-8.
        """
        if not len(self):
            return b""
        lines, ends = self._with_one_byte_after_each()
        breaks = (lines == _NEWLINE) | (lines == _RETURN)
        breaks[ends] = False
        if breaks.any():
            self._check_no_break_in_strings(lines, breaks)
            lines[breaks] = _SPACE
        lines[ends] = _NEWLINE
        text = lines.tobytes()
        if not is_utf8(text):
            _raise_not_utf8(self._data, self.starts, self.ends, self.base)
        return text

    @property
    def _data(self) -> Bytes:
        return np.frombuffer(self.buffer, np.uint8)

    def _with_one_byte_after_each(self) -> tuple[Bytes, Index]:
        """The elements joined, each followed by one byte of any value, and where those bytes are."""
        data, first, last = self._data, int(self.starts[0]), int(self.ends[-1])
        if (self.starts[1:] - self.ends[:-1] == 1).all():
            lines = np.empty(last - first + 1, np.uint8)
            lines[:-1] = data[first:last]
            lines[-1] = _NEWLINE
            return lines, self.ends - first
        joined = gathered(data, self.starts[:-1], self.ends[:-1] + 1).buffers()[2]
        lengths = self.ends - self.starts
        lines = np.empty(int(lengths.sum()) + len(self), np.uint8)
        tail = int(lengths[-1])
        if len(self) > 1:
            lines[: -tail - 1] = np.frombuffer(joined, np.uint8)[: len(lines) - tail - 1]
        lines[-tail - 1 : -1] = data[last - tail : last]
        lines[-1] = _NEWLINE
        return lines, np.cumsum(lengths + 1) - 1

    def _check_no_break_in_strings(self, lines: Bytes, breaks: NDArray[np.bool_]) -> None:
        inside = np.unpackbits(
            StringMask().mask(lines).view(np.uint8), count=len(lines), bitorder="little"
        )
        if (breaks & inside.view(np.bool_)).any():
            raise InvalidJsonError("a raw newline inside a string", self.base + int(self.starts[0]))
