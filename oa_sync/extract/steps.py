"""Items into the journal and on to the loading thread, in steps of bounded size and age."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from oa_sync.clock import Clock
from oa_sync.extract.items import Item
from oa_sync.extract.journal import Journal

STEP_BYTES = 256 * 1024 * 1024
STEP_SECONDS = 300.0


class Queue(Protocol):
    """What a step needs of the way to the loading thread (see `oa_sync.load.queue`)."""

    async def put(self, item: Item) -> None:
        """Hand an item over; waits when too much is under way."""

    def end_segment(self, path: Path | None, tail: Callable[[], list[Any]] | None = None) -> None:
        """Everything put so far is in the journal file `path` and makes one load."""


class Steps:
    """Writes every item to the journal before it goes on, and closes a segment when it is large or
    old, so that a crash after an hour costs minutes. A key stands at most once in a segment."""

    def __init__(
        self,
        journal: Journal,
        queue: Queue,
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

    async def emit(self, item: Item) -> None:
        """Take in one item; after the return a kill does not lose it."""
        key = (item.resource, item.key)
        old = self._clock.monotonic() - self._since >= self._max_seconds
        if self._keys and (key in self._keys or self._bytes >= self._max_bytes or old):
            self._end(None)
        if not self._keys:
            self._since = self._clock.monotonic()
        self._journal.append(item)
        self._keys.add(key)
        self._bytes += item.nbytes
        await self._queue.put(item)

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
