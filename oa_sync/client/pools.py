"""Connections in small pools, because httpcore looks at every idle connection at every request.

For each it asks the kernel whether the server has closed it, so with 64 connections a request costs 64
system calls and as many property look-ups: a third of all CPU time of a sync of small details (measured, see
tests/benchmarks/RESULTS.md). A request takes the first pool with room: what one connection can do stays with
the first pool.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import httpx

POOL_SIZE = 2
MULTIPLEXED = 8
"""The size of a pool whose connections may turn out to carry several requests at once (HTTP/2)."""


class Pools(httpx.AsyncBaseTransport):
    """A transport over several others, which `make` builds when they are needed; each carries at most
    `size` requests at once."""

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport], size: int = POOL_SIZE) -> None:
        self._make, self._size = make, size
        self._pools: list[_Pool] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` over the first pool that has room. Raises as the transports do."""
        pool = next((pool for pool in self._pools if pool.in_flight < self._size), None)
        if pool is None:
            pool = _Pool(self._make())
            self._pools.append(pool)
        return await pool.send(request)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools:
            await pool.transport.aclose()


class _Pool:
    """A transport and how many of its answers are not yet read."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self.transport = transport
        self.in_flight = 0

    async def send(self, request: httpx.Request) -> httpx.Response:
        self.in_flight += 1
        try:
            answer = await self.transport.handle_async_request(request)
        except BaseException:
            self.in_flight -= 1
            raise
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        answer.stream = _Counted(answer.stream, self)
        return answer


class _Counted(httpx.AsyncByteStream):
    """The body of an answer; its connection is free when it is closed."""

    def __init__(self, stream: httpx.AsyncByteStream, pool: _Pool) -> None:
        self._stream, self._pool = stream, pool
        self._is_open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            yield piece

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._pool.in_flight -= self._is_open
            self._is_open = False
