"""HTTP/1.1 and TLS of one connection, with the limits that uvicorn lacks.

uvicorn waits for ever for the head of a request, and for the rest of a body that was refused; what is no HTTP in
such a rest makes it fail. asyncio waits a minute for a TLS handshake, of which uvicorn knows nothing. When its
own limit of connections is reached, uvicorn refuses the requests of all connections, not only of the one too many.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import h11
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import H11Protocol

from oa_sync.webhooks.connections import Connections, Stage
from oa_sync.webhooks.receiver import ReceiverLimits

logger = logging.getLogger(__name__)

_FAREWELL_SECONDS = 1.0
"""How long the other side of TLS may take to say that it is closed, too."""

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


def protocol_of(
    limits: ReceiverLimits, connections: Connections, tls: ssl.SSLContext | None
) -> type[asyncio.Protocol]:
    """The class of which uvicorn makes one for each connection."""

    class Http(_Http):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.limits, self.table = limits, connections

    if tls is None:
        return Http

    context = tls

    class Https(_Https):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(Http(*args, **kwargs), context)

    return Https


class _Http(H11Protocol):
    """One connection in the table `table`, within `limits`. It goes on only after a signed callback.

    Who was refused could otherwise ask again and again, and be the last who came each time; or ask for a thousand
    answers at once, read none, and keep a place that is never ended.
    """

    limits: ReceiverLimits
    table: Connections

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._is_proven = False
        self.app = self._last_unless_signed(self.app)
        self._stage = Stage.HEAD
        self._dropped = 0
        self._early = b""
        self._raw: asyncio.Transport | None = None
        self._is_made = self._is_lost = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if self._is_lost or not self.enter(transport):
            return
        self._is_made = True
        super().connection_made(transport)
        self._watch(awaits_head=True)
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def enter(self, transport: asyncio.Transport) -> bool:
        """Take a place among the open connections. False: there is none, and the sender was told."""
        if self._raw is not None:
            return True  # since before its handshake
        if self.table.add(self):
            self._raw = transport
            return True
        logger.warning("refused a connection: %d are being answered", self.limits.connections)
        transport.write(_FULL)
        transport.close()
        return False

    def leave(self) -> None:
        """Give the place back."""
        self.table.remove(self)

    def data_received(self, data: bytes) -> None:
        if not self._is_made:
            self._early += data  # arrived with the end of the handshake
            return
        was_draining = self._is_draining()
        if was_draining:
            self._dropped += len(data)
            if self._dropped > self.limits.dropped_bytes:
                self.transport.abort()
                return
        super().data_received(data)
        if was_draining and not self._is_draining():
            self.transport.close()  # its rest is here, or is no HTTP
        self._watch(awaits_head=True)

    def _last_unless_signed(self, app: Any) -> Any:
        """`app`, whose answer to anything but a signed callback says that the connection is closed."""

        async def answering(scope: Any, receive: Any, send: Any) -> None:
            async def tell(message: Any) -> None:
                is_last = not scope["state"].get("is_signed")
                # Closed before the rest of a body has come, the sender would not come to read the answer.
                if is_last and self.conn.their_state is not h11.SEND_BODY:
                    scope["headers"].append(
                        CLOSE_HEADER
                    )  # uvicorn: as if the sender had asked for it
                await send(message)

            await app(scope, receive, tell)

        return answering

    def on_response_complete(self) -> None:
        self._is_proven = bool(self.cycle.scope["state"].get("is_signed"))
        super().on_response_complete()
        # Between requests uvicorn keeps the connection for a while.
        self._watch(awaits_head=self._has_begun())

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP. Where the request was answered before, there is no other answer to it:
        uvicorn would fail here, and a sender could fill the log with its failures."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self.leave()
        self._forget_deadline()
        if self._is_made:
            super().connection_lost(exc)

    def stage(self) -> Stage:
        """How far this connection is."""
        if self._is_draining():
            return Stage.HEAD
        if self.conn.their_state is h11.IDLE:
            waits = self._is_proven and not self._has_begun()
            return Stage.PROVEN if waits else Stage.HEAD
        return Stage.BODY if self.conn.their_state is h11.SEND_BODY else Stage.WHOLE

    def end(self) -> None:
        """Close it at once, for another to come in. In mid-body, the sender is told to try again."""
        if self._raw is not None and not self._is_made:
            self._raw.abort()
            return
        if self.stage() is Stage.BODY:
            self.transport.write(_FULL)
        self.transport.abort()

    def _is_draining(self) -> bool:
        """Whether the request was answered, and the rest of its body still comes."""
        return self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY

    def _has_begun(self) -> bool:
        """Whether a part of the next head is here."""
        return bool(self.conn.trailing_data[0])

    def _watch(self, *, awaits_head: bool) -> None:
        """Tell the stage, and set the deadline of a head or of a rest. A body has one of its own."""
        stage = self.stage()
        if stage is not self._stage and not self.transport.is_closing():
            self._stage = stage
            self._forget_deadline()
            self.table.move(self, stage)
        awaits = awaits_head and self.conn.their_state is h11.IDLE
        if self._deadline is None and (awaits or self._is_draining()):
            self._deadline = self.loop.call_later(self.limits.read_seconds, self.transport.close)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Https(asyncio.Protocol):
    """Counts a connection from its first instant on, makes it TLS, and hands it over to `http`."""

    def __init__(self, http: _Http, context: ssl.SSLContext) -> None:
        self._http, self._context = http, context
        self._shaking: asyncio.Task[None] | None = None  # a task that nobody holds may vanish

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        assert isinstance(transport, asyncio.Transport)
        if self._http.enter(transport):
            self._shaking = self._http.loop.create_task(self._shake(transport))

    async def _shake(self, transport: asyncio.Transport) -> None:
        http = self._http
        try:
            encrypted = await http.loop.start_tls(
                transport,
                http,
                self._context,
                server_side=True,
                ssl_handshake_timeout=http.limits.read_seconds,
                ssl_shutdown_timeout=_FAREWELL_SECONDS,
            )
        except OSError:  # no TLS, too slow, or gone
            transport.abort()
            http.leave()
            return
        if encrypted is not None:
            http.connection_made(encrypted)
