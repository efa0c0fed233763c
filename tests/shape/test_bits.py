"""Bits of a text, next to the same said plainly, one byte after another: over the borders of words and blocks."""

from __future__ import annotations

import random

import numpy as np
import pytest

from oa_sync.shape.cutting import bits
from oa_sync.shape.cutting.bits import (
    COLON,
    COMMA,
    StringMask,
    bits_of,
    bracket_bits,
    filled,
    positions,
    prefix_xor,
)

SIZES = [0, 1, 63, 64, 65, 127, 128, 129, 200]


def array(text: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(text, np.uint8)


def texts(letters: bytes, seed: int) -> list[bytes]:
    """For each size some texts of these letters, the first ones more often."""
    drawn = random.Random(seed)
    weights = [len(letters) - place for place in range(len(letters))]
    return [bytes(drawn.choices(letters, weights, k=size)) for size in SIZES for _ in range(3)]


def bits_in(words: bits.Words, size: int) -> list[bool]:
    """The first `size` bits, lowest first."""
    assert len(words) == -(-size // 64)
    whole = int.from_bytes(words.astype("<u8").tobytes(), "little")
    return [bool(whole >> place & 1) for place in range(size)]


def nothing_beyond(words: bits.Words, size: int) -> bool:
    return size % 64 == 0 or int(words[-1]) >> (size % 64) == 0


def inside_strings(text: bytes) -> list[bool]:
    found, inside, escaped = [], False, False
    for byte in text:
        if byte == ord('"') and not escaped:
            inside = not inside
        escaped = byte == ord("\\") and not escaped
        found.append(inside)
    return found


@pytest.mark.parametrize("step", [3, 64, 65, 1, 1_000])
def test_what_is_inside_strings_is_known_in_pieces_of_any_size(step: int) -> None:
    for text in [*texts(b'\\"x', 1), *texts(b'x"\\', 2), b"\\\\" * 70 + b'"']:
        mask, found = StringMask(), []
        for start in range(0, len(text), step):
            piece = text[start : start + step]
            found += bits_in(mask.mask(array(piece)), len(piece))
            assert len(mask.mask(array(b""))) == 0  # an empty piece changes nothing
        assert found == inside_strings(text)
        assert mask.inside is (bool(found) and found[-1])


def test_bytes_of_some_kinds_are_marked_and_no_others() -> None:
    for text in [*texts(b",:x", 4), bytes(range(256))]:
        for kinds in [(), (COLON,), (COMMA, COLON), (0,), (1,), (255,)]:
            words = bits_of(array(text), kinds)
            if kinds:  # nobody asks for none
                assert bits_in(words, len(text)) == [byte in kinds for byte in text]
                assert nothing_beyond(words, len(text))


def test_brackets_and_some_kinds_are_marked() -> None:
    for text in [*texts(b"[]{}:,\\|x", 5), bytes(range(256))]:
        for kinds in [b"", b":", b":,"]:
            words = bracket_bits(array(text), kinds)
            assert bits_in(words, len(text)) == [byte in b"[]{}\\|" + kinds for byte in text]
            assert nothing_beyond(words, len(text))


def some_words(seed: int) -> list[bits.Words]:
    drawn = random.Random(seed)
    return [
        np.array(
            [drawn.choice([0, 0, 1, 1 << 63, drawn.getrandbits(64)]) for _ in range(length)],
            np.uint64,
        )
        for length in [1, 2, 3, 4, 5, 8, 9]
        for _ in range(6)
    ]


def test_the_parity_of_the_bits_so_far() -> None:
    for words in some_words(6):
        size, parity, expected = 64 * len(words), False, []
        for bit in bits_in(words, size):
            parity ^= bit
            expected.append(parity)
        assert bits_in(prefix_xor(words.copy()), size) == expected


@pytest.mark.parametrize("block", [64, 128, 1 << 18])
def test_the_positions_of_set_bits(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits, "BLOCK", block)
    for words in some_words(7):
        for size in (64 * len(words), 64 * len(words) - 3):
            lowest = bits_in(words, 64 * len(words))[:size]
            clean = words.copy()
            if size % 64:  # beyond the text no bit is set
                clean[-1] &= np.uint64((1 << (size % 64)) - 1)
            assert positions(clean, size).tolist() == [i for i, bit in enumerate(lowest) if bit]


def test_many_words_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits, "BLOCK", 63 * 64)
    words = np.full(200, 1 << 63 | 1, np.uint64)
    assert positions(words, 200 * 64).tolist() == [i for i in range(200 * 64) if i % 64 in (0, 63)]


@pytest.mark.parametrize("block", [64, 128, 1 << 18])
def test_spans_are_overwritten_and_nothing_else(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bits, "BLOCK", block)
    drawn = random.Random(8)
    for size in [1, 64, 65, 128, 200, 300]:
        for _ in range(8):
            text = bytes(drawn.choices(b"abc", k=size))
            edges = sorted(
                drawn.sample(range(size + 1), min(drawn.choice([2, 4, 6]), size + 1) & ~1)
            )
            expected = bytearray(text)
            for start, end in zip(edges[::2], edges[1::2], strict=True):
                expected[start:end] = b"0" + b" " * (end - start - 1)
            spans = np.array(edges[::2], np.int64), np.array(edges[1::2], np.int64)
            assert filled(array(text), *spans, ord(" "), ord("0")) == bytes(expected)
    touching = np.array([1, 3, 64]), np.array([3, 64, 66])
    assert filled(array(b"x" * 70), *touching, ord(" "), ord("0")) == (
        b"x0 0" + b" " * 60 + b"0 xxxx"
    )
