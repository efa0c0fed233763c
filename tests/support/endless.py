"""A server that never comes to its answer."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread


@contextmanager
def endless_hints() -> Iterator[str]:
    """A server that answers with 103 (RFC 8297) again and again, and with nothing else."""

    def talk() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                while True:
                    connection.sendall(
                        b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
                    )

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=talk, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
