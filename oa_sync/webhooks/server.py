"""Serving the receiver: socket, TLS, limits on connections, graceful stop."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from oa_sync.clock import Clock
from oa_sync.errors import ConfigurationError
from oa_sync.webhooks.group_commit import GroupCommit
from oa_sync.webhooks.inbox import BUSY_SECONDS, Inbox
from oa_sync.webhooks.receiver import PATH, Receiver, ReceiverLimits

logger = logging.getLogger(__name__)

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

# Longer than a proxy keeps an idle connection (nginx: 60 s), so that none is closed during a delivery.
_KEEP_ALIVE_SECONDS = 75


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on `host` (a name or address, IPv4 or IPv6); port 0 is any free one.

    Raises:
        ConfigurationError: there is no such address here, or the port is taken or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; choose another --port or"
            " --host"
        ) from None
    return listener


class WebhookServer:
    """Serves a `Receiver` over `inbox`.

    `tls` is a pair of PEM files: the certificate with its chain, and its key without a password.

    Raises:
        ConfigurationError: the TLS files cannot be read or do not belong together.
    """

    def __init__(
        self,
        inbox: Inbox,
        secrets: tuple[str, ...],
        limits: ReceiverLimits | None = None,
        clock: Clock | None = None,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        limits = limits or ReceiverLimits()
        clock = clock or Clock()
        self._commits = GroupCommit(inbox, clock)
        receiver = Receiver(self._commits, secrets, limits, clock)
        self._scheme = "https" if tls else "http"
        if tls is not None:
            _check_tls(*tls)
        self._server = _Server(
            uvicorn.Config(
                receiver.app,
                http=_protocol(limits),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                # Time for a body to arrive and then to be written.
                timeout_graceful_shutdown=math.ceil(limits.read_seconds + BUSY_SECONDS),
                ssl_certfile=tls[0] if tls else None,
                ssl_keyfile=tls[1] if tls else None,
            )
        )

    def serve(self, listener: socket.socket) -> None:
        """Answer on `listener` until SIGTERM, SIGINT or `stop`; then finish what is in flight.

        Returns with the listener closed and every delivery that was answered with 2xx in the inbox.
        """
        host, port = listener.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        logger.info("listening on %s://%s:%d%s", self._scheme, name, port, PATH)
        try:
            self._server.run(sockets=[listener])
        finally:
            self._commits.close()
        logger.info("stopped")

    def stop(self) -> None:
        """Let `serve` end, from any thread."""
        self._server.should_exit = True


def _check_tls(certificate: Path, key: Path) -> None:
    try:
        # Without this empty password, OpenSSL would ask for the key's password on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, lambda: "")
    except OSError as error:
        raise ConfigurationError(
            f"TLS certificate {certificate}, key {key}: {error.strerror or error}; give a PEM"
            " certificate with its chain and its key without a password"
        ) from None


class _Server(uvicorn.Server):
    """Ends without a signal: uvicorn's own server would raise it again, but a clean stop is no failure."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logger.info("stopping: finishing what is in flight")
        await super().shutdown(sockets)


def _protocol(limits: ReceiverLimits) -> type[H11Protocol]:
    """uvicorn's HTTP/1.1 with the two limits it lacks.

    uvicorn waits for ever for the head of a request. When its own limit of connections is reached, it
    refuses the requests of all connections, not only of the one too many.
    """

    class LimitedProtocol(H11Protocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._head_deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                logger.warning("refused a connection: %d are open", limits.connections)
                transport.write(_FULL)
                transport.close()
                return
            self._watch_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget_deadline()
            super().connection_lost(exc)

        def _watch_head(self) -> None:
            """Set the deadline while a head is awaited; the body has one of its own."""
            if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
                self._forget_deadline()
            elif self._head_deadline is None:
                self._head_deadline = self.loop.call_later(
                    limits.read_seconds, self.transport.close
                )

        def _forget_deadline(self) -> None:
            if self._head_deadline is not None:
                self._head_deadline.cancel()
                self._head_deadline = None

    return LimitedProtocol
