"""When the next request may leave: the rule of the minute, as a pure function.

Two rules decide together. The *window* is the promise: the request N places back must be a whole
window old. The *pace* is the manner: one request each window / N, except that an account which was
idle may send a small burst first, so that a sync of ten requests does not take twenty seconds.

Why no 60 seconds at the server hold more than N. Slots are booked in order and their instants never
decrease. For every slot k, the window rule says `instant[k] >= instant[k - N] + WINDOW`, so any
half-open span of WINDOW seconds holds at most N instants. The server sees a request some delay after
its instant; only the *difference* between two delays can bring requests closer together, and while
that is below WINDOW - 60 s = GUARD, two requests that arrive within 60 s have instants within WINDOW.
A process that is late at its slot by more than LATE gives the slot back and books again, which
leaves GUARD - LATE for the network. The price of the guard is 60 / 60.9: 98.5 % of the rate.

Why a full minute is no loss. Having spent its burst, an account reaches its N early and waits for
the first slots to age. That wait is not idleness: it uses up the burst, and from then on the window
and the pace agree and requests flow one by one, N each window.
"""

from __future__ import annotations

from oa_sync.quota.limits import SECOND

GUARD = 900_000
"""Microseconds by which a window is kept longer than the server's."""
WINDOW = 60 * SECOND + GUARD
LATE = 0.4
"""Seconds after its instant at which a slot can no longer be used."""
HORIZON = SECOND
"""Microseconds ahead that one process may book more than a single slot."""
SMALLEST_BURST = 10
"""Requests an idle account may send at once, whatever its limit (a tenth of it when larger)."""


def spacing(per_minute: int) -> int:
    """Microseconds between two requests at an even pace."""
    return -(-WINDOW // per_minute)


def burst(per_minute: int) -> int:
    """Requests an account that was idle for a while may send without waiting."""
    return min(per_minute, max(SMALLEST_BURST, per_minute // 10))


def next_slot(per_minute: int, *, pace: int, earliest: int, window_free: int) -> tuple[int, int]:
    """The instant of the next request, and the pace after it (epoch microseconds both).

    `pace` is the instant by which an account that always kept its rate would send its next request
    (0 when it never sent any); `earliest` is now, or the instant of the last slot if that is later;
    `window_free` is when the window has room again (0 when it has).
    """
    gap = spacing(per_minute)
    allowance = (burst(per_minute) - 1) * gap
    instant = max(earliest, pace - allowance)
    if window_free > instant:
        instant = window_free
        pace = max(pace, instant + allowance)
    return instant, max(pace, instant) + gap
