"""Many small pools of connections behave like one large one."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from oa_sync.client.pools import POOL_SIZE, Pools
from tests.support.emulator import HEADERS, emulator


def test_as_many_pools_are_opened_as_requests_are_in_flight_and_all_are_used_again() -> None:
    made: list[httpx.AsyncHTTPTransport] = []

    def make() -> httpx.AsyncHTTPTransport:
        made.append(httpx.AsyncHTTPTransport())
        return made[-1]

    async def ask(base_url: str) -> list[int]:
        opened = []
        async with httpx.AsyncClient(transport=Pools(make), headers=HEADERS) as client:
            for at_once in (1, 1, 2 * POOL_SIZE + 1, 2 * POOL_SIZE + 1, 1):
                urls = [f"{base_url}/reports?per_page=1"] * at_once
                answers = await asyncio.gather(*map(client.get, urls))
                assert [answer.status_code for answer in answers] == [200] * at_once
                opened.append(len(made))
        return opened

    with emulator(latency_ms=20) as server:
        assert asyncio.run(ask(server.base_url)) == [1, 1, 3, 3, 3]


def test_a_request_that_fails_leaves_its_place_to_the_next() -> None:
    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("nobody there")

    made: list[Broken] = []

    def make() -> Broken:
        made.append(Broken())
        return made[-1]

    async def ask() -> None:
        async with httpx.AsyncClient(transport=Pools(make)) as client:
            for _ in range(2 * POOL_SIZE):
                with pytest.raises(httpx.ConnectError, match="nobody there"):
                    await client.get("http://127.0.0.1:9/")

    asyncio.run(ask())
    assert len(made) == 1
