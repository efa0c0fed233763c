"""Serving the receiver: socket, TLS, limits on connections, graceful stop."""

from __future__ import annotations

import logging
import math
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from oa_sync.clock import Clock
from oa_sync.errors import ConfigurationError
from oa_sync.private import check_trusted
from oa_sync.webhooks.connections import Connections
from oa_sync.webhooks.group_commit import GroupCommit
from oa_sync.webhooks.inbox import BUSY_SECONDS, Inbox
from oa_sync.webhooks.protocol import protocol_of
from oa_sync.webhooks.receiver import PATH, Receiver, ReceiverLimits

logger = logging.getLogger(__name__)

_BACKLOG = 1024
"""Connections that wait in the kernel: of a burst, none should have to try again a second later."""

_ACCEPTED_AT_ONCE = 32
"""Connections that asyncio accepts before it reads what the others sent: a burst is judged by what it sends."""

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
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no host has such a name"
        raise ConfigurationError(
            f"cannot listen on {host} port {port}: {why or error}; choose another --port or --host"
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
        context = _tls_context(*tls) if tls else None
        self._server = _Server(
            uvicorn.Config(
                receiver.app,
                http=protocol_of(limits, Connections(limits.connections, clock), context),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                # Time for a body to arrive and then to be written.
                timeout_graceful_shutdown=math.ceil(limits.read_seconds + BUSY_SECONDS),
                backlog=_ACCEPTED_AT_ONCE,
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


def _tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    check_trusted(key, is_secret=True)
    try:
        # Without this empty password, OpenSSL would ask for the key's password on the terminal.
        context.load_cert_chain(certificate, key, lambda: "")
    except OSError as error:
        raise ConfigurationError(
            f"TLS certificate {certificate}, key {key}: {error.strerror or error}; give a PEM"
            " certificate with its chain and its key without a password"
        ) from None
    return context


class _Server(uvicorn.Server):
    """Ends without a signal: uvicorn's own server would raise it again, but a clean stop is no failure."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            # asyncio has made this its own number of connections to accept at once.
            listener.listen(_BACKLOG)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logger.info("stopping: finishing what is in flight")
        await super().shutdown(sockets)
