"""Asking again for something that the API is still making: ever longer waits, and a time limit."""

from __future__ import annotations

from oa_sync.clock import Clock
from oa_sync.errors import ApiError

FIRST_WAIT = 1.0
LONGEST_WAIT = 30.0
_GROWTH = 1.5


class Polling:
    """The waits between the polls of one thing, `seconds` in all by `clock`.

    Every poll is a request that counts, so the waits grow from a second to half a minute: a result
    that takes ten minutes costs some 27 requests. `deadline` is the end by the clock's `monotonic()`.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self._wait = FIRST_WAIT
        self.polls = 0
        self.deadline = clock.monotonic() + seconds

    async def wait(self, what: str, state: str) -> None:
        """Wait before the next poll of `what`, which is in `state` (both for the message).

        Raises:
            ApiError: the time is over.
        """
        left = self.deadline - self._clock.monotonic()
        if left <= 0:
            raise ApiError(
                f"{what} is still {state} after {self._seconds:,.0f} s; it may well end later: run"
                " again with a longer --timeout"
            )
        await self._clock.sleep(min(self._wait, left))
        self._wait = min(LONGEST_WAIT, self._wait * _GROWTH)
        self.polls += 1
