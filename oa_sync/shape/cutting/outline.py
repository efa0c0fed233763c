"""The nesting of some rows, and a way to find the next structural byte from any position.

A full index holds the position of every colon and comma, but to read a few members of each row needs
few of them. Here they stay bits, 64 to a word: positions are made only of the colons that may follow
a wanted key, and the end of a value is looked up only for the values that are taken.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from oa_sync.shape.cutting.bits import (
    ALL,
    BACKSLASH,
    BLOCK,
    COLON,
    COMMA,
    Bytes,
    Index,
    StringMask,
    Words,
    bits_of,
    bracket_bits,
    positions,
)
from oa_sync.shape.cutting.structure import Structure, check_balance, check_pairs, levels_of

_ESCAPED_PLAIN = (ord("u"), ord("/"))


@dataclass(frozen=True, eq=False)
class Outline:
    """Rows as bytes, their brackets, and the positions of the colons after some keys.

    `colons` are at least all those whose key ends with one of the bytes asked for or is written with
    escapes; `escaped` are those whose key is written with escapes.
    """

    data: Bytes
    brackets: Structure
    colons: Index
    escaped: Index
    _stops: Words
    _filled: Index

    def next_stop(self, at: Index) -> Index:
        """The first structural byte outside strings at or after each position, or the text's end."""
        return _next(self._stops, self._filled, at, len(self.data))


def outline(data: Bytes, last_bytes: Collection[int]) -> Outline:
    """Read whole rows; `last_bytes`: the last bytes of the keys that will be asked for.

    Raises InvalidJsonError if brackets do not pair, or the text ends too early.
    """
    strings = StringMask()
    parts: list[tuple[Words, Words, Words, Words]] = []
    found, escapes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(data), BLOCK):
        block = data[start : start + BLOCK]
        inside = strings.mask(block)
        outside = ~inside
        brackets = bracket_bits(block) & outside
        colons = bits_of(block, (COLON,)) & outside
        stops = (bits_of(block, (COMMA,)) & outside) | brackets | colons
        parts.append((inside, colons, stops, bits_of(block, last_bytes)))
        found.append(positions(brackets, len(block)) + start)
        escapes.append(_escapes(data[start : start + BLOCK + 1]) + start)
    at = np.concatenate(found)
    kinds = data[at]
    levels, depth = levels_of(at, kinds)
    check_balance(strings.inside, depth, len(data))
    nesting = Structure(at, kinds, levels)
    check_pairs(nesting)
    inside, colons, stops, last = (
        (np.concatenate([np.empty(0, np.uint64), *part]) for part in zip(*parts, strict=True))
        if parts
        else (np.empty(0, np.uint64),) * 4
    )
    after_quote = _later(_later(inside, 1) & ~inside, 1)
    colons &= _later(last, 2) | ~after_quote
    filled = np.flatnonzero(stops)
    after = np.unique(_next(stops, filled, np.concatenate(escapes), len(data)))
    after = after[after < len(data)]
    escaped = after[data[after] == COLON]
    wanted = positions(colons, len(data))
    return Outline(
        data,
        nesting,
        np.union1d(wanted, escaped) if len(escaped) else wanted,
        escaped,
        stops,
        filled,
    )


def _escapes(block: Bytes) -> Index:
    r"""Where an escape begins that can stand for a plain character: `\u` or `\/`."""
    slashes = block[:-1] == BACKSLASH
    if not slashes.any():
        return np.empty(0, np.int64)
    letters = block[1:]
    slashes &= (letters == _ESCAPED_PLAIN[0]) | (letters == _ESCAPED_PLAIN[1])
    return np.flatnonzero(slashes)


def _later(words: Words, bits: int) -> Words:
    """The same bits, each moved to a position higher by `bits`."""
    moved = words << np.uint64(bits)
    moved[1:] |= words[:-1] >> np.uint64(64 - bits)
    return moved


def _next(words: Words, filled: Index, at: Index, end: int) -> Index:
    """The first set bit at or after each position, or `end`; `filled`: the words with set bits."""
    if not len(filled):
        return np.full(len(at), end)
    word = at >> 6
    bits = words[word] & (ALL << (at & 63).astype(np.uint64))
    empty = np.flatnonzero(bits == 0)
    following = np.searchsorted(filled, word[empty], side="right")
    beyond = empty[following == len(filled)]
    word[empty] = filled[np.minimum(following, len(filled) - 1)]
    bits[empty] = words[word[empty]]
    lowest = bits & (~bits + np.uint64(1))
    # A power of two is exact in a float, and its exponent is the bit's place.
    stops: Index = (word << 6) + (np.frexp(lowest.astype(np.float64))[1] - 1)
    stops[beyond] = end
    return stops
