"""What the protocol of one connection decides, over a real socket and on a loop whose time the test moves."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from oa_sync.webhooks.connections import Connection, Connections, Stage
from oa_sync.webhooks.protocol import protocol_of
from oa_sync.webhooks.receiver import ReceiverLimits
from tests.support.certificates import self_signed
from tests.support.clock import ManualClock
from tests.support.still_loop import still, still_loop, turns

READ, KEEP = 10.0, 75.0
LIMITS = ReceiverLimits(body_bytes=10, read_seconds=READ)
DROPPED = LIMITS.dropped_bytes
HEAD, BODY, PROVEN, WHOLE = Stage.HEAD, Stage.BODY, Stage.PROVEN, Stage.WHOLE


class Table(Connections):
    """Writes down which stages were entered."""

    def __init__(self, most: int = 8) -> None:
        super().__init__(most, ManualClock())
        self.entered: list[Stage] = []

    def move(self, connection: Connection, stage: Stage) -> None:
        self.entered.append(stage)
        super().move(connection, stage)

    @property
    def open(self) -> int:
        return len(self._stages)


class App:
    """Answers 200 when `may_answer` is set: at once where `reads` is False, else after the body."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.reads = self.is_signed = True
        self.asked = 0
        self.scheme = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        self.scheme = scope["scheme"]
        while self.reads and (await receive()).get("more_body"):
            pass
        await self.may_answer.wait()
        scope["state"]["is_signed"] = self.is_signed
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


class Serving:
    """The receiver's side of connections, with one application and one table for all."""

    def __init__(self, table: Table, tls: ssl.SSLContext | None = None) -> None:
        self.table, self.app = table, App()
        self.state = ServerState()
        self._config = uvicorn.Config(
            self.app, ws="none", lifespan="off", log_config=None, timeout_keep_alive=int(KEEP)
        )
        self._config.load()
        self._kind: Any = protocol_of(LIMITS, table, tls)

    async def connect(self) -> Sender:
        loop = still_loop()
        ours, theirs = socket.socketpair()
        sender = Sender(theirs)
        loop.sockets.append(theirs)
        await loop.connect_accepted_socket(self.protocol, ours)
        await turns()
        return sender

    def protocol(self) -> Any:
        """The protocol of one connection more."""
        return self._kind(config=self._config, server_state=self.state, app_state={})


class Sender:
    """The other side of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        connection.setblocking(False)

    async def send(self, data: bytes) -> None:
        self._socket.sendall(data)
        await turns()

    def received(self) -> bytes | None:
        """What has come; None: nothing came and nothing will, for the connection is closed."""
        told = b""
        while True:
            try:
                part = self._socket.recv(65536)
            except BlockingIOError:
                return told
            except ConnectionResetError:
                part = b""
            if not part:
                return told or None
            told += part

    async def close(self) -> None:
        self._socket.close()
        await turns()


def head(length: int) -> bytes:
    return f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode()


REQUEST = head(4) + b"body"


def is_ok(answer: bytes | None) -> bool:
    return answer is not None and answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"ok")


# -- how far it is --------------------------------------------------------------------------------


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_connection_tells_how_far_it_is(is_signed: bool) -> None:
    async def test() -> None:
        serving = Serving(Table())
        serving.app.is_signed = is_signed
        sender = await serving.connect()
        entered = serving.table.entered
        await sender.send(b"POST / HTTP/1.1\r\nHost: a\r\n")
        assert entered == [HEAD]
        await sender.send(b"Content-Length: 4\r\n\r\n")
        await sender.send(b"bo")
        assert entered == [HEAD, BODY]
        await sender.send(b"dy")
        assert entered == [HEAD, BODY, WHOLE]
        serving.app.may_answer.set()
        await turns()
        assert is_ok(sender.received())
        if not is_signed:
            assert (sender.received(), serving.table.open) == (None, 0)
            assert entered == [HEAD, BODY, WHOLE]
            return
        assert entered == [HEAD, BODY, WHOLE, PROVEN]
        await sender.send(b"P")
        assert entered == [HEAD, BODY, WHOLE, PROVEN, HEAD]
        await sender.send(REQUEST[1:])
        assert is_ok(sender.received())
        assert entered == [HEAD, BODY, WHOLE, PROVEN, HEAD, WHOLE, PROVEN]

    still(test)()


@still
async def test_who_brings_nothing_signed_is_answered_once_and_told_so() -> None:
    """Of answers that he does not read, a sender could have a thousand, and keep his place for ever."""
    serving = Serving(Table())
    serving.app.may_answer.set()
    sender = await serving.connect()
    await sender.send(REQUEST)
    assert b"connection: close" not in (sender.received() or b"")
    serving.app.is_signed = False
    await sender.send(REQUEST * 3)
    answer = sender.received()
    assert answer is not None
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert b"\r\nconnection: close\r\n" in answer
    assert (sender.received(), serving.table.open, serving.app.asked) == (None, 0, 2)


@still
async def test_a_connection_with_a_part_of_the_next_head_is_not_one_that_waits() -> None:
    serving = Serving(Table())
    sender = await serving.connect()
    await sender.send(REQUEST + b"POST ")
    serving.app.may_answer.set()
    await turns()
    assert is_ok(sender.received())
    assert serving.table.entered == [HEAD, WHOLE, HEAD]
    await turns(READ)
    assert sender.received() is None, "and that head has a deadline"


@still
async def test_the_next_request_is_answered_that_came_with_the_one_before() -> None:
    serving = Serving(Table())
    sender = await serving.connect()
    await sender.send(REQUEST + REQUEST)
    assert serving.app.asked == 1
    serving.app.may_answer.set()
    await turns()
    answer = sender.received()
    assert answer is not None
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert serving.table.entered[-1] == PROVEN


@still
async def test_a_connection_that_is_being_closed_gets_on_no_further() -> None:
    """What is answered is not ended, so who reads no answer would keep its place for ever."""
    serving = Serving(Table())
    sender = await serving.connect()
    await sender.send(b"this is no HTTP\r\n\r\n")
    answer = sender.received()
    assert answer is not None
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert serving.table.entered == [HEAD]


# -- how long it may take -------------------------------------------------------------------------


@still
async def test_a_head_has_ten_seconds_and_no_byte_of_it_makes_that_longer() -> None:
    sender = await Serving(Table()).connect()
    await turns(READ - 1)
    await sender.send(b"P")
    await turns(0.9)
    assert sender.received() == b""
    await turns(0.1)
    assert sender.received() is None


@still
async def test_a_body_and_its_answer_have_a_deadline_of_their_own() -> None:
    serving = Serving(Table())
    sender = await serving.connect()
    await turns(READ - 1)
    for part in (head(4)[:1], head(4)[1:2], head(4)[2:]):
        await sender.send(part)
    await turns(READ)
    await sender.send(b"body")
    await turns(READ)
    assert sender.received() == b""
    serving.app.may_answer.set()
    await turns()
    assert is_ok(sender.received())


@still
async def test_between_requests_a_connection_is_kept_and_a_next_head_has_ten_seconds() -> None:
    serving = Serving(Table())
    serving.app.may_answer.set()
    sender = await serving.connect()
    for _ in range(2):
        await sender.send(REQUEST)
        assert is_ok(sender.received())
        await turns(KEEP - 1)
        assert sender.received() == b""
    await sender.send(b"P")
    await turns(READ - 1)
    assert sender.received() == b""
    await turns(1)
    assert sender.received() is None


# -- the rest of a body that was refused ------------------------------------------------------------


async def refused(serving: Serving, length: int) -> Sender:
    """A sender that was answered before its body."""
    serving.app.reads = serving.app.is_signed = False
    serving.app.may_answer.set()
    sender = await serving.connect()
    await sender.send(head(length))
    answer = sender.received()
    assert is_ok(answer)
    assert b"connection: close" not in (answer or b"")
    return sender


@pytest.mark.parametrize("then", [b"", REQUEST, head(4)])
def test_the_rest_of_a_refused_body_is_read_before_the_connection_is_closed(then: bytes) -> None:
    async def test() -> None:
        serving = Serving(Table())
        sender = await refused(serving, DROPPED)
        assert serving.table.entered == [HEAD, BODY, HEAD]
        await sender.send(b"x" * (DROPPED - 70))
        assert sender.received() == b""
        await sender.send(b"x" * 70 + then)
        assert (sender.received(), serving.table.open) == (None, 0)

    still(test)()


@still
async def test_the_rest_of_a_refused_body_is_dropped_up_to_a_bound() -> None:
    sender = await refused(Serving(Table()), 10 * DROPPED)
    await sender.send(b"x" * (DROPPED - 1))
    await sender.send(b"x")
    assert sender.received() == b""
    await sender.send(b"x")
    assert sender.received() is None


@still
async def test_the_rest_of_a_refused_body_has_ten_seconds() -> None:
    sender = await refused(Serving(Table()), 4)
    for _ in range(3):
        await turns(READ / 4)
        await sender.send(b"x")
        assert sender.received() == b""
    await turns(READ / 4)
    assert sender.received() is None


@still
async def test_a_body_that_is_taken_is_not_counted_as_dropped() -> None:
    serving = Serving(Table())
    serving.app.may_answer.set()
    sender = await serving.connect()
    await sender.send(head(2 * DROPPED))
    await sender.send(b"x" * 2 * DROPPED)
    assert is_ok(sender.received())


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("is_answered", [True, False])
def test_what_is_no_body_closes_the_connection_and_fills_no_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, is_answered: bool
) -> None:
    log = logging.getLogger("uvicorn.error")  # a server in this process may have made it silent
    monkeypatch.setattr(log, "propagate", False)
    monkeypatch.setattr(log, "handlers", [caplog.handler])
    caplog.set_level(logging.WARNING, log.name)

    async def test() -> None:
        serving = Serving(Table())
        serving.app.reads = not is_answered
        serving.app.may_answer.set()
        sender = await serving.connect()
        await sender.send(CHUNKED)
        assert is_ok(sender.received()) is is_answered
        await sender.send(b"this is no chunk\r\n")
        answer = sender.received()
        assert (answer is None) is is_answered, "it was answered before"
        assert answer is None or answer.startswith(b"HTTP/1.1 400 ")
        assert serving.table.open == 0

    still(test)()
    assert caplog.messages == ["Invalid HTTP request received."]


# -- too many connections -------------------------------------------------------------------------


@still
async def test_who_finds_no_place_is_told_and_takes_none() -> None:
    serving = Serving(Table(1))
    first = await serving.connect()
    await first.send(REQUEST)
    second = await serving.connect()
    answer = second.received()
    assert answer is not None
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in answer
    assert second.received() is None
    assert (serving.table.open, len(serving.state.connections)) == (1, 1)
    serving.app.may_answer.set()
    await turns()
    assert is_ok(first.received())


@pytest.mark.parametrize(
    ("sent", "is_told"),
    [(b"", False), (REQUEST[:9], False), (head(4), True), (head(4) + b"bod", True)],
)
def test_who_makes_room_in_mid_body_is_told_to_try_again(sent: bytes, is_told: bool) -> None:
    async def test() -> None:
        serving = Serving(Table(1))
        first = await serving.connect()
        await first.send(sent)
        second = await serving.connect()
        answer = first.received()
        assert (answer is not None and answer.startswith(b"HTTP/1.1 503 ")) is is_told
        assert first.received() is None
        assert (serving.table.open, len(serving.state.connections)) == (1, 1)
        serving.app.may_answer.set()
        await second.send(REQUEST)
        assert is_ok(second.received())

    still(test)()


@still
async def test_who_makes_room_between_requests_is_closed_without_a_word() -> None:
    serving = Serving(Table(1))
    serving.app.may_answer.set()
    first = await serving.connect()
    await first.send(REQUEST)
    assert is_ok(first.received())
    await serving.connect()
    assert first.received() is None


@pytest.mark.parametrize("sent", [b"", b"POST ", head(4), REQUEST])
def test_who_hangs_up_leaves_a_place_and_no_deadline(sent: bytes) -> None:
    async def test() -> None:
        serving = Serving(Table())
        sender = await serving.connect()
        (protocol,) = serving.state.connections
        await sender.send(sent)
        await sender.close()
        assert (serving.table.open, len(serving.state.connections)) == (0, 0)
        assert protocol._deadline is None  # type: ignore[union-attr]
        serving.app.may_answer.set()
        await turns()

    still(test)()


@still
async def test_a_connection_that_is_lost_before_it_is_handed_over_stays_lost() -> None:
    serving = Serving(Table())
    protocol, transport = serving.protocol(), await bare_transport()
    assert protocol.enter(transport)
    protocol.connection_lost(None)
    protocol.connection_made(transport)
    assert (serving.table.open, len(serving.state.connections)) == (0, 0)


@still
async def test_who_finds_no_place_may_not_go_on() -> None:
    protocol, transport = Serving(Table(0)).protocol(), await bare_transport()
    assert not protocol.enter(transport)
    assert transport.is_closing()


async def bare_transport() -> asyncio.BaseTransport:
    """A connection that no protocol has yet."""
    ours, theirs = socket.socketpair()
    still_loop().sockets.append(theirs)
    transport, _ = await still_loop().connect_accepted_socket(asyncio.Protocol, ours)
    return transport


# -- TLS ------------------------------------------------------------------------------------------


class TlsSender:
    """Speaks TLS over a `Sender`, flight by flight."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._tls = context.wrap_bio(self._in, self._out)

    def hello(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._out.read()

    async def finish(self, data: bytes = b"") -> None:
        """Send the end of the handshake, and `data` with it."""
        self._in.write(self.sender.received() or b"")
        self._tls.do_handshake()
        if data:
            self._tls.write(data)
        await self.sender.send(self._out.read())

    async def send(self, data: bytes) -> None:
        self._tls.write(data)
        await self.sender.send(self._out.read())

    def received(self) -> bytes:
        self._in.write(self.sender.received() or b"")
        told = b""
        with suppress(ssl.SSLWantReadError):
            while part := self._tls.read():
                told += part
        return told


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(tmp_path_factory.mktemp("tls")))
    return context


@pytest.mark.parametrize("at_once", [True, False])
def test_a_request_over_tls_is_answered_also_where_it_comes_with_the_handshake(
    tls: ssl.SSLContext, at_once: bool
) -> None:
    async def test() -> None:
        serving = Serving(Table(), tls)
        serving.app.may_answer.set()
        sender = TlsSender(await serving.connect())
        await sender.sender.send(sender.hello())
        await sender.finish(REQUEST if at_once else b"")
        if not at_once:
            await sender.send(REQUEST)
        assert is_ok(sender.received())
        assert serving.app.scheme == "https"
        assert serving.table.entered == [HEAD, WHOLE, PROVEN]
        await turns(KEEP - 1)
        await sender.send(REQUEST)
        assert is_ok(sender.received())

    still(test)()


def test_a_connection_has_a_place_before_its_handshake_and_may_lose_it(tls: ssl.SSLContext) -> None:
    async def test() -> None:
        serving = Serving(Table(1), tls)
        first = await serving.connect()
        assert serving.table.open == 1
        second = TlsSender(await serving.connect())
        assert first.received() is None
        await second.sender.send(second.hello())
        await second.finish(REQUEST)
        assert serving.table.entered == [HEAD, HEAD, WHOLE]
        third = await serving.connect()
        answer = third.received()
        assert answer is not None
        assert answer.startswith(b"HTTP/1.1 503 "), "in clear: there is no time for a handshake"
        assert serving.table.open == 1

    still(test)()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n\r\n"])
def test_who_does_not_come_to_a_handshake_leaves_the_place(
    tls: ssl.SSLContext, sent: bytes
) -> None:
    async def test() -> None:
        serving = Serving(Table(), tls)
        sender = await serving.connect()
        if sent:
            await sender.send(sent)
        else:
            await sender.close()
        assert serving.table.open == 0

    still(test)()


def test_a_handshake_has_ten_seconds(tls: ssl.SSLContext) -> None:
    async def test() -> None:
        serving = Serving(Table(), tls)
        sender = await serving.connect()
        await turns(READ - 1)
        assert (sender.received(), serving.table.open) == (b"", 1)
        await turns(1)
        assert (sender.received(), serving.table.open) == (None, 0)

    still(test)()


def test_who_hangs_up_at_the_end_of_the_handshake_leaves_nothing(tls: ssl.SSLContext) -> None:
    async def test() -> None:
        serving = Serving(Table(), tls)
        sender = TlsSender(await serving.connect())
        await sender.sender.send(sender.hello())
        finishing = asyncio.create_task(sender.finish(REQUEST))
        closing = asyncio.create_task(sender.sender.close())
        await asyncio.gather(finishing, closing)
        assert (serving.table.open, len(serving.state.connections)) == (0, 0)

    still(test)()
