"""Booking slots of the minute in an account's book, by the rules of `schedule`."""

from __future__ import annotations

from collections import Counter

from oa_sync.quota.book import Book
from oa_sync.quota.limits import SECOND
from oa_sync.quota.schedule import HORIZON, WINDOW, next_slot


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
