"""A JSON document with one long list in it: cut into a small head and the list's elements.

Nothing inside an element is parsed. `cut` takes a whole document, `Cutter` a stream of any length
in bounded memory; both give the same elements. What is not cut out (the head) is checked to be
valid JSON. Of an element only two things are checked: it is one value between two commas, and its
brackets pair. Whoever parses it checks the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from oa_sync.shape.cutting.bits import CLOSE_LIST, Index
from oa_sync.shape.cutting.compact import compact_spans, list_around
from oa_sync.shape.cutting.elements import NO_SPANS, Elements
from oa_sync.shape.cutting.head import ListFinder, Path, Text, check_head
from oa_sync.shape.cutting.spans import Rows
from oa_sync.shape.cutting.structure import Buffer, InvalidJsonError, Scanner, Structure
from oa_sync.shape.json_text import BYTE_ORDER_MARK

_PIECE = 1 << 20


class HeadTooLargeError(InvalidJsonError):
    """The document around the list is larger than the memory allowed for it."""


@dataclass(frozen=True, eq=False)
class Cut:
    """`head` is the document with `[]` for the list, `rows` the list's elements.

    Not `found`: the path leads nowhere or to something other than a list; `head` is then the whole
    document (without a byte order mark) and `rows` is empty.
    """

    head: bytes
    rows: Rows
    found: bool


def cut(body: Buffer, path: Path) -> Cut:
    """Cut the list at `path` (keys from the outside in; `()`: the document is the list) out of `body`.

    Raises InvalidJsonError if `body` is not JSON, ends too early, goes on after its end, or has a key
    of `path` twice in one object (RFC 8259 leaves open which one counts).
    """
    if isinstance(body, memoryview):
        body = bytes(body)
    quick = cut_compact(body, path) if isinstance(body, bytes) else None
    if quick is not None:
        return quick
    data = np.frombuffer(body, np.uint8)
    scanner = Scanner()
    structure = scanner.scan(data)
    scanner.finish()
    opened = ListFinder(path).find(structure, body)
    if opened is None:
        head = bytes(body)
        check_head(head, path, 0, 0)
        return Cut(head.removeprefix(BYTE_ORDER_MARK), Rows(body, NO_SPANS, NO_SPANS), False)
    start = int(structure.positions[opened]) + 1
    inner = structure.slice(opened + 1)
    closed = _first_at_level(inner, len(path))
    end = _list_end(inner, closed)
    elements = Elements(data, inner.slice(0, closed), len(path) + 1, 0)
    spans = elements.split(start, end, final=True, after_element=False)
    return _cut_at(body, path, (start, end), spans)


def cut_compact(body: bytes, path: Path) -> Cut | None:
    """As `cut`, by the quick way (see `oa_sync.shape.cutting.compact`); None if that cannot cut `body`. What it
    cuts is valid JSON, except that strings may not be UTF-8. Raises InvalidJsonError as `cut` does."""
    spans = compact_spans(body, path)
    if spans is None:
        return None
    return _cut_at(body, path, list_around(body, int(spans[0][0]), int(spans[1][-1])), spans)


def _cut_at(body: Text, path: Path, inside: tuple[int, int], spans: tuple[Index, Index]) -> Cut:
    """Cut out the list between the two positions `inside`; `spans` are those of its elements."""
    start, end = inside
    head = b"".join((body[:start], body[end:]))
    check_head(head, path, start, end - start)
    return Cut(head.removeprefix(BYTE_ORDER_MARK), Rows(body, *spans), True)


class Cutter:
    """Cuts a document that comes in pieces: `feed` them all, then `finish`.

    `max_rows_bytes`: about how many bytes of the list are collected for one block of rows (more if a
    single row is larger). `max_head_bytes`: how large the rest of the document may be.
    """

    def __init__(
        self, path: Path, max_rows_bytes: int = 4 << 20, max_head_bytes: int = 64 << 20
    ) -> None:
        self.path = path
        self.found = False
        self._max_rows_bytes = max_rows_bytes
        self._max_head_bytes = max_head_bytes
        self._scanner = Scanner()
        self._finder = ListFinder(path)
        self._head = bytearray()
        self._list_start = self._list_end = 0
        self._in_list = False
        self._window = bytearray()
        self._window_start = 0
        self._window_entries: list[Structure] = []
        self._flush_at = max_rows_bytes
        self._after_element = False

    def feed(self, chunk: Buffer) -> list[Rows]:
        """The rows that `chunk` completes, in blocks; mostly none until a block is full.

        Chunks of 256 KB or more cost least; at 16 KB the calls cost more than the work on the bytes.

        Raises InvalidJsonError as `cut` does, and when the head grows beyond its bound.
        """
        view = memoryview(chunk)
        step = min(_PIECE, self._max_rows_bytes)
        pieces = (view[i : i + step] for i in range(0, len(view), step))
        return [rows for piece in pieces for rows in self._feed_piece(piece)]

    def finish(self) -> bytes:
        """The head, once the whole document was fed.

        Raises InvalidJsonError if the document ended too early or is not JSON.
        """
        self._scanner.finish()
        head = bytes(self._head)
        check_head(head, self.path, self._list_start, self._list_end - self._list_start)
        return head.removeprefix(BYTE_ORDER_MARK)

    def _feed_piece(self, piece: memoryview) -> Iterator[Rows]:
        entries = self._scanner.scan(np.frombuffer(piece, np.uint8))
        if self._in_list:
            self._window += piece
        else:
            self._head += piece
        if not self.found:
            entries = self._enter_list(entries)
        if self._in_list:
            yield from self._take_rows(entries)
        if len(self._head) > self._max_head_bytes:
            raise HeadTooLargeError(
                f"more than {self._max_head_bytes} bytes stand outside the list at "
                f"{_shown(self.path)}",
                self._scanner.offset,
            )

    def _enter_list(self, entries: Structure) -> Structure:
        opened = self._finder.find(entries, self._head)
        if opened is None:
            return entries
        self.found = self._in_list = True
        self._list_start = self._window_start = int(entries.positions[opened]) + 1
        self._window += self._head[self._list_start :]
        del self._head[self._list_start :]
        return entries.slice(opened + 1)

    def _take_rows(self, entries: Structure) -> Iterator[Rows]:
        closed = _first_at_level(entries, len(self.path))
        self._window_entries.append(entries.slice(0, closed))
        if closed < len(entries):
            end = self._list_end = _list_end(entries, closed)
            self._in_list = False
            self._head += self._window[end - self._window_start :]
            yield from self._cut_window(end, final=True)
            self._window = bytearray()
        elif len(self._window) >= self._flush_at:
            yield from self._cut_window(self._window_start + len(self._window), final=False)

    def _cut_window(self, end: int, *, final: bool) -> Iterator[Rows]:
        start, window = self._window_start, bytes(self._window)
        entries = Structure.concat(self._window_entries)
        elements = Elements(np.frombuffer(window, np.uint8), entries, len(self.path) + 1, start)
        starts, ends = elements.split(start, end, final=final, after_element=self._after_element)
        if len(starts):
            yield Rows(window, starts - start, ends - start, start)
            done = int(ends[-1])
            self._window = bytearray(window[done - start :])
            self._window_start = done
            self._after_element = True
            kept = int(np.searchsorted(entries.positions, done))
            entries = entries.slice(kept)
        self._window_entries = [entries]
        # A row larger than the block is looked at again only when it has grown by half.
        self._flush_at = max(self._max_rows_bytes, len(self._window) * 3 // 2)


def _first_at_level(entries: Structure, level: int) -> int:
    """The first entry at `level`, or how many entries there are."""
    hits = entries.levels == level
    return int(np.argmax(hits)) if hits.any() else len(entries)


def _list_end(entries: Structure, closed: int) -> int:
    position = int(entries.positions[closed])
    if entries.kinds[closed] != CLOSE_LIST:
        raise InvalidJsonError("'}' closes a list", position)
    return position


def _shown(path: Path) -> str:
    return ".".join(path) or "the top level"
