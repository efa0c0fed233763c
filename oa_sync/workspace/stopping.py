"""Stopping on a signal: no more requests are sent, those in flight finish, what was fetched is loaded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, TypeVar

from oa_sync.clock import Clock
from oa_sync.errors import Interrupted
from oa_sync.quota.pacer import Limiter

logger = logging.getLogger(__name__)
T = TypeVar("T")

GRACE_SECONDS = 3.0
"""For answers to requests in flight. `docker stop` kills after 10 s, and the load comes after this."""


class Stopping:
    """Whether the process was told to stop, for all that waits or sends. Create it on the event loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def request(self) -> None:
        """Stop from now on."""
        self._event.set()

    def check(self) -> None:
        """Raise Interrupted when told to stop."""
        if self._event.is_set():
            raise _interrupted()

    async def first(self, waiting: asyncio.Future[Any]) -> None:
        """Wait for `waiting` or for the stop, whichever comes first; the other is cancelled."""
        stop = asyncio.ensure_future(self._event.wait())
        both: set[asyncio.Future[Any]] = {waiting, stop}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
        finally:
            for one in both:
                one.cancel()

    async def grant(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`. After the stop it has `GRACE_SECONDS` to end by itself (it takes longer only if the
        server keeps it waiting); then it is cancelled and Interrupted is raised."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await asyncio.wait((task,), timeout=GRACE_SECONDS)
            if task.done():
                return task.result()
            raise _interrupted()
        finally:
            for one in (task, stop):
                one.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """In the `with` block, the first SIGTERM or Ctrl-C requests the stop, the second ends the process."""
        loop = asyncio.get_running_loop()

        def stop(number: signal.Signals) -> None:
            if self._event.is_set():
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            self.request()
            logger.warning("%s: no more requests; loading what was fetched", number.name)

        handled = []
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                loop.add_signal_handler(number, stop, number)
                handled.append(number)
        try:
            yield
        finally:
            for number in handled:
                loop.remove_signal_handler(number)


def _interrupted() -> Interrupted:
    return Interrupted("stopped by a signal; what was fetched is loaded")


class StoppableLimiter:
    """A limiter that grants nothing once the process is told to stop."""

    def __init__(self, limiter: Limiter, stopping: Stopping) -> None:
        self._limiter, self._stopping = limiter, stopping

    async def acquire(self) -> None:
        """As the limiter's; raises Interrupted too."""
        self._stopping.check()
        await self._stopping.first(asyncio.ensure_future(self._limiter.acquire()))
        self._stopping.check()

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """As the limiter's."""
        self._limiter.observe(status, headers)


class StoppableClock(Clock):
    """A clock whose waits end when the process is told to stop."""

    def __init__(self, clock: Clock, stopping: Stopping) -> None:
        self._clock, self._stopping = clock, stopping
        self.now, self.monotonic = clock.now, clock.monotonic  # type: ignore[method-assign]

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`, or until the stop."""
        await self._stopping.first(asyncio.ensure_future(self._clock.sleep(seconds)))
