"""The bytes of a text as bits, 64 to a word: which are of a kind, and which are inside strings.

This is stage one of simdjson (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019). A
prefix XOR (six shifts, then one XOR carried from word to word) turns the bits of all unescaped quotes
into the bits of all bytes inside strings. Those are masked out before any position is written.

What did not help: `table[bytes]` (0.4 GB/s: numpy widens the index to 8 bytes), `bytes.translate`
(1.3 GB/s for this step alone, and it holds the GIL), one `flatnonzero` over all eight kinds of byte
and parity by cumulative sum (a third of the speed: the quotes are most of the entries). Blocks of
64 KB lose to call overhead, blocks of 1 MB and more to the cache.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

QUOTE, BACKSLASH, COLON, COMMA = (ord(c) for c in '"\\:,')
OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST = (ord(c) for c in "{}[]")

BLOCK = 1 << 18
"""Bytes read in one step: what numpy makes of them stays in the cache."""

WORD = np.dtype("<u8")
ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
TOP_BYTE = np.uint64(56)
_SHIFTS = tuple(np.uint64(shift) for shift in (1, 2, 4, 8, 16, 32))
_TOP = np.uint64(63)


@dataclass
class StringMask:
    """Which bytes are inside strings, for a text that comes in pieces."""

    inside: bool = False
    _escaped: bool = False

    def mask(self, block: Bytes) -> Words:
        """One bit a byte, lowest first: set from an opening quote to the byte before the closing one."""
        size = len(block)
        quotes = _padded(size)
        np.equal(block, np.uint8(QUOTE), out=quotes[:size])
        escaped = self._escaped_positions(block)
        if escaped is not None:
            quotes[escaped] = False
        words = prefix_xor(_packed(quotes))
        if self.inside:
            np.bitwise_xor(words, ALL, out=words)
        if len(words):
            self.inside = bool(words[-1] >> _TOP)
        return words

    def _escaped_positions(self, block: Bytes) -> Index | None:
        """The bytes that a backslash before them escapes: in a series, only every second one does."""
        slashes = np.equal(block, np.uint8(BACKSLASH))
        carried = self._escaped
        if not slashes.any():
            if len(block):
                self._escaped = False
            return np.zeros(1, np.int64) if carried and len(block) else None
        at = np.flatnonzero(slashes)
        adjacent = np.diff(at) == 1
        if adjacent.any() or carried:
            order = np.arange(len(at))
            series_start = np.concatenate(([True], ~adjacent))
            in_series = order - np.maximum.accumulate(np.where(series_start, order, 0))
            if carried and at[0] == 0:
                first_series = (
                    len(at) if series_start[1:].sum() == 0 else int(np.argmax(series_start[1:])) + 1
                )
                in_series[:first_series] += 1
            at = at[(in_series & 1) == 0]
        escaped = at + 1
        self._escaped = bool(len(escaped)) and int(escaped[-1]) == len(block)
        if self._escaped:
            escaped = escaped[:-1]
        return np.concatenate(([0], escaped)) if carried else escaped


def bits_of(block: Bytes, kinds: Collection[int]) -> Words:
    """One bit a byte: whether it is one of `kinds`."""
    size = len(block)
    mask = _padded(size)
    first, *others = kinds or (0,)
    np.equal(block, np.uint8(first), out=mask[:size])
    _mark(block, others, mask[:size])
    return _packed(mask)


def bracket_bits(block: Bytes, kinds: Collection[int] = ()) -> Words:
    r"""One bit a byte: whether it is a bracket or one of `kinds`; `\` and `|` are set as well.

    `[\]` and `{|}` are neighbours once 0x20 is set: one comparison finds all six.
    """
    size = len(block)
    mask = _padded(size)
    folded = np.bitwise_or(block, np.uint8(0x20))
    np.subtract(folded, np.uint8(OPEN_OBJECT), out=folded)
    np.less_equal(folded, np.uint8(2), out=mask[:size])
    _mark(block, kinds, mask[:size])
    return _packed(mask)


def _mark(block: Bytes, kinds: Collection[int], mask: Mask) -> None:
    hits = np.empty(len(block) if kinds else 0, np.bool_)
    for kind in kinds:
        np.equal(block, np.uint8(kind), out=hits)
        np.logical_or(mask, hits, out=mask)


def prefix_xor(words: Words) -> Words:
    """Bit i of the result is the parity of the bits 0 to i: between two set bits all ones."""
    for shift in _SHIFTS:
        words = words ^ (words << shift)
    if len(words) > 1:
        carries = np.bitwise_xor.accumulate(words >> _TOP)
        words[1:] ^= np.negative(carries[:-1])
    return words


def positions(words: Words, size: int) -> Index:
    """The positions of the set bits among the first `size`."""
    step = BLOCK // 64
    if len(words) > step:
        return np.concatenate(
            [
                positions(words[i : i + step], min(BLOCK, size - 64 * i)) + 64 * i
                for i in range(0, len(words), step)
            ]
        )
    used = np.flatnonzero(words)
    if 2 * len(used) > len(words):
        return np.flatnonzero(_unpacked(words, size))
    bits = np.flatnonzero(_unpacked(words[used], 64 * len(used)))
    at: Index = (used[bits >> 6] << 6) + (bits & 63)
    return at


def filled(data: Bytes, starts: Index, ends: Index, byte: int, first: int) -> bytes:
    """A copy of `data`, each span overwritten by `first` and then `byte` to its end.

    The spans are ascending, disjoint and not empty.
    """
    inside = False
    blocks: list[Bytes] = []
    for begin in range(0, len(data), BLOCK):
        block = data[begin : begin + BLOCK]
        end = begin + len(block)
        opening = starts[slice(*np.searchsorted(starts, (begin, end)))]
        closing = ends[slice(*np.searchsorted(ends, (begin, end)))]
        if inside or len(opening):
            marks = np.zeros(_whole_words(len(block)), np.bool_)
            marks[opening - begin] = True
            marks[closing - begin] ^= True  # where one span ends and the next begins: no mark
            words = prefix_xor(_packed(marks))
            if inside:
                np.bitwise_xor(words, ALL, out=words)
            inside = bool(words[-1] >> _TOP)
            keep = _unpacked(words, len(block)).view(np.uint8) - np.uint8(1)
            block = (block & keep) | (~keep & np.uint8(byte))
            block[opening - begin] = first
        blocks.append(block)
    return b"".join(block.data for block in blocks)


def _padded(size: int) -> Mask:
    """An uninitialised mask for `size` bytes, filled with zeros up to whole words."""
    mask = np.empty(_whole_words(size), np.bool_)
    mask[size:] = False
    return mask


def _whole_words(size: int) -> int:
    return (size + 63) & ~63


def _packed(mask: Mask) -> Words:
    return np.packbits(mask, bitorder="little").view(WORD)


def _unpacked(words: Words, size: int) -> Mask:
    """One byte a bit, as bool: numpy finds those three times as fast as the same in uint8."""
    return np.unpackbits(words.view(np.uint8), count=size, bitorder="little").view(np.bool_)
