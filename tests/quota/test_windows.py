"""The promise, tried by chance: no window at the server ever holds more than the limit.

The model is independent of the code: it looks at the instants at which requests arrive at the
server, in true time, whatever the machine's wall clock says meanwhile.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st

from oa_sync.errors import BudgetExhausted
from oa_sync.quota.ledger import Ledger
from oa_sync.quota.limits import Limits
from oa_sync.quota.pacer import QuotaLimiter
from oa_sync.quota.sqlite_ledger import SqliteLedger
from tests.support.clock import ManualClock
from tests.support.properties import examples

DAY = 86_400.0


class CrookedClock(ManualClock):
    """A wall clock that may be set back, and waits that end too late."""

    def __init__(self, oversleeps: list[float]) -> None:
        super().__init__()
        self.set_back = 0.0
        self._oversleeps = oversleeps

    def now(self) -> datetime:
        return super().now() - timedelta(seconds=self.set_back)

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if self._oversleeps:
            self.advance(self._oversleeps.pop())


@dataclass
class Server:
    """Stamps requests as they arrive, some delay after they left."""

    clock: ManualClock
    delays: list[float]
    arrivals: list[float] = field(default_factory=list)

    def receive(self) -> None:
        delay = self.delays[len(self.arrivals) % len(self.delays)]
        self.arrivals.append(self.clock.monotonic() + delay)

    def busiest(self, seconds: float) -> int:
        """The most requests in any half-open window of `seconds`."""
        times = sorted(self.arrivals)
        first = worst = 0
        for last, instant in enumerate(times):
            while instant - times[first] >= seconds:
                first += 1
            worst = max(worst, last - first + 1)
        return worst


@dataclass(frozen=True)
class Step:
    """Somebody asks `asks` times at once with limiter `who`, after the time moved."""

    who: int
    asks: int
    pause: float
    set_back: float
    restart: bool


SET_BACK = st.sampled_from([0.0] * 6 + [0.04, 0.9, 30.0, 3600.0, 3 * DAY])


def scripts(pauses: st.SearchStrategy[float]) -> st.SearchStrategy[list[Step]]:
    step = st.builds(
        Step,
        who=st.integers(0, 2),
        asks=st.integers(0, 6),
        pause=pauses,
        set_back=SET_BACK,
        restart=st.booleans(),
    )
    return st.lists(step, min_size=2, max_size=14)


async def play(
    script: list[Step], clock: CrookedClock, server: Server, make: Callable[[int], QuotaLimiter]
) -> list[QuotaLimiter]:
    limiters = [make(number) for number in range(3)]
    retired: list[QuotaLimiter] = []

    async def ask(limiter: QuotaLimiter) -> None:
        try:
            await limiter.acquire()
        except BudgetExhausted:
            return
        server.receive()

    for step in script:
        clock.advance(step.pause)
        clock.set_back += step.set_back
        if step.restart:
            retired.append(limiters[step.who])
            limiters[step.who] = make(step.who)
        other = (step.who + 1) % 3
        await asyncio.gather(
            *(ask(limiters[step.who if turn % 3 else other]) for turn in range(step.asks))
        )
    return retired + limiters


def check(script: list[Step], limits: Limits, oversleeps: list[float], delays: list[float]) -> None:
    assume(
        sum(step.asks for step in script) > min(filter(None, (limits.per_minute, limits.per_day)))
    )
    clock = CrookedClock(oversleeps)
    server = Server(clock, delays)
    with tempfile.TemporaryDirectory() as folder:
        ledgers: list[Ledger] = [
            SqliteLedger(Path(folder) / "quota.sqlite3", clock) for _ in range(3)
        ]
        account = ledgers[0].account("oa_test_key", "")

        def make(number: int) -> QuotaLimiter:
            return QuotaLimiter(ledgers[number], account, limits, clock, reserve=0.0)

        limiters = asyncio.run(play(script, clock, server, make))
        assert sum(limiter.made for limiter in limiters) == len(server.arrivals)
        if limits.per_minute is not None:
            assert server.busiest(60.0) <= limits.per_minute
        if limits.per_day is not None:
            assert server.busiest(DAY) <= limits.per_day
        for ledger in ledgers:
            ledger.close()


OVERSLEEPS = st.lists(st.sampled_from([0.0, 0.1, 0.39, 0.41, 2.0]), max_size=20)
DELAYS = st.lists(st.sampled_from([0.0, 0.1, 0.49]), min_size=1, max_size=9)
THOROUGHLY = examples(80)


@THOROUGHLY
@given(
    script=scripts(st.one_of(st.floats(0, 5), st.floats(0, 61), st.sampled_from([59.9, 60.0]))),
    per_minute=st.integers(1, 6),
    oversleeps=OVERSLEEPS,
    delays=DELAYS,
)
def test_no_minute_at_the_server_holds_more_than_the_limit(
    script: list[Step], per_minute: int, oversleeps: list[float], delays: list[float]
) -> None:
    check(script, Limits(per_minute, None), oversleeps, delays)


@THOROUGHLY
@given(
    script=scripts(st.one_of(st.floats(0, DAY), st.sampled_from([DAY - 1, DAY, DAY + 1]))),
    per_day=st.integers(1, 12),
    per_minute=st.one_of(st.none(), st.integers(3, 9)),
    delays=DELAYS,
)
def test_no_24_hours_at_the_server_hold_more_than_the_limit(
    script: list[Step], per_day: int, per_minute: int | None, delays: list[float]
) -> None:
    check(script, Limits(per_minute, per_day), [], delays)


def test_the_rate_is_filled_to_98_percent_and_evenly(ledger: Ledger, clock: ManualClock) -> None:
    server = Server(clock, [0.0])
    limiter = QuotaLimiter(ledger, 1, Limits(600, None), clock, reserve=0.0)

    async def run() -> None:
        while clock.monotonic() < 600.0:
            await limiter.acquire()
            server.receive()

    asyncio.run(run())
    assert len(server.arrivals) >= 0.98 * 6_000
    assert server.busiest(60.0) <= 600
    assert server.busiest(1.0) <= 60 + 10
    later = [instant for instant in server.arrivals if instant > 70.0]
    assert max(b - a for a, b in pairwise(later)) < 0.11


def test_an_idle_account_sends_ten_requests_without_waiting(
    ledger: Ledger, clock: ManualClock
) -> None:
    limiter = QuotaLimiter(ledger, 1, Limits(30, 500), clock, reserve=0.0)

    async def run() -> None:
        for _ in range(10):
            await limiter.acquire()

    asyncio.run(run())
    assert clock.monotonic() == 0.0


def test_the_minute_is_remembered_when_the_process_ends(ledger: Ledger, clock: ManualClock) -> None:
    async def spend(requests: int) -> None:
        limiter = QuotaLimiter(ledger, 1, Limits(5, None), clock, reserve=0.0)
        for _ in range(requests):
            await limiter.acquire()

    asyncio.run(spend(5))
    assert clock.monotonic() == 0.0
    asyncio.run(spend(1))
    assert 60.0 < clock.monotonic() < 61.0
