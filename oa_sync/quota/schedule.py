"""When the next request may leave: the rule of the minute, as a pure function.

Two rules decide together. The *window* keeps the limit of N: the request N places back must be a
whole window old. The *pace* spreads the requests: one each window / N, except that an account which
was idle may send a small burst first, so that a sync of ten requests does not take twenty seconds.

Why no 60 seconds at the server hold more than N. Slots are booked in order and their instants never
decrease. For every slot k, the window rule says `instant[k] >= instant[k - N] + WINDOW`, so any
half-open span of WINDOW seconds holds at most N instants. The server sees a request some delay after
its instant; only the *difference* between two delays can bring requests closer together, and while
that is below WINDOW - 60 s = GUARD, two requests that arrive within 60 s have instants within WINDOW.
A process that is late at its slot by more than LATE gives the slot back and books again, which
leaves GUARD - LATE for the network. The price of the guard is 60 / 60.9: 98.5 % of the rate.

Why the wait at a full minute is no loss. After its burst an account reaches N early and waits for
the first slots to age. That wait only pays back the burst: from then on the window and the pace
agree, and requests leave one by one, N each window.
"""

from __future__ import annotations

from collections import Counter

from oa_sync.quota.book import Book
from oa_sync.quota.limits import SECOND, WINDOW

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


def book_slots(
    book: Book, per_minute: int | None, want: int, not_before: int
) -> list[tuple[int, int]]:
    """Count up to `want` (at least 1) requests; their numbers and instants, in order.

    The first may lie far ahead, further ones at most `HORIZON`. `not_before`: an epoch microsecond,
    0 for none.
    """
    state = book.state
    if per_minute is None:
        instant = max(state.clock, not_before)
        slots = [(state.seq + 1 + index, instant) for index in range(want)]
        state.latest = max(state.latest, instant)
    else:
        slots = _paced(book, per_minute, want, not_before)
    state.seq += len(slots)
    book.add_slots(slots)
    for second, count in Counter(instant // SECOND for _, instant in slots).items():
        book.spend(second, sent=count)
    return slots


def _paced(book: Book, per_minute: int, want: int, not_before: int) -> list[tuple[int, int]]:
    state = book.state
    window = _WindowRule(book, per_minute, want)
    pace, earliest = state.pace, max(state.clock, state.latest)
    slots: list[tuple[int, int]] = []
    while len(slots) < want:
        number = state.seq + 1 + len(slots)
        free = max(not_before, window.free_at(number, earliest))
        instant, after = next_slot(per_minute, pace=pace, earliest=earliest, window_free=free)
        if slots and instant > state.clock + HORIZON:
            break
        window.note(number, instant)
        slots.append((number, instant))
        pace, earliest = after, instant
    state.pace, state.latest = pace, earliest
    return slots


class _WindowRule:
    """When the minute's window has room for a slot, requests of others counted in."""

    def __init__(self, book: Book, per_minute: int, want: int) -> None:
        state = book.state
        self._limit = per_minute
        self._foreign_until = state.foreign_until
        active = state.foreign_until > state.clock
        self._reduced = max(0, per_minute - state.foreign_count) if active else per_minute
        first = state.seq + 1 - per_minute
        last = state.seq + want - self._reduced
        self._instants = book.instants(first, last)

    def free_at(self, number: int, earliest: int) -> int:
        """The earliest instant for slot `number`; 0 when the window does not bind."""
        alone = self._aged(number - self._limit)
        if self._reduced == self._limit:
            return alone
        if self._reduced == 0:
            return max(alone, self._foreign_until)
        shared = self._aged(number - self._reduced)
        return max(alone, min(shared, self._foreign_until)) if shared > earliest else alone

    def note(self, number: int, instant: int) -> None:
        """Remember a slot of the same booking."""
        self._instants[number] = instant

    def _aged(self, number: int) -> int:
        instant = self._instants.get(number)
        return 0 if instant is None else instant + WINDOW
