"""Pacing against a real server: how much of the allowed rate is used, and is it ever exceeded?

    python tests/benchmarks/pacing.py --per-minute 600 --seconds 20

The server keeps its own sliding window and answers 429 beyond the limit; it shares no code with the
limiter. `ideal` is what an even pace of the whole limit would send in that time; `share` is above 1 in
a short run, because an idle account may send a small burst first, so `share_at_the_end` looks at the
last ten seconds alone (meaningless between 54 and 61 s, when a minute that began with a burst is full).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from oa_sync.clock import Clock
from oa_sync.quota import open_ledger
from oa_sync.quota.limits import Limits
from oa_sync.quota.pacer import QuotaLimiter


@dataclass
class WindowServer:
    """Answers each request after `latency` seconds: 200 within the limit, else 429."""

    per_minute: int
    latency: float
    accepted: deque[float] = field(default_factory=deque)
    total: int = 0
    refused: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                status = self._admit(time.monotonic())
                await asyncio.sleep(self.latency)
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    def _admit(self, now: float) -> str:
        self.total += 1
        while self.accepted and now - self.accepted[0] >= 60.0:
            self.accepted.popleft()
        if len(self.accepted) >= self.per_minute:
            self.refused += 1
            return "429 Too Many Requests"
        self.accepted.append(now)
        return "200 OK"


async def measure(
    per_minute: int, seconds: float, latency: float, workers: int
) -> dict[str, float]:
    """Send for `seconds` as fast as the limiter allows."""
    site = WindowServer(per_minute, latency)
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    clock = Clock()
    with tempfile.TemporaryDirectory() as home:
        ledger = open_ledger(Path(home), None, clock)
        account = ledger.account(None, url)
        limiter = QuotaLimiter(ledger, account, Limits(per_minute, None), clock, reserve=0.0)
        began = time.monotonic()

        async def work(client: httpx.AsyncClient) -> None:
            while time.monotonic() - began < seconds:
                await limiter.acquire()
                answer = await client.get(url)
                limiter.observe(answer.status_code, answer.headers)

        async with httpx.AsyncClient(trust_env=False) as client:
            await asyncio.gather(*(work(client) for _ in range(workers)))
        took = time.monotonic() - began
        ledger.close()
    server.close()
    ideal = took * per_minute / 60
    late = min(10.0, seconds)
    at_the_end = sum(began + seconds - late <= at < began + seconds for at in site.accepted)
    return {
        "per_minute": per_minute,
        "seconds": round(took, 2),
        "sent": site.total,
        "ideal": round(ideal, 1),
        "share": round(site.total / ideal, 4),
        "share_at_the_end": round(at_the_end / (late * per_minute / 60), 4),
        "refused_429": site.refused,
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-minute", type=int, default=600)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--latency", type=float, default=0.08, help="seconds a request takes")
    parser.add_argument("--workers", type=int, default=8)
    arguments = parser.parse_args()
    result = measure(arguments.per_minute, arguments.seconds, arguments.latency, arguments.workers)
    print(json.dumps(asyncio.run(result)))


if __name__ == "__main__":
    main()
