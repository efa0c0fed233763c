"""Which connections stay when there are too many: the one that got on least goes, whoever it is from.

Behind a proxy all senders have one address, so an address says nothing. What a sender does says a lot: the API
sends a whole callback at once, while who holds a connection open does not. So a newcomer is let in, and the
connection that has waited longest in its stage makes room. Only requests that are whole are never ended.
"""

from __future__ import annotations

import itertools
import logging
from enum import IntEnum
from typing import Protocol

from oa_sync.clock import Clock

logger = logging.getLogger(__name__)

YOUNG_SECONDS = 1.0
"""A connection without a whole head is as good as any other for so long: what it has sent may not be read yet."""


_TELL_EACH_SECONDS = 10.0


class Stage(IntEnum):
    """How far a connection is; the lowest goes first."""

    HEAD = 0
    """Its head is awaited (or its TLS handshake, or the rest of a body that was refused)."""
    BODY = 1
    """Its head is there, its body is not whole."""
    PROVEN = 2
    """It brought a signed callback, and now waits for the next."""
    WHOLE = 3
    """Its request is whole and being answered. It is not ended."""


class Connection(Protocol):
    """What `Connections` can do with one."""

    def end(self) -> None:
        """Close it at once."""
        ...


class Connections:
    """The open connections, `most` at a time."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most, self._clock = most, clock
        self._turns = itertools.count()
        self._stages: dict[Connection, Stage] = {}
        # The connections of each stage in the order of entering it: the instant, and a turn for those of one.
        self._in: dict[Stage, dict[Connection, tuple[float, int]]] = {each: {} for each in Stage}
        self._ended, self._told_at = 0, float("-inf")

    def add(self, newcomer: Connection) -> bool:
        """Let `newcomer` in, and end another if there are too many. False: each other one is being answered."""
        room = len(self._stages) < self._most or self._end_one()
        if room:
            self.move(newcomer, Stage.HEAD)
        return room

    def move(self, connection: Connection, stage: Stage) -> None:
        """`connection` has just entered `stage`."""
        self.remove(connection)
        self._stages[connection] = stage
        self._in[stage][connection] = (self._clock.monotonic(), next(self._turns))

    def remove(self, connection: Connection) -> None:
        """`connection` is closed."""
        stage = self._stages.pop(connection, None)
        if stage is not None:
            del self._in[stage][connection]

    def _end_one(self) -> bool:
        """End the oldest of those that got on least."""
        found = self._least()
        if found is None:
            return False
        self.remove(found)
        found.end()
        self._ended += 1
        now = self._clock.monotonic()
        if now - self._told_at >= _TELL_EACH_SECONDS:
            # Not one line for each: who floods us would fill the disk with them.
            logger.warning(
                "%d connections are open; ended those that got on least: %d so far",
                self._most,
                self._ended,
            )
            self._told_at = now
        return True

    def _least(self) -> Connection | None:
        oldest = {stage: next(iter(self._in[stage].items()), None) for stage in Stage}
        head, body, proven = (oldest[each] for each in (Stage.HEAD, Stage.BODY, Stage.PROVEN))
        if head and body and head[1][0] > self._clock.monotonic() - YOUNG_SECONDS:
            return min(head, body, key=lambda each: each[1][1])[0]
        least = head or body or proven
        return least[0] if least else None
