"""Many requests, one flush: deliveries that wait at the same time share a commit of the inbox.

A flush to the disk takes milliseconds whatever its size. One thread writes: the deliveries that arrive
during a flush are gathered and go into the next one.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import NamedTuple

from oa_sync.clock import Clock
from oa_sync.webhooks.inbox import Inbox

GATHER_SECONDS = 0.005
"""How long the first delivery of a commit waits for more: at 1,000 a second a commit then holds about ten
instead of one or two, which saves most of the cost of commits and thread switches."""


class _Waiting(NamedTuple):
    body: bytes
    received_at: datetime
    stored: asyncio.Future[bool]


class GroupCommit:
    """Writes to `inbox` for one event loop. Close it after the last `append` has returned."""

    def __init__(self, inbox: Inbox, clock: Clock) -> None:
        self._inbox, self._clock = inbox, clock
        self._thread = ThreadPoolExecutor(1, "inbox")
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def append(self, body: bytes, received_at: datetime) -> bool:
        """As `Inbox.append`: on disk when it returns, False for a duplicate.

        Raises:
            OaSyncError: the inbox failed, and nothing of this commit was stored.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(body, received_at, loop.create_future())
        self._waiting.append(waiting)
        if self._writing is None:
            self._writing = loop.create_task(self._write())
        return await waiting.stored

    async def depth(self) -> int:
        """As `Inbox.depth`, on the thread that writes."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._inbox.depth)

    def close(self) -> None:
        """Wait for the thread to end. The inbox stays open."""
        self._thread.shutdown()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await self._clock.sleep(GATHER_SECONDS)
            batch, self._waiting = self._waiting, []
            rows = [(each.body, each.received_at) for each in batch]
            try:
                stored = await loop.run_in_executor(self._thread, self._inbox.append_all, rows)
            except Exception as error:
                for each in batch:
                    if not each.stored.done():
                        each.stored.set_exception(error)
            else:
                for each, is_new in zip(batch, stored, strict=True):
                    if not each.stored.done():
                        each.stored.set_result(is_new)
        self._writing = None
