"""Stopping early: no more requests are sent, those in flight finish, what was fetched is loaded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any, TypeVar

from oa_sync.clock import Clock
from oa_sync.errors import Interrupted
from oa_sync.quota.pacer import Limiter

logger = logging.getLogger(__name__)
T = TypeVar("T")

GRACE_SECONDS = 3.0
"""For answers to requests in flight. `docker stop` kills after 10 s, and the load comes after this."""


class Stop:
    """A way to stop a command from outside: hand it to `sync`, and call `request`."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._listeners: list[Callable[[str], None]] = []

    def request(self, reason: str = "stopped") -> None:
        """Stop, from now on and for good, every command that has this. Call it from any thread, or from a
        signal handler. `reason` goes to the log."""
        self._reason = reason
        for listener in tuple(self._listeners):
            listener(reason)

    @contextlib.contextmanager
    def heard_by(self, listener: Callable[[str], None]) -> Iterator[None]:
        """For the `with` block, call `listener` with the reason: at once, where the stop was requested."""
        self._listeners.append(listener)
        try:
            if self._reason is not None:
                listener(self._reason)
            yield
        finally:
            self._listeners.remove(listener)


class Stopping:
    """Whether a command was told to stop, for all in it that waits or sends. Create it on the event loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @contextlib.contextmanager
    def on(self, stop: Stop | None) -> Iterator[None]:
        """In the `with` block, stop when `stop` is requested, from whatever thread."""
        if stop is None:
            yield
            return
        loop = asyncio.get_running_loop()

        def heard(reason: str) -> None:
            if not self._event.is_set():
                logger.warning(
                    "%s: stopping; no more requests, what is in flight has %.0f s, then what was fetched is"
                    " loaded. A second Ctrl-C ends at once",
                    reason,
                    GRACE_SECONDS,
                )
            self.request()

        def hear(reason: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(heard, reason)

        with stop.heard_by(hear):
            yield

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


def _interrupted() -> Interrupted:
    return Interrupted("stopped before the end; what was fetched is loaded")


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


def run_stoppable(work: Callable[[Stop], Coroutine[Any, Any, T]], stop: Stop | None = None) -> T:
    """Run `work` to its end on an event loop of its own and return what it returns.

    SIGTERM and Ctrl-C request the stop as long as it runs, where this is the main thread; a second one ends
    the process. If a loop is running in this thread already, as in a notebook, `work` runs in another
    thread, this one waits, and a second signal is left to the host program.
    """
    stop = stop or Stop()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with _requested_by_signals(stop, second=signal.SIG_DFL):
            return asyncio.run(work(stop))
    with _requested_by_signals(stop), ThreadPoolExecutor(1, "oa-sync") as thread:
        return thread.submit(lambda: asyncio.run(work(stop))).result()


@contextlib.contextmanager
def _requested_by_signals(stop: Stop, second: signal.Handlers | None = None) -> Iterator[None]:
    """In the `with` block, the first SIGTERM or Ctrl-C requests `stop`; `second` handles the next one (None:
    the handler of the host program). Then the host's handlers are put back. A signal that it ignores stays
    ignored."""
    told = False
    before: dict[int, Any] = {}

    def heard(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if told:
            signal.signal(number, before[number] if second is None else second)
            signal.raise_signal(number)
        told = True
        stop.request(signal.Signals(number).name)

    if threading.current_thread() is threading.main_thread():
        for one in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(one)
            if handler not in (signal.SIG_IGN, None):  # None: it was not set by Python
                before[one] = handler
                signal.signal(one, heard)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
