"""How long is waited between two polls, and when no more are sent."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from oa_sync.errors import ApiError
from oa_sync.extract.jobs.polling import FIRST_WAIT, LONGEST_WAIT, Polling
from tests.support.clock import ManualClock


def waits(seconds: float, times: int) -> list[float]:
    """The first waits of a poll that may take so many seconds."""
    clock = ManualClock()

    async def wait() -> None:
        polling = Polling(clock, seconds)
        for number in range(times):
            assert polling.polls == number
            await polling.wait("query q", "running")

    asyncio.run(wait())
    return clock.sleeps


def test_waits_grow_by_half_from_a_second_to_half_a_minute() -> None:
    seen = waits(10_000, 12)
    assert seen[:4] == [FIRST_WAIT, 1.5, 2.25, 3.375]
    assert seen[-2:] == [LONGEST_WAIT, LONGEST_WAIT]
    assert all(one < other for one, other in pairwise(seen[:10]))


def test_the_last_wait_ends_with_the_time() -> None:
    assert waits(3.0, 3) == [1.0, 1.5, 0.5]


def test_no_poll_is_sent_when_the_time_is_over() -> None:
    with pytest.raises(ApiError, match=r"query q is still running after 4 s; .* --timeout"):
        waits(4.0, 4)


def test_the_time_is_counted_from_the_first_request() -> None:
    clock = ManualClock()
    clock.advance(50)
    assert Polling(clock, 4.0).deadline == clock.monotonic() + 4.0
