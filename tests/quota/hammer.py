"""A process that spends from a shared ledger as fast as it may: `python -m tests.quota.hammer`.

It prints `ready`, waits for a line on stdin, then prints the epoch second of each granted request
and at last `ended` (the day is spent) or `enough` (`--requests` are made).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from oa_sync.clock import Clock
from oa_sync.errors import BudgetExhausted
from oa_sync.quota import open_ledger
from oa_sync.quota.limits import limits_of
from oa_sync.quota.pacer import QuotaLimiter


async def hammer(arguments: argparse.Namespace) -> str:
    clock = Clock()
    ledger = open_ledger(Path(arguments.home), arguments.quota_url, clock)
    limiter = QuotaLimiter(
        ledger,
        ledger.account("oa_test_key", ""),
        limits_of("free", rpm=arguments.rpm, rpd=arguments.rpd),
        clock,
        reserve=0.0,
    )
    print("ready", flush=True)
    sys.stdin.readline()
    queue = iter(range(arguments.requests))

    async def worker() -> None:
        for _ in queue:
            await limiter.acquire()
            print(f"{time.time():.6f}", flush=True)

    try:
        await asyncio.gather(*(worker() for _ in range(arguments.workers)))
    except BudgetExhausted:
        return "ended"
    finally:
        ledger.close()
    return "enough"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", required=True)
    parser.add_argument("--quota-url")
    parser.add_argument("--rpm", type=int, required=True)
    parser.add_argument("--rpd", type=int, required=True)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=4)
    arguments = parser.parse_args()
    print(asyncio.run(hammer(arguments)), flush=True)


if __name__ == "__main__":
    main()
