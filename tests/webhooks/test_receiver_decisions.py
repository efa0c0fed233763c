"""What the receiver decides about one request, given to the application without a network."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from oa_sync.webhooks.group_commit import GroupCommit
from oa_sync.webhooks.inbox import Inbox
from oa_sync.webhooks.receiver import HEALTH_PATH, PATH, Receiver, ReceiverLimits
from oa_sync.webhooks.signature import SIGNATURE_HEADER
from tests.support.clock import ManualClock
from tests.webhooks.receiving import SECRET, run_body, sign

LIMIT = 100


class CountingInbox(Inbox):
    counted = 0

    def depth(self) -> int:
        self.counted += 1
        return super().depth()


class Delivering:
    """One request under way. `parts`: what the sender still sends; `taken`: how many of them were read."""

    def __init__(self, receiver: Receiver, parts: list[bytes], length: int | None) -> None:
        self._receiver, self._parts = receiver, parts
        self.taken = 0
        self.status, self.headers = 0, dict[bytes, bytes]()
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._held_after = 0
        self._scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "headers": [(SIGNATURE_HEADER.lower().encode(), sign(b"".join(parts)).encode())]
            + ([] if length is None else [(b"content-length", b"%d" % length)]),
            "query_string": b"",
            "client": ("127.0.0.1", 1),
        }

    def hold(self, after: int = 0) -> Delivering:
        """The sender sends nothing until `go_on`, or only the first `after` parts."""
        self._goes_on.clear()
        self._held_after = after
        return self

    def go_on(self) -> None:
        self._goes_on.set()

    async def answer(self) -> int:
        await self._receiver.app(self._scope, self._receive, self._send)
        return self.status

    async def _receive(self) -> dict[str, Any]:
        if self.taken >= self._held_after:
            await self._goes_on.wait()
        part = self._parts[self.taken]
        self.taken += 1
        return {
            "type": "http.request",
            "body": part,
            "more_body": self.taken < len(self._parts),
        }

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])


def body(size: int) -> bytes:
    return b'{"id": "' + b"x" * (size - 10) + b'"}'


@contextmanager
def receiver(folder: Path, **limits: int) -> Iterator[Receiver]:
    clock = ManualClock()
    with closing(Inbox(folder, clock)) as inbox, closing(GroupCommit(inbox, clock)) as commits:
        yield Receiver(commits, (SECRET,), ReceiverLimits(body_bytes=LIMIT, **limits), clock)


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        # All bodies together may take 150 bytes, of those that have arrived.
        (60, 90, 200),
        (60, 91, 503),
        (LIMIT, 50, 200),
        (LIMIT, 51, 503),
        # Whether a sender says how long its body will be changes nothing.
        (None, 50, 200),
        (None, 51, 503),
        # One that is too large is dropped as it comes, and takes nothing.
        (LIMIT, LIMIT + 1, 413),
        (LIMIT + 1, LIMIT, 200),
    ],
)
def test_a_body_is_taken_while_all_that_are_received_fit_into_the_memory(
    tmp_path: Path, first: int | None, second: int, status: int
) -> None:
    async def scenario(to: Receiver) -> int:
        # All of the first body is there but its end, so it makes room where that is needed.
        held = Delivering(to, [body(first or LIMIT), b""], first).hold(after=1)
        waits = asyncio.create_task(held.answer())
        while not held.taken:
            await asyncio.sleep(0)
        delivery = Delivering(to, [body(second)], second)
        assert await delivery.answer() == (413 if second > LIMIT else 200)
        # What is left unread of a body would be taken for the next request.
        assert (delivery.headers.get(b"connection") == b"close") is (second > LIMIT)
        held.go_on()
        assert await waits == (413 if first == LIMIT + 1 else 503 if status == 503 else 200)
        assert await Delivering(to, [body(99)], 99).answer() == 200, "all memory is free again"
        return held.status if status == 503 else delivery.status

    with receiver(tmp_path, waiting_bytes=150) as to:
        assert asyncio.run(scenario(to)) == status


def test_a_body_that_is_dropped_needs_no_memory_that_is_free(tmp_path: Path) -> None:
    async def scenario(to: Receiver) -> int:
        held = Delivering(to, [body(LIMIT)], LIMIT).hold()
        waits = asyncio.create_task(held.answer())
        await asyncio.sleep(0)
        found = await Delivering(to, [body(LIMIT + 1)], LIMIT + 1).answer()
        held.go_on()
        assert await waits == 200
        return found

    with receiver(tmp_path, waiting_bytes=LIMIT) as to:
        assert asyncio.run(scenario(to)) == 413


@pytest.mark.parametrize(
    ("parts", "taken"),
    [(1, 1), (2, 2), (8, 8), (9, 9), (20, 9)],
    ids=["fits", "too large", "eight times", "more", "endless"],
)
def test_a_body_that_is_too_large_is_read_up_to_eight_times_the_limit(
    tmp_path: Path, parts: int, taken: int
) -> None:
    with receiver(tmp_path) as to:
        delivery = Delivering(to, [b"x" * LIMIT] * parts, None)
        assert asyncio.run(delivery.answer()) == (413 if parts > 1 else 400)
        assert delivery.taken == taken


@pytest.mark.parametrize(("length", "taken"), [(8 * LIMIT, 8), (8 * LIMIT + 1, 0)])
def test_a_body_that_is_declared_larger_than_that_is_not_read_at_all(
    tmp_path: Path, length: int, taken: int
) -> None:
    with receiver(tmp_path) as to:
        delivery = Delivering(to, [b"x" * LIMIT] * 8, length)
        assert asyncio.run(delivery.answer()) == 413
        assert delivery.taken == taken


def test_what_is_dropped_takes_no_memory(tmp_path: Path) -> None:
    size, part = 1 << 20, b"x" * (1 << 16)
    clock = ManualClock()
    with closing(Inbox(tmp_path, clock)) as inbox, closing(GroupCommit(inbox, clock)) as commits:
        to = Receiver(commits, (SECRET,), ReceiverLimits(body_bytes=size), clock)
        delivery = Delivering(to, [part] * (7 * size // len(part)), None)
        tracemalloc.start()
        assert asyncio.run(delivery.answer()) == 413
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert delivery.taken == 7 * 16
    assert peak < 3 * size


@pytest.mark.parametrize(
    ("signed", "size", "status", "closes"),
    [(True, 50, 200, False), (False, 50, 401, False), (True, LIMIT + 1, 413, True)],
)
def test_a_connection_is_closed_only_where_a_body_may_be_left_unread(
    tmp_path: Path, signed: bool, size: int, status: int, closes: bool
) -> None:
    with receiver(tmp_path) as to:
        delivery = Delivering(to, [body(size)], size)
        if not signed:
            delivery._scope["headers"] = []
        assert asyncio.run(delivery.answer()) == status
    assert (delivery.headers.get(b"connection") == b"close") is closes


def test_what_waits_is_counted_once_a_second_at_most(tmp_path: Path) -> None:
    async def health(to: Receiver) -> int:
        delivery = Delivering(to, [b""], None)
        delivery._scope |= {"method": "GET", "path": HEALTH_PATH}
        return await delivery.answer()

    async def scenario(to: Receiver) -> list[int]:
        counted = []
        for pause in (0.0, 0.0, 0.99, 0.01, 0.5):
            clock.advance(pause)
            assert await health(to) == 200
            counted.append(inbox.counted)
        return counted

    clock = ManualClock()
    with (
        closing(CountingInbox(tmp_path, clock)) as inbox,
        closing(GroupCommit(inbox, clock)) as commits,
    ):
        inbox.append(run_body(), clock.now())
        to = Receiver(commits, (SECRET,), ReceiverLimits(), clock)
        assert asyncio.run(scenario(to)) == [1, 1, 1, 2, 2]
