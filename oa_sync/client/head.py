"""Waiting for the head of an answer, and no longer than a silent server could take."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx

from oa_sync.errors import ConnectionFailedError


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: for a connection, between two pieces read or written, for a free connection, and
    for one attempt as a whole (a server that drips bytes never meets the others)."""

    connect: float = 10.0
    read: float = 60.0
    write: float = 60.0
    pool: float = 60.0
    attempt: float = 900.0

    @property
    def head(self) -> float:
        """For the head of an answer. A server that is silent meets `read` long before; one that sends interim
        answers (103 and other 1xx) without end would hold a request for a whole attempt."""
        return self.pool + self.connect + self.write + self.read


class EndlessHeadError(ConnectionFailedError):
    """A server that sends something all the time, and never the head of its answer; it would do so again."""


async def head_of(
    http: httpx.AsyncClient, request: httpx.Request, timeouts: Timeouts, what: str
) -> httpx.Response:
    """The head of the answer to `request`; its body is still to be read. `what` names the request in messages.

    Raises:
        EndlessHeadError: none came in time.
        httpx.HTTPError: as httpx does.
    """
    try:
        async with asyncio.timeout(timeouts.head):
            return await http.send(request, stream=True)
    except TimeoutError:
        raise EndlessHeadError(
            f"{what} failed: no head of an answer within {timeouts.head:,.0f} s, though the server sent something;"
            " tell the vendor"
        ) from None
