"""Bodies that are being received, counted byte by byte as they arrive, and bounded all together.

What a sender only announces takes nothing. Where the bytes of all pass the bound, the oldest body that is not
whole goes: a callback of the API is whole in an instant.
"""

from __future__ import annotations

import asyncio


class CrowdedError(Exception):
    """There is no memory for this body."""


class Reading:
    """One body under way. `held`: its bytes in memory. `made_room`: it was ended for others."""

    def __init__(self) -> None:
        self.deadline: asyncio.Timeout | None = None
        self.held = 0
        self.made_room = False

    def end(self) -> None:
        """Stop reading now, in whatever task that is."""
        self.made_room = True
        if self.deadline is not None:
            self.deadline.reschedule(asyncio.get_running_loop().time())


class Bodies:
    """All bodies in memory, `most` bytes together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._unfinished: dict[Reading, None] = {}

    def begin(self, reading: Reading, deadline: asyncio.Timeout) -> None:
        """A body begins to arrive; `deadline` ends it."""
        reading.deadline = deadline
        self._unfinished[reading] = None

    def take(self, reading: Reading, size: int) -> None:
        """`size` bytes more of it arrived.

        Raises:
            CrowdedError: all other bytes belong to bodies that are whole, or this body had to make room.
        """
        if reading.made_room:
            raise CrowdedError
        self._held += size
        reading.held += size
        while self._held > self._most:
            oldest = next((each for each in self._unfinished if each is not reading), None)
            if oldest is None:
                reading.made_room = True
                raise CrowdedError
            self.let_go(oldest)
            oldest.end()

    def whole(self, reading: Reading) -> None:
        """It is all there; its bytes stay until `let_go`."""
        self._unfinished.pop(reading, None)

    def let_go(self, reading: Reading) -> None:
        """Its bytes are not needed any more."""
        self._unfinished.pop(reading, None)
        self._held -= reading.held
        reading.held = 0
