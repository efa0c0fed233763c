"""Work that goes on beside the requests, in the loop that serves them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Background:
    """Tasks of the serving loop; `spawn` may be called from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Future[None]] = set()

    def attach(self) -> None:
        """Use the running loop from now on."""
        self._loop = asyncio.get_running_loop()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start `work` in the serving loop. RuntimeError while nothing is served."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the emulator is not being served: nothing can run beside it")
        self._loop.call_soon_threadsafe(self._start, self._loop, work)

    def _start(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
        task = loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
