"""Items into the journal and on to the loading thread, in segments of bounded size and age."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from oa_sync.clock import Clock
from oa_sync.journal.items import Item
from oa_sync.journal.journal import Journal
from oa_sync.journal.queue import SegmentQueue

SEGMENT_BYTES = 256 * 1024 * 1024
SEGMENT_SECONDS = 300.0
HANDED_OVER_BYTES = 256 * 1024
"""Items are handed over when they have this size, so that even a huge page keeps the bytes in flight
bounded."""


class SegmentWriter:
    """Writes every item to the journal before it is handed over. Closes a segment when it is large or
    old, so that a crash after an hour costs minutes. A segment holds a key at most once."""

    def __init__(
        self,
        journal: Journal,
        queue: SegmentQueue[Any],
        clock: Clock,
        *,
        max_bytes: int = SEGMENT_BYTES,
        max_seconds: float = SEGMENT_SECONDS,
    ) -> None:
        self._journal, self._queue, self._clock = journal, queue, clock
        self._max_bytes, self._max_seconds = max_bytes, max_seconds
        self._keys: set[tuple[str, str]] = set()
        self._bytes = 0
        self._since = clock.monotonic()

    async def emit(self, items: Iterable[Item]) -> None:
        """Write `items` and hand them over. When this returns, a kill does not lose details."""
        held = _Held(self._queue)
        try:
            for item in items:
                key = (item.resource, item.key)
                old = self._clock.monotonic() - self._since >= self._max_seconds
                if self._keys and (key in self._keys or self._bytes >= self._max_bytes or old):
                    await held.hand_over()
                    self._end(None)
                if not self._keys:
                    self._since = self._clock.monotonic()
                self._journal.append(item)
                self._keys.add(key)
                self._bytes += item.nbytes
                held.items.append(item)
                held.nbytes += item.nbytes
                if held.nbytes >= HANDED_OVER_BYTES:
                    await held.hand_over()
        finally:
            # All that is in a journal file must be handed over: it is deleted after the load.
            await held.hand_over()

    def finish(self, tail: Callable[[], list[Any]]) -> None:
        """Close the last segment; the rows of `tail()` are loaded with it."""
        self._end(tail)

    def _end(self, tail: Callable[[], list[Any]] | None) -> None:
        path = None
        try:
            path = self._journal.rotate()
        finally:
            # If `rotate` failed, the segment is loaded, its file stays, and is loaded once more.
            self._queue.end_segment(path, tail)
            self._keys.clear()
            self._bytes = 0


class _Held:
    """Items that are in the journal and not yet on their way to the loading thread."""

    def __init__(self, queue: SegmentQueue[Any]) -> None:
        self._queue = queue
        self.items: list[Item] = []
        self.nbytes = 0

    async def hand_over(self) -> None:
        if self.items:
            items, self.items, self.nbytes = self.items, [], 0
            await self._queue.put(items)
