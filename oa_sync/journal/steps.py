"""Items into the journal and on to the loading thread, in steps of bounded size and age."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from oa_sync.clock import Clock
from oa_sync.journal.items import Item
from oa_sync.journal.journal import Journal
from oa_sync.journal.queue import SegmentQueue

STEP_BYTES = 256 * 1024 * 1024
STEP_SECONDS = 300.0
HANDED_OVER_BYTES = 256 * 1024
"""Of the rows of a page, so that a page of any size has its bytes in flight bounded."""


class Steps:
    """Writes every item to the journal before it goes on, and closes a segment when it is large or
    old, so that a crash after an hour costs minutes. A key stands at most once in a segment."""

    def __init__(
        self,
        journal: Journal,
        queue: SegmentQueue[Any],
        clock: Clock,
        *,
        max_bytes: int = STEP_BYTES,
        max_seconds: float = STEP_SECONDS,
    ) -> None:
        self._journal, self._queue, self._clock = journal, queue, clock
        self._max_bytes, self._max_seconds = max_bytes, max_seconds
        self._keys: set[tuple[str, str]] = set()
        self._bytes = 0
        self._since = clock.monotonic()

    async def emit(self, items: Iterable[Item]) -> None:
        """Take in items; after the return a kill does not lose those that cost a request."""
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
            # What is in a journal file has to be loaded with it, for the file is deleted then.
            await held.hand_over()

    def finish(self, tail: Callable[[], list[Any]]) -> None:
        """Close the last segment; the rows of `tail()` are loaded with it."""
        self._end(tail)

    def _end(self, tail: Callable[[], list[Any]] | None) -> None:
        path = None
        try:
            path = self._journal.rotate()
        finally:
            # Without a path, the segment is loaded and its file stays, to be loaded once more.
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
