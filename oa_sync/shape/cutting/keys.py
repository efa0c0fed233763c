"""Finds a key in some rows by its bytes, however it is written."""

from __future__ import annotations

import json

import numpy as np

from oa_sync.shape.cutting.bits import BACKSLASH, QUOTE, TOP_BYTE, Bytes, Index, Mask, Words
from oa_sync.shape.cutting.outline import Outline
from oa_sync.shape.cutting.spans import without_trailing
from oa_sync.shape.cutting.structure import Levels


class Keys:
    """The keys of an outline; each is searched once, at all levels."""

    def __init__(self, rows: Outline) -> None:
        self._outline = rows
        self._tails = _eight_bytes_before(rows.data, rows.colons)
        self._found: dict[str, tuple[Index, Levels]] = {}

    def colons_after(self, key: str) -> tuple[Index, Levels]:
        """The colons after that key, in document order, and their levels."""
        if key not in self._found:
            self._found[key] = self._find(key)
        return self._found[key]

    def _find(self, key: str) -> tuple[Index, Levels]:
        """The colons after the key anywhere, and their levels."""
        raw = as_written(key)
        candidates = self._outline.colons
        found = candidates[_may_end_with(self._tails, raw)]
        found = found[_ends_at(self._outline.data, found, raw)]
        spaced = candidates[(self._tails >> TOP_BYTE) != QUOTE]
        if len(spaced):
            ends = without_trailing(self._outline.data, np.zeros_like(spaced), spaced)
            found = np.union1d(found, spaced[_ends_at(self._outline.data, ends, raw)])
        found = (
            np.union1d(found, self._written_otherwise(key)) if len(self._outline.escaped) else found
        )
        brackets = self._outline.brackets
        before = np.searchsorted(brackets.positions, found) - 1
        found, before = found[before >= 0], before[before >= 0]
        levels: Levels = brackets.levels[before] + brackets.is_open()[before]
        return found, levels

    def _written_otherwise(self, key: str) -> Index:
        """The colons after the key where it is written with escapes that it does not need."""
        colons = self._outline.escaped
        ends = without_trailing(self._outline.data, np.zeros_like(colons), colons)
        reach = longest_written(key)
        found = [
            colon
            for colon, end in zip(colons.tolist(), ends.tolist(), strict=True)
            if ends_with_key(self._outline.data[max(end - reach, 0) : end].tobytes(), key)
        ]
        return np.array(found, np.int64)


def as_written(key: str) -> bytes:
    """The key as it is usually written, with its quotes."""
    return json.dumps(key, ensure_ascii=False).encode("utf-8", "surrogatepass")


def longest_written(key: str) -> int:
    """More bytes than the key can take: no character takes more than a pair of `\\uxxxx`."""
    return 12 * len(key) + 3


def ends_with_key(text: bytes, key: str) -> bool:
    """Whether `text` ends with the key; it has `longest_written` bytes, unless the document has fewer."""
    start = text.rfind(b'"', 0, len(text) - 1)
    while start > 0 and text[start - 1] == BACKSLASH:
        start = text.rfind(b'"', 0, start)
    try:
        return start >= 0 and bool(json.loads(text[start:]) == key)
    except ValueError:
        return False


def _eight_bytes_before(data: Bytes, at: Index) -> Words:
    """The eight bytes before each position as one number, the last highest; 0 before the beginning."""
    if not len(at):
        return np.empty(0, np.uint64)
    padded = np.zeros(16, np.uint8)
    padded[8 : 8 + len(data[:8])] = data[:8]
    early = int(np.searchsorted(at, 8))
    windows = np.ndarray((9,), "<u8", padded.data, 0, (1,))[at[:early]]
    if early == len(at):
        return windows
    # A number begins at every byte: numpy reads them in place, aligned or not.
    every = np.ndarray((len(data) - 7,), "<u8", data.data, 0, (1,))
    return np.concatenate((windows, every[at[early:] - 8]))


def _may_end_with(tails: Words, raw: bytes) -> Mask:
    """Whether the last eight bytes, or fewer where `raw` is shorter, are those of `raw`."""
    unused = np.uint64(64 - 8 * min(len(raw), 8))
    wanted = np.uint64(int.from_bytes(raw[-8:].rjust(8, b"\0"), "little"))
    hits: Mask = (tails >> unused) == (wanted >> unused)
    return hits


def _ends_at(data: Bytes, ends: Index, raw: bytes) -> Mask:
    """Whether the key `raw` ends at each position."""
    starts = ends - len(raw)
    same = np.flatnonzero(starts > 0)
    # A quote after a backslash does not begin a key: the key is longer.
    same = same[data[starts[same] - 1] != BACKSLASH]
    for i, byte in enumerate(raw):
        same = same[data[starts[same] + i] == byte]
    hits = np.zeros(len(ends), np.bool_)
    hits[same] = True
    return hits
