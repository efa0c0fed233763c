"""What the receiver decides about one request, given to the application without a network."""

from __future__ import annotations

import asyncio
import json
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
from tests.support.still_loop import still, turns
from tests.webhooks.receiving import SECRET, SlowDisk, run_body, sign

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
        self.content = b""
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

    def with_headers(self, **headers: str) -> Delivering:
        """These in place of the signature and the length."""
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self._scope["headers"] = [(name.encode(), value.encode()) for name, value in pairs]
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
        else:
            self.content += message["body"]

    @property
    def is_signed(self) -> bool:
        """What the receiver tells the protocol of this connection."""
        return bool(self._scope.get("state", {}).get("is_signed"))

    @property
    def refusal(self) -> tuple[int, str, bool, bytes | None]:
        """Status, error, whether the connection is closed, and when to come again."""
        told = json.loads(self.content)
        assert told.pop("status") == "refused"
        closes = self.headers.get(b"connection") == b"close"
        return self.status, told["error"], closes, self.headers.get(b"retry-after")


def body(size: int) -> bytes:
    return b'{"id": "' + b"x" * (size - 10) + b'"}'


@contextmanager
def receiver_of(inbox: Inbox, **limits: int) -> Iterator[Receiver]:
    clock = ManualClock()
    with closing(inbox), closing(GroupCommit(inbox, clock)) as commits:
        yield Receiver(commits, (SECRET,), ReceiverLimits(body_bytes=LIMIT, **limits), clock)


@contextmanager
def receiver(folder: Path, **limits: int) -> Iterator[Receiver]:
    with receiver_of(Inbox(folder, ManualClock()), **limits) as made:
        yield made


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


class Weighed(Delivering):
    """`held`: the bytes in memory when the last part was asked for."""

    held = 0

    async def _receive(self) -> dict[str, Any]:
        self.held, _ = tracemalloc.get_traced_memory()
        return await super()._receive()


def test_what_is_dropped_takes_no_memory(tmp_path: Path) -> None:
    size, part = 1 << 20, b"x" * (1 << 16)
    clock = ManualClock()
    with closing(Inbox(tmp_path, clock)) as inbox, closing(GroupCommit(inbox, clock)) as commits:
        to = Receiver(commits, (SECRET,), ReceiverLimits(body_bytes=size), clock)
        delivery = Weighed(to, [part] * (7 * size // len(part)), None)
        tracemalloc.start()
        assert asyncio.run(delivery.answer()) == 413
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert delivery.taken == 7 * 16
    assert peak < 3 * size
    assert delivery.held < size / 2, "nor what had come before it was known to be too large"


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


# -- what each is answered --------------------------------------------------------------------------


def test_a_delivery_is_answered_with_what_became_of_it(tmp_path: Path) -> None:
    with receiver(tmp_path) as to:
        for outcome in ("accepted", "duplicate"):
            delivery = Delivering(to, [body(LIMIT)], LIMIT)
            assert asyncio.run(delivery.answer()) == 200
            assert json.loads(delivery.content) == {"status": outcome}
            assert delivery.is_signed


MISSING = f"{SIGNATURE_HEADER} is missing or no signature"
FORGED = {"x_openanalyst_signature": "0" * 64}


@pytest.mark.parametrize(
    ("headers", "error", "closes"),
    [
        ({}, MISSING, False),
        ({"x_openanalyst_signature": "12345"}, MISSING, False),
        ({"content_length": f"{LIMIT}"}, MISSING, False),
        # More may come than is worth reading.
        ({"content_length": f"{LIMIT + 1}"}, MISSING, True),
        ({"transfer_encoding": "chunked"}, MISSING, True),
        (FORGED, f"{SIGNATURE_HEADER} is wrong", False),
        ({**FORGED, "transfer_encoding": "chunked"}, f"{SIGNATURE_HEADER} is wrong", True),
    ],
)
def test_what_is_not_signed_is_refused_before_its_body_where_that_can_be_told(
    tmp_path: Path, headers: dict[str, str], error: str, closes: bool
) -> None:
    with receiver(tmp_path) as to:
        delivery = Delivering(to, [body(50)], None).with_headers(**headers)
        asyncio.run(delivery.answer())
    assert delivery.refusal == (401, error, closes, None)
    assert delivery.taken == (0 if error == MISSING else 1)
    assert not delivery.is_signed


def test_what_is_signed_and_no_json_object_is_refused_and_proves_its_sender(tmp_path: Path) -> None:
    with receiver(tmp_path) as to:
        delivery = Delivering(to, [b"[]"], 2)
        asyncio.run(delivery.answer())
    assert delivery.refusal == (400, "the body is not a JSON object", False, None)
    assert delivery.is_signed


@pytest.mark.parametrize("length", [None, LIMIT + 1])
def test_a_body_that_is_too_large_is_refused_and_closes(tmp_path: Path, length: int | None) -> None:
    with receiver(tmp_path) as to:
        delivery = Delivering(to, [body(LIMIT + 1)], length)
        asyncio.run(delivery.answer())
    assert delivery.refusal == (413, "the body is larger than 100 bytes", True, None)


def test_a_body_has_ten_seconds(tmp_path: Path) -> None:
    async def test() -> None:
        with receiver(tmp_path) as to:
            delivery = Delivering(to, [body(50)], 50).hold()
            answer = asyncio.create_task(delivery.answer())
            await turns()
            await turns(9.9)
            assert not answer.done()
            await turns(0.1)
            assert answer.done()
        assert delivery.refusal == (408, "the body did not end within 10 s", True, None)

    still(test)()


def test_a_body_that_makes_room_is_told_when_to_come_again(tmp_path: Path) -> None:
    async def scenario(to: Receiver) -> Delivering:
        held = Delivering(to, [body(LIMIT), b""], LIMIT).hold(after=1)
        waits = asyncio.create_task(held.answer())
        while not held.taken:
            await asyncio.sleep(0)
        assert await Delivering(to, [body(51)], 51).answer() == 200
        await waits
        return held

    with receiver(tmp_path, waiting_bytes=150) as to:
        held = asyncio.run(scenario(to))
    assert held.refusal == (503, "too many bodies are being received", True, b"1")


def test_what_is_known_to_be_too_large_gives_its_memory_back(tmp_path: Path) -> None:
    async def scenario(to: Receiver) -> int:
        large = Delivering(to, [b"x" * LIMIT, b"x", b"x"], None).hold(after=2)
        waits = asyncio.create_task(large.answer())
        while large.taken < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await Delivering(to, [body(LIMIT)], LIMIT).answer() == 200
        large.go_on()
        return await waits

    with receiver(tmp_path, waiting_bytes=150) as to:
        assert asyncio.run(scenario(to)) == 413, "and has made room for nobody"


def test_a_whole_body_makes_no_room_while_it_is_written(tmp_path: Path) -> None:
    async def scenario(to: Receiver) -> None:
        whole, late = Delivering(to, [body(LIMIT)], LIMIT), Delivering(to, [body(51)], 51)
        waits = asyncio.create_task(whole.answer())
        assert await asyncio.to_thread(disk.begun.acquire, timeout=60)
        assert await late.answer() == 503
        assert late.refusal == (503, "too many bodies are being received", True, b"1")
        disk.go_on.release()
        assert await waits == 200

    disk = SlowDisk(tmp_path, ManualClock())
    with receiver_of(disk, waiting_bytes=150) as to:
        asyncio.run(scenario(to))


def test_a_full_inbox_is_told_and_when_a_sync_may_have_drained_it(tmp_path: Path) -> None:
    with receiver_of(Inbox(tmp_path, ManualClock(), 0)) as to:
        delivery = Delivering(to, [body(50)], 50)
        asyncio.run(delivery.answer())
    assert delivery.refusal == (503, "the inbox is full", True, b"300")


def test_an_inbox_that_fails_is_told_without_its_reason(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, ManualClock())
    with receiver_of(inbox) as to:
        inbox.close()
        delivery, health = Delivering(to, [body(50)], 50), Delivering(to, [b""], None)
        health._scope |= {"method": "GET", "path": HEALTH_PATH}
        asyncio.run(delivery.answer())
        assert asyncio.run(health.answer()) == 503
    assert delivery.refusal == (503, "the inbox cannot be written", True, None)
    assert json.loads(health.content) == {"status": "failed"}


def test_a_sender_that_hangs_up_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class HungUp(Delivering):
        async def _receive(self) -> dict[str, Any]:
            return {"type": "http.disconnect"}

    with receiver(tmp_path) as to:
        assert asyncio.run(HungUp(to, [b""], 2).answer()) == 400
    assert caplog.messages == ["127.0.0.1: hung up before the end of the body"]


def test_another_path_is_not_found_and_not_redirected(tmp_path: Path) -> None:
    with receiver(tmp_path) as to:
        delivery = Delivering(to, [body(50)], 50)
        delivery._scope["path"] += "/"
        assert asyncio.run(delivery.answer()) == 404
