"""Items on their way from fetching to loading, in segments, with a bound on the bytes in flight.

Fetching (asyncio) puts items in; the loading thread pulls them out while more arrive. A slow
destination therefore slows the fetching down instead of filling the memory.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from oa_sync.journal.items import Item

T = TypeVar("T")
"""Rows of bookkeeping that are loaded with a segment, in the form in which they are loaded."""

MAX_BYTES_IN_FLIGHT = 4 * 1024 * 1024
TAKEN_BYTES = 64 * 1024


@dataclass(frozen=True)
class SegmentEnd(Generic[T]):
    """Closes a segment. `path` is its journal file (None: nothing was journaled). `tail` is called when
    all items are shaped, and returns the rows of bookkeeping that belong to the same load."""

    path: Path | None
    tail: Callable[[], list[T]] | None = None


class Segment(Generic[T]):
    """One segment as the loading thread sees it; `end` is known once `items` is used up."""

    def __init__(
        self, take: Callable[[], Item | SegmentEnd[T] | None], first: Item | SegmentEnd[T]
    ) -> None:
        self._take = take
        self._next: Item | SegmentEnd[T] | None = first
        self.end: SegmentEnd[T] = SegmentEnd(None)
        self.is_cut = False
        """Whether the queue was closed before this segment ended."""

    def items(self) -> Iterator[Item]:
        """The items not yet taken."""
        while isinstance(self._next, Item):
            yield self._next
            self._next = self._take()
        if self._next is None:
            self.is_cut = True
        else:
            self.end = self._next

    def tail(self) -> list[T]:
        """The rows of bookkeeping of this segment; call it when `items` is used up."""
        return self.end.tail() if self.end.tail else []

    def drain(self) -> None:
        """Drop the items that a failed load left unread: what follows is the next segment."""
        for _ in self.items():
            pass


class SegmentQueue(Generic[T]):
    """One producer on an event loop, one consumer thread. Create it on the loop."""

    def __init__(
        self, max_bytes: int = MAX_BYTES_IN_FLIGHT, filled: threading.Condition | None = None
    ) -> None:
        self._max_bytes = max_bytes
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._room.set()
        self._filled = filled or threading.Condition()
        self._waiting: deque[Item | SegmentEnd[T] | None] = deque()
        self._taken: deque[Item | SegmentEnd[T] | None] = deque()
        self._bytes = 0
        self._broken: BaseException | None = None

    async def put(self, items: Sequence[Item]) -> None:
        """Hand `items` over, then wait while too many bytes are in flight.

        The items are handed over even if the waiting is cancelled: all that is in the journal file of a
        segment must be in the segment too, because the file is deleted when the segment is loaded.

        Raises the error that `fail` was given.
        """
        self._append(items, sum(item.nbytes for item in items))
        await self._room.wait()
        if self._broken is not None:
            raise self._broken

    def end_segment(self, path: Path | None, tail: Callable[[], list[T]] | None = None) -> None:
        """All items since the last end are in the journal file `path` and make one load."""
        self._append([SegmentEnd(path, tail)], 0)

    def close(self) -> None:
        """No more segments."""
        self._append([None], 0)

    def fail(self, error: BaseException) -> None:
        """Called by the consumer when it cannot go on: from now on `put` raises `error`."""
        self._broken = error
        self._loop.call_soon_threadsafe(self._room.set)

    def segments(self) -> Iterator[Segment[T]]:
        """For the consumer thread: one segment after the other until `close`."""
        while (first := self._take()) is not None:
            segment = Segment(self._take, first)
            yield segment
            segment.drain()
            if segment.is_cut:
                return

    def _append(self, entries: Sequence[Item | SegmentEnd[T] | None], nbytes: int) -> None:
        with self._filled:
            self._waiting.extend(entries)
            self._bytes += nbytes
            if self._bytes >= self._max_bytes and self._broken is None:
                self._room.clear()
            self._filled.notify()

    def _take(self) -> Item | SegmentEnd[T] | None:
        if not self._taken:
            self._take_some()
        return self._taken.popleft()

    def _take_some(self) -> None:
        """Take waiting entries until they have `TAKEN_BYTES`, so that many small items cost one lock."""
        with self._filled:
            while not self._waiting:
                self._filled.wait()
            nbytes = 0
            while self._waiting and nbytes < TAKEN_BYTES:
                entry = self._waiting.popleft()
                self._taken.append(entry)
                nbytes += entry.nbytes if isinstance(entry, Item) else 0
            before, self._bytes = self._bytes, self._bytes - nbytes
            if before >= self._max_bytes > self._bytes:
                self._loop.call_soon_threadsafe(self._room.set)
