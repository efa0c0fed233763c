"""How many signed callbacks a second the receiver takes, how fast it answers, and whether any is lost.

    python tests/benchmarks/webhooks.py [--rate 1000] [--seconds 30] [--new-connections]

Starts `oa-sync webhook serve` as its users do and delivers from this process on loopback. Deliveries are
sent when they are due, whether earlier ones were answered or not, and latency counts from the time they
were due, so that a receiver which stalls cannot hide it. Afterwards the inbox is drained and compared with
what was answered 200. Exit code 1: lost, refused, too slow, or the 99th percentile is over 100 ms.

    python -m tests.benchmarks.webhooks --fire "slow head" --rate 20 --seconds 10 --new-connections

measures how soon callbacks are answered while another process holds 1,000 connections as a hostile sender does
(`KINDS` of tests/security/hostile_senders.py). Then only lost and refused ones fail.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from oa_sync.clock import Clock
from oa_sync.webhooks.inbox import Inbox, delivery_id, inbox_folder
from oa_sync.webhooks.receiver import PATH
from oa_sync.webhooks.signature import SECRET_VARIABLE, SIGNATURE_HEADER

SECRET = "whsec_benchmark"
P99_MS = 100.0
CONNECTIONS = 64
HOSTILE = 1000
FIRE_SECONDS = 3.0
"""How long the hostile senders have to connect before the first callback is due."""
SERVE = "from oa_sync.cli.webhook import webhook; webhook()"


@dataclass
class Outcome:
    """`latencies` in seconds, by answered delivery; `accepted` holds the ids answered with 200."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    refused: int = 0


def body_of(number: int) -> bytes:
    """A callback of some 600 bytes, different for each number."""
    result = {"summary": "rows counted by day and region " * 14, "rows": number}
    run = {"run_id": f"run_{number:012x}", "status": "completed", "result": result}
    return json.dumps({"event": "agent.session.completed", **run}).encode()


def request_of(body: bytes, close: bool) -> bytes:
    mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{SIGNATURE_HEADER}: sha256={mac}\r\n"
        + ("Connection: close\r\n" if close else "")
    )
    return head.encode() + b"\r\n" + body


class Sender:
    """Delivers at `rate` a second over connections that are kept, or over a new one each."""

    def __init__(self, port: int, rate: int, new_connections: bool) -> None:
        self._port, self._rate, self._new = port, rate, new_connections
        self._idle: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None]
        self._outcome = Outcome()

    async def run(self, count: int) -> Outcome:
        self._idle = asyncio.LifoQueue()
        for _ in range(CONNECTIONS):
            self._idle.put_nowait(None)
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as deliveries:
            for number in range(count):
                due = begin + number / self._rate
                if (wait := due - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                deliveries.create_task(self._deliver(number, due))
        self._outcome.seconds = time.perf_counter() - begin
        return self._outcome

    async def _deliver(self, number: int, due: float) -> None:
        body = body_of(number)
        connection = await self._idle.get()
        try:
            if connection is None:
                connection = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = connection
            writer.write(request_of(body, self._new))
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            await reader.readexactly(length)
            if self._new:
                writer.close()
                connection = None
        except (OSError, EOFError):
            self._outcome.refused += 1
            connection = None
            return
        finally:
            self._idle.put_nowait(connection)
        self._outcome.latencies.append(time.perf_counter() - due)
        if head.startswith(b"HTTP/1.1 200"):
            self._outcome.accepted.add(delivery_id(body))
        else:
            self._outcome.refused += 1


@contextmanager
def burning(port: int, kind: str | None) -> Iterator[None]:
    """`HOSTILE` senders of `kind` for the block, in a process of their own; None: none."""
    if kind is None:
        yield
        return
    from tests.security.hostile_senders import Fire

    fire = Fire(port, kind, HOSTILE, again=True)
    process = multiprocessing.get_context("fork").Process(target=fire.run, daemon=True)
    process.start()
    time.sleep(FIRE_SECONDS)
    try:
        yield
    finally:
        process.terminate()
        process.join()


def measure(
    home: Path, rate: int, seconds: int, new_connections: bool, fire: str | None = None
) -> tuple[Outcome, int]:
    """The outcome, and how many accepted deliveries the inbox does not have."""
    command = [sys.executable, "-c", SERVE, "serve", "--port", "0", "--home", str(home)]
    log = home / "receiver.log"
    with log.open("wb") as stderr:
        receiver = subprocess.Popen(
            command, stderr=stderr, env={**os.environ, SECRET_VARIABLE: SECRET}
        )
    try:
        port = _port_in(log, receiver)
        with burning(port, fire):
            outcome = asyncio.run(Sender(port, rate, new_connections).run(rate * seconds))
    finally:
        receiver.send_signal(signal.SIGTERM)
        receiver.wait(30)
    with closing(Inbox(inbox_folder(home, "default"), Clock())) as inbox:
        stored = {delivery.id for delivery in inbox.drain()}
    return outcome, len(outcome.accepted - stored)


def _port_in(log: Path, receiver: subprocess.Popen[bytes]) -> int:
    while receiver.poll() is None:
        with suppress(IndexError, ValueError):
            return int(log.read_text().split("http://127.0.0.1:")[1].split("/")[0])
        time.sleep(0.05)
    raise SystemExit(f"the receiver did not start:\n{log.read_text()}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Load test of the webhook receiver.")
    parser.add_argument("--rate", type=int, default=1000, help="deliveries a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--new-connections", action="store_true", help="one for each delivery")
    parser.add_argument("--fire", metavar="KIND", help="of hostile senders beside them")
    parser.add_argument("--dir", help="where to put the inbox: the disk to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as home:
        outcome, lost = measure(
            Path(home), options.rate, options.seconds, options.new_connections, options.fire
        )
    if not outcome.latencies:
        raise SystemExit("no delivery was answered")
    latencies = sorted(1000 * latency for latency in outcome.latencies)
    p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    reached = len(outcome.accepted) / outcome.seconds
    print(
        f"{len(outcome.accepted)} accepted in {outcome.seconds:.1f} s: {reached:.0f}/s,"
        f" {lost} lost, {outcome.refused} refused; latency p50 {p50:.1f} ms, p99 {p99:.1f} ms,"
        f" max {latencies[-1]:.1f} ms"
    )
    too_slow = options.fire is None and (reached < 0.95 * options.rate or p99 > P99_MS)
    raise SystemExit(bool(lost or outcome.refused or too_slow))


if __name__ == "__main__":
    main()
