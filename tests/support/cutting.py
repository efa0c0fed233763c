"""A proxy before PostgreSQL that cuts the connection at a word of the client, before or after passing it on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Cut:
    """Where to cut next; `word` None: nowhere. It cuts once."""

    url: str
    word: bytes | None = None
    passes_on: bool = False


@contextmanager
def cutting(url: str) -> Iterator[Cut]:
    """The proxy of the server at `url`; the address to use is `Cut.url`."""
    parts = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        cut = Cut(url.replace(f":{parts.port}/", f":{port}/"))
        server = ("127.0.0.1", parts.port or 5432)
        threading.Thread(target=_accept, args=(listening, server, cut), daemon=True).start()
        yield cut


def _accept(listening: socket.socket, server: tuple[str, int], cut: Cut) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            behind = socket.create_connection(server)
            threading.Thread(target=_pass, args=(client, behind, cut), daemon=True).start()
            threading.Thread(target=_pass, args=(behind, client, None), daemon=True).start()


def _pass(source: socket.socket, to: socket.socket, cut: Cut | None) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            if cut is not None and cut.word is not None and cut.word in data:
                cut.word = None
                source.shutdown(socket.SHUT_RDWR)
                source.close()
                if cut.passes_on:
                    to.sendall(data)
                to.shutdown(socket.SHUT_WR)
                return
            to.sendall(data)
    with suppress(OSError):
        to.shutdown(socket.SHUT_WR)
    source.close()
