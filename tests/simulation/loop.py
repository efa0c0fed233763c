"""One thread in which everything takes turns: an event loop with time of its own, and the loading side as a
greenlet beside it. Who goes on when both could is drawn from the seed, so that a seed is a night."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Any, Self, TypeVar

import greenlet

T = TypeVar("T")


class Stuck(AssertionError):
    """Everybody waits for somebody."""


class Time:
    """True time, in whole microseconds since the world began. It passes only when everybody waits.

    Sums of floating seconds are not exact, and who waits for the last 10^-13 of one waits for ever.
    """

    def __init__(self) -> None:
        self._now = self._slept = 0

    @property
    def seconds(self) -> float:
        """Seconds since the world began."""
        return self._now / 1e6

    @property
    def awake(self) -> float:
        """What a monotonic clock shows, which stands still while the machine is suspended."""
        return (self._now - self._slept) / 1e6

    def pass_by(self, seconds: float) -> None:
        """Let `seconds` pass, and no less."""
        self._now += math.ceil(seconds * 1e6)

    def suspend(self, seconds: float) -> None:
        """Let `seconds` pass while the machine is suspended."""
        self._now += math.ceil(seconds * 1e6)
        self._slept += math.ceil(seconds * 1e6)


class _NoSelector:
    """Stands for the operating system's: nothing but time ever happens."""

    def __init__(self, idle: Callable[[float | None], None]) -> None:
        self._idle = idle

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout > 0:
            self._idle(timeout)
        return []

    def register(self, *_: Any) -> None:
        raise AssertionError("a simulated night opens no socket")

    def get_map(self) -> dict[Any, Any]:
        return {}

    def close(self) -> None:
        pass


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is `time`; `turns` go on before time does."""

    def __init__(self, time: Time, turns: Sides) -> None:
        self._true_time, self._turns = time, turns
        super().__init__(_NoSelector(self._idle))  # type: ignore[arg-type]
        # Sums of many seconds are not exact: what is due within a microsecond is due.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._true_time.awake

    def _idle(self, timeout: float | None) -> None:
        if self._turns.may_go_on(timeout is None):
            self._turns.go_on()
        elif timeout is None:
            raise Stuck("nothing is due, and the loading side waits too")
        else:
            self._true_time.pass_by(timeout)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Without an executor at once: what is only moved off the loop for its length."""
        if executor is not None:
            return super().run_in_executor(executor, func, *args)
        done: asyncio.Future[T] = self.create_future()
        done.set_result(func(*args))
        return done

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        raise NotImplementedError

    def _make_self_pipe(self) -> None:
        pass

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


class Turns(Executor):
    """The loading side: jobs in their order, in a greenlet that runs only when it is given a turn.

    `eagerness` (0 to 1) is how often it gets one before it must.
    """

    def __init__(self, chance: random.Random, eagerness: float) -> None:
        self._chance, self._eagerness = chance, eagerness
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._loading: greenlet.greenlet | None = None
        self._waits = False
        """The loading side waits for items, and none came since."""
        self.dead: BaseException | None = None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        self._jobs.append((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing is left to do: whoever shuts down has awaited all jobs."""

    def may_go_on(self, must: bool = True) -> bool:
        """Whether there is something to do on the loading side that is its turn."""
        has_work = (self._loading is not None and not self._waits) or (
            self._loading is None and bool(self._jobs)
        )
        return has_work and (must or self._chance.random() < max(self._eagerness, 0.05))

    def go_on(self) -> None:
        """Give the loading side a turn: until it waits, gives way or is done."""
        if self._loading is None:
            self._loading = greenlet.greenlet(self._work)
        self._loading.switch()

    def give_way(self) -> None:
        """Called by either side where others may go on; it does, if the seed says so."""
        if greenlet.getcurrent() is self._loading:
            if self._chance.random() >= self._eagerness:
                self._to_loop()
        elif self.may_go_on(must=False):
            self.go_on()

    def condition(self) -> Condition:
        """What the queue between both sides waits on."""
        return Condition(self)

    def wait(self) -> None:
        self._waits = True
        self._to_loop()

    def notify(self) -> None:
        self._waits = False
        if greenlet.getcurrent() is not self._loading:
            self.give_way()

    def kill(self) -> None:
        """The process is gone: so is what the loading side was about."""
        loading, self._loading = self._loading, None
        self._jobs.clear()
        if loading is not None and not loading.dead:
            loading.throw(greenlet.GreenletExit)

    def _to_loop(self) -> None:
        current = greenlet.getcurrent()
        assert current is self._loading and current.parent is not None
        current.parent.switch()

    def _work(self) -> None:
        while self._jobs:
            future, job = self._jobs.popleft()
            try:
                result = job()
            except greenlet.GreenletExit:
                raise
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
        self._loading = None


class Sides:
    """The loading sides of all syncs on one loop; in a night with one sync, that of this one."""

    def __init__(self, turns: Sequence[Turns]) -> None:
        self._turns = deque(turns)
        self._next: Turns | None = None

    def may_go_on(self, must: bool = True) -> bool:
        """Whether one of them has something to do and it is its turn."""
        self._turns.rotate()
        self._next = next((side for side in self._turns if side.may_go_on(must)), None)
        return self._next is not None

    def go_on(self) -> None:
        """Give the one that was found a turn."""
        assert self._next is not None
        self._next.go_on()


class Condition:
    """As `threading.Condition`, between two sides that take turns."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def wait(self) -> None:
        self._turns.wait()

    def notify(self) -> None:
        self._turns.notify()
