"""The client against the API emulator, in both dialects and under its faults."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from random import Random
from typing import Any

import pytest

from oa_sync.client import ApiClient, RequestCounts, RetryPolicy, credential
from oa_sync.client.dialect import detect
from oa_sync.client.paging import pages
from oa_sync.definitions.model import BearerAuth, Endpoint
from oa_sync.emulator.server import RunningEmulator
from oa_sync.errors import ApiError, NotAuthorisedError
from tests.client.test_paging import BY_CURSOR, BY_PAGE
from tests.support.clock import ManualClock
from tests.support.emulator import KEY, emulator, workspace_of
from tests.support.limiter import Unlimited

REPORTS = [{"id": f"rpt_{n}", "name": f"Report {n}", "data": [{"n": n}]} for n in range(230)]


def client_of(base_url: str, key: str = KEY, **options: Any) -> ApiClient:
    return ApiClient(base_url, credential(BearerAuth(), key), Unlimited(), ManualClock(), **options)


@pytest.mark.parametrize("dialect", ["page", "cursor"])
@pytest.mark.parametrize("cap", [0, 7])
def test_a_list_is_read_whole_in_both_dialects(dialect: str, cap: int) -> None:
    datasets = [{"id": f"ds_{n}", "name": "d"} for n in range(120)]

    async def run(server: RunningEmulator) -> None:
        async with client_of(server.base_url) as client:
            detection = await detect(client)
            assert detection.dialect == dialect
            paginator = BY_PAGE if dialect == "page" else BY_CURSOR
            for path, first in (("datasets", detection.first), ("reports", None)):
                listed = pages(client, Endpoint(path=path), paginator, first=first)
                async with aclosing(listed) as walk:
                    got = [row["id"] async for page in walk for row in page.rows]
                assert got == [r["id"] for r in (datasets if path == "datasets" else REPORTS)]
            size = cap or 100
            assert client.counts.made == -(-120 // size) + -(-230 // size)
            assert client.counts.made == server.state.counters.total

    workspace = workspace_of(datasets=datasets, reports=REPORTS)
    with emulator(workspace, dialect=dialect, max_per_page=cap) as server:
        asyncio.run(run(server))


def test_under_faults_everything_comes_and_the_counts_agree() -> None:
    spec = "500=0.05,502=0.05,reset=0.03,cut=0.03,empty=0.02,429=0.02:1,seed=5"

    async def run(server: RunningEmulator) -> tuple[Counter[str], RequestCounts]:
        policy = RetryPolicy(max_tries=10, max_invalid=9, max_limited=9, random=Random(1))
        async with client_of(server.base_url, retry=policy) as client:
            got: Counter[str] = Counter()
            async for page in pages(client, Endpoint(path="reports"), BY_PAGE):
                got.update(row["id"] for row in page.rows)
            details = (client.request_json("GET", f"reports/{i}") for i in sorted(got)[:100])
            for _, document in await asyncio.gather(*details):
                got[document["id"]] += 1
            return got, client.counts

    with emulator(workspace_of(reports=REPORTS)) as server:
        server.emulator.faults.set(spec)
        got, counts = asyncio.run(run(server))
        assert len(got) == 230
        assert got.total() == 330
        assert sum(server.emulator.faults.injected.values()) == counts.retried > 5
        assert counts.made == server.state.counters.total
        assert counts.rate_limited == server.emulator.faults.injected["429"]


def test_a_wrong_key_and_a_poisoned_detail_are_told() -> None:
    async def run(server: RunningEmulator) -> None:
        async with client_of(server.base_url, "wrong_key") as client:
            with pytest.raises(NotAuthorisedError, match="GET reports answered 401"):
                await client.request("GET", "reports")
        async with client_of(server.base_url) as client:
            for poisoned in ("rpt_1", "rpt_2"):
                with pytest.raises(ApiError, match=f"GET reports/{poisoned} answered"):
                    await client.request("GET", f"reports/{poisoned}")

    with emulator(workspace_of(reports=REPORTS)) as server:
        server.emulator.faults.set("poison-500=rpt_1,poison-text=rpt_2")
        asyncio.run(run(server))
