"""Senders that hold the receiver up, a thousand at a time if wanted, all from one address."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, repeat

from oa_sync.webhooks.receiver import PATH
from oa_sync.webhooks.signature import SIGNATURE_HEADER

FORGED = "0" * 64
_LINES = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_SIGNED = f"{_LINES}{SIGNATURE_HEADER}: {FORGED}\r\n"
_DRIP_SECONDS = 0.5
_PART, _CHUNK = b"x" * 65536, b"1\r\nx\r\n"


@dataclass(frozen=True)
class Kind:
    """What one sender sends, part after part, with `pause` seconds after each."""

    parts: Callable[[], Iterable[bytes]]
    pause: float = 0.0

    async def send(self, writer: asyncio.StreamWriter) -> None:
        for part in self.parts():
            writer.write(part)
            await writer.drain()
            if self.pause:
                await asyncio.sleep(self.pause)


def _head(lines: str, framing: str) -> bytes:
    return f"{lines}{framing}\r\n\r\n".encode()


def _for_ever(first: bytes, then: bytes) -> Kind:
    return Kind(lambda: chain([first + then], repeat(then)), _DRIP_SECONDS)


def _body(size: int, *, lacks: int = 0) -> Kind:
    """A body of `size` bytes that ends `lacks` bytes too early."""
    head = _head(_SIGNED, f"Content-Length: {size}")
    whole, rest = divmod(size - lacks, len(_PART))
    return Kind(lambda: chain([head], repeat(_PART, whole), [_PART[:rest]]))


_CHUNKED = "Transfer-Encoding: chunked"
KINDS: dict[str, Kind] = {
    "idle": Kind(lambda: ()),
    "one byte": Kind(lambda: [b"P"]),
    "slow head": Kind(lambda: (bytes([byte]) for byte in _SIGNED.encode() * 1000), _DRIP_SECONDS),
    "chunked": _for_ever(_head(_SIGNED, _CHUNKED), _CHUNK),
    "unsigned chunked": _for_ever(_head(_LINES, _CHUNKED), _CHUNK),
    # Of the largest size that is taken: memory that is held.
    "almost whole": _body(1024 * 1024, lacks=1),
    "wrong signature": _for_ever(b"", _head(_SIGNED, "Content-Length: 2") + b"{}"),
    "30 MB": _body(30 * 1024 * 1024),
}


class Fire:
    """`number` connections of one kind; `again`: each is made anew when the receiver closes it."""

    def __init__(self, port: int, kind: str, number: int, again: bool) -> None:
        self._port, self._kind, self._number, self._again = port, kind, number, again
        self._opened = 0
        self._all_opened, self._stop = threading.Event(), threading.Event()

    def wait_until_burning(self) -> None:
        """Return when each of them has connected once."""
        assert self._all_opened.wait(300)

    def run(self) -> None:
        asyncio.run(self._burn())

    def stop(self) -> None:
        self._stop.set()

    async def _burn(self) -> None:
        senders = [asyncio.create_task(self._send()) for _ in range(self._number)]
        while not self._stop.is_set():
            await asyncio.sleep(0.05)
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

    async def _send(self) -> None:
        first = True
        while first or self._again:
            with suppress(OSError, EOFError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                if first:
                    first = False
                    self._opened += 1
                    if self._opened == self._number:
                        self._all_opened.set()
                try:
                    await self._until_closed(reader, writer)
                finally:
                    writer.transport.abort()
            await asyncio.sleep(_DRIP_SECONDS)

    async def _until_closed(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        sending = asyncio.ensure_future(KINDS[self._kind].send(writer))
        try:
            while await reader.read(65536):
                pass
        finally:
            sending.cancel()
            await asyncio.wait([sending])
            if not sending.cancelled():
                sending.exception()


@contextmanager
def under_fire(port: int, kind: str, number: int, *, again: bool = True) -> Iterator[None]:
    """`number` hostile senders of `kind` at `port` for the `with` block."""
    fire = Fire(port, kind, number, again)
    thread = threading.Thread(target=fire.run)
    thread.start()
    try:
        fire.wait_until_burning()
        yield
    finally:
        fire.stop()
        thread.join()
