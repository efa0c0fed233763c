"""Who may reach the receiver and has no secret: nothing is stored, and no signed callback is stopped."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from pathlib import Path

import pytest

from oa_sync.clock import Clock
from oa_sync.webhooks.connections import YOUNG_SECONDS, Connections, Stage
from oa_sync.webhooks.inbox import Inbox, InboxFullError
from oa_sync.webhooks.receiver import HEALTH_PATH, PATH, ReceiverLimits
from oa_sync.webhooks.signature import SIGNATURE_HEADER
from tests.security.hostile_senders import FORGED, KINDS, under_fire
from tests.support.certificates import self_signed
from tests.support.clock import START, ManualClock
from tests.webhooks.receiving import Receiving, receiving, request_head, run_body, serving

CALLBACKS = 20


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


def read_answer(connection: socket.socket) -> bytes:
    """One answer of the receiver, which ends with its JSON object."""
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(65536)
    return answer


def deliver(connection: socket.socket, body: bytes) -> bytes:
    """The answer to a signed callback; the connection stays open."""
    connection.sendall(request_head(body) + body)
    return read_answer(connection)


# -- under fire -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_signed_callbacks_are_taken_under_fire(tmp_path: Path, kind: str) -> None:
    with receiving(tmp_path, limits=ReceiverLimits(connections=64)) as receiver:
        are_taken_under_fire(receiver, kind, 128)


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_takes_signed_callbacks_under_fire(tmp_path: Path, kind: str) -> None:
    """A thousand senders, and the limits that everybody has."""
    with serving(tmp_path) as command:
        are_taken_under_fire(command.receiving, kind, 1000)


def are_taken_under_fire(receiver: Receiving, kind: str, number: int) -> None:
    with under_fire(receiver.port, kind, number):
        statuses = [receiver.post(run_body(number)).status_code for number in range(CALLBACKS)]
    assert statuses == [200] * CALLBACKS
    assert receiver.bodies() == [run_body(number) for number in range(CALLBACKS)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_a_proxy_keeps_is_not_lost_under_fire(tmp_path: Path, kind: str) -> None:
    """All senders have the proxy's address; what tells its connection apart is the signed callback before."""
    with receiving(tmp_path, limits=ReceiverLimits(connections=64)) as receiver:
        # A client that tries again where a kept connection was closed would hide what is asked here.
        with closing(receiver.connect()) as kept:
            assert deliver(kept, run_body(0)).startswith(b"HTTP/1.1 200 ")
            with under_fire(receiver.port, kind, 128):
                for number in range(1, CALLBACKS):
                    assert deliver(kept, run_body(number)).startswith(b"HTTP/1.1 200 ")
        assert len(receiver.bodies()) == CALLBACKS


def test_handshakes_that_never_come_do_not_keep_callbacks_out(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    """asyncio gives a TLS handshake a minute, and counts it nowhere."""
    limits = ReceiverLimits(connections=16)
    with receiving(tmp_path, limits=limits, tls=certificate) as receiver:
        for kind in ("idle", "one byte"):
            with under_fire(receiver.port, kind, 64, again=False):
                statuses = [
                    receiver.post(run_body(number)).status_code for number in range(CALLBACKS)
                ]
            assert statuses == [200] * CALLBACKS


# -- one request ----------------------------------------------------------------------------------


@pytest.mark.parametrize("signature", ["", f"{SIGNATURE_HEADER}: 12345\r\n"])
def test_without_a_signature_the_answer_comes_before_the_body(
    tmp_path: Path, signature: str
) -> None:
    with receiving(tmp_path) as receiver, receiver.connect() as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: a\r\n{signature}Content-Length: 100\r\n\r\n"
        connection.sendall(head.encode())
        assert read_answer(connection).startswith(b"HTTP/1.1 401 ")
        # The body that was on its way is dropped, so that no reset takes the answer away.
        connection.sendall(b"x" * 100)
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    "request_line",
    [f"POST {PATH}", f"GET {PATH}", f"POST {HEALTH_PATH}", f"GET {HEALTH_PATH}", "GET /"],
)
@pytest.mark.parametrize("signature", ["", f"{SIGNATURE_HEADER}: {FORGED}\r\n"])
def test_who_brings_nothing_signed_is_answered_once(
    tmp_path: Path, request_line: str, signature: str
) -> None:
    """Else such a sender comes again and again as the last who came, and others make room for it."""
    with receiving(tmp_path) as receiver, receiver.connect() as connection:
        head = f"{request_line} HTTP/1.1\r\nHost: a\r\n{signature}Content-Length: 2\r\n\r\n"
        connection.sendall(2 * (head.encode() + b"{}"))
        answer = b""
        # Closed with the second request unread, the connection may be reset after the answer.
        with suppress(ConnectionResetError):
            while part := connection.recv(65536):
                answer += part
        assert answer.count(b"HTTP/1.1 ") == 1
        assert answer.lower().count(b"\r\nconnection: close\r\n") == 1


@pytest.mark.parametrize(
    ("framing", "path"),
    [("Content-Length: 100", PATH), ("Transfer-Encoding: chunked", "/other")],
)
def test_the_rest_of_a_refused_body_does_not_keep_a_connection_for_ever(
    tmp_path: Path, framing: str, path: str
) -> None:
    limits = ReceiverLimits(read_seconds=0.5)
    with receiving(tmp_path, limits=limits) as receiver, receiver.connect() as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
            with suppress(OSError):
                connection.sendall(b"1\r\nx\r\n" if "chunked" in framing else b"x")
        assert answer.startswith(b"HTTP/1.1 40")


# -- who makes room -------------------------------------------------------------------------------


class Known:
    """A connection that knows whether it was ended."""

    ended = False

    def end(self) -> None:
        self.ended = True


@pytest.mark.parametrize(
    ("stages", "goes"),
    [
        ((Stage.BODY, Stage.HEAD, Stage.HEAD), 1),
        ((Stage.PROVEN, Stage.BODY, Stage.BODY), 1),
        ((Stage.WHOLE, Stage.PROVEN, Stage.PROVEN), 1),
        ((Stage.WHOLE, Stage.WHOLE, Stage.HEAD), 2),
        ((Stage.WHOLE, Stage.WHOLE, Stage.WHOLE), None),
    ],
)
def test_the_oldest_of_those_that_got_on_least_makes_room(
    stages: tuple[Stage, ...], goes: int | None
) -> None:
    clock = ManualClock()
    connections = Connections(len(stages), clock)
    known = [Known() for _ in stages]
    for each, stage in zip(known, stages, strict=True):
        assert connections.add(each)
        connections.move(each, stage)
    clock.advance(2 * YOUNG_SECONDS)
    assert connections.add(Known()) is (goes is not None)
    assert [each.ended for each in known] == [number == goes for number in range(len(stages))]


def test_who_has_just_come_is_not_ended_for_what_is_not_read_yet() -> None:
    clock = ManualClock()
    connections = Connections(2, clock)
    body, newcomer = Known(), Known()
    connections.add(body)
    connections.move(body, Stage.BODY)
    connections.add(newcomer)
    connections.add(Known())
    assert (body.ended, newcomer.ended) == (True, False)


def test_a_flood_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    connections = Connections(1, clock)
    for _ in range(1001):
        connections.add(Known())
    assert len(caplog.records) == 1
    clock.advance(60)
    connections.add(Known())
    assert "1001 so far" in caplog.records[1].getMessage()


# -- the inbox is full ----------------------------------------------------------------------------

ROOM = 200_000


def large_body(number: int) -> bytes:
    return b'{"run_id": "run_%d", "result": "%s"}' % (number, b"x" * 20_000)


def fill(inbox: Inbox) -> list[bytes]:
    """Bodies that were taken before the inbox was full."""
    taken: list[bytes] = []
    with pytest.raises(InboxFullError, match=r"run `oa-sync sync`"):
        for number in range(100):
            inbox.append(large_body(number), START)
            taken.append(large_body(number))
    return taken


def test_a_full_inbox_takes_nothing_more_and_keeps_what_it_has(tmp_path: Path) -> None:
    with closing(Inbox(tmp_path, ManualClock(), ROOM)) as inbox:
        taken = fill(inbox)
        assert 5 < len(taken) < 10
        assert sum(path.stat().st_size for path in tmp_path.glob("inbox.sqlite")) <= ROOM
        assert not inbox.append(taken[0], START), "a duplicate needs no room"
        assert [delivery.body for delivery in inbox.drain()] == taken
        inbox.acknowledge(delivery.id for delivery in list(inbox.drain()))
        assert inbox.append(large_body(1000), START), "what a sync has drained is free again"


def test_senders_are_told_that_the_inbox_is_full_and_when_to_come_again(tmp_path: Path) -> None:
    def small(folder: Path, clock: Clock) -> Inbox:
        return Inbox(folder, clock, ROOM)

    with receiving(tmp_path, make_inbox=small) as receiver:
        taken = fill(receiver.inbox)
        full = receiver.post(run_body(1) + b" " * 20_000)
        assert (full.status_code, full.headers["Retry-After"]) == (503, "300")
        assert full.json() == {"status": "refused", "error": "the inbox is full"}
        assert receiver.post(taken[0]).json() == {"status": "duplicate"}
        assert receiver.bodies() == taken


def test_the_command_says_how_large_the_inbox_may_be(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-inbox", str(ROOM)) as command:
        statuses = [command.receiving.post(large_body(n)).status_code for n in range(12)]
        assert statuses == sorted(statuses)
        assert set(statuses) == {200, 503}
        assert command.log.until(b"the inbox is full")
