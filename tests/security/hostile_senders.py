"""Senders that hold the receiver up, a thousand at a time if wanted, all from one address."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from oa_sync.webhooks.receiver import PATH
from oa_sync.webhooks.signature import SIGNATURE_HEADER

FORGED = "0" * 64
_LINES = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_SIGNED = f"{_LINES}{SIGNATURE_HEADER}: {FORGED}\r\n"
_DRIP_SECONDS = 0.5
_PART = b"x" * 65536


async def _idle(_: asyncio.StreamWriter) -> None:
    """Connects and says nothing."""


async def _one_byte(writer: asyncio.StreamWriter) -> None:
    writer.write(b"P")


async def _slow_head(writer: asyncio.StreamWriter) -> None:
    for byte in _SIGNED.encode() * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(_DRIP_SECONDS)


async def _chunked(writer: asyncio.StreamWriter) -> None:
    writer.write(f"{_SIGNED}Transfer-Encoding: chunked\r\n\r\n".encode())
    while True:
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(_DRIP_SECONDS)


async def _unsigned_chunked(writer: asyncio.StreamWriter) -> None:
    writer.write(f"{_LINES}Transfer-Encoding: chunked\r\n\r\n".encode())
    while True:
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(_DRIP_SECONDS)


async def _almost_whole(writer: asyncio.StreamWriter) -> None:
    """All of a body of the largest size but its last byte: memory that is held."""
    size = 1024 * 1024
    writer.write(f"{_SIGNED}Content-Length: {size}\r\n\r\n".encode())
    for _ in range(size // len(_PART) - 1):
        writer.write(_PART)
        await writer.drain()
    writer.write(_PART[1:])
    await writer.drain()


async def _wrong_signature(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(f"{_SIGNED}Content-Length: 2\r\n\r\n{{}}".encode())
        await writer.drain()
        await asyncio.sleep(_DRIP_SECONDS)


async def _large(writer: asyncio.StreamWriter) -> None:
    size = 30 * 1024 * 1024
    writer.write(f"{_SIGNED}Content-Length: {size}\r\n\r\n".encode())
    for _ in range(size // len(_PART)):
        writer.write(_PART)
        await writer.drain()


KINDS: dict[str, Callable[[asyncio.StreamWriter], Awaitable[None]]] = {
    "idle": _idle,
    "one byte": _one_byte,
    "slow head": _slow_head,
    "chunked": _chunked,
    "unsigned chunked": _unsigned_chunked,
    "almost whole": _almost_whole,
    "wrong signature": _wrong_signature,
    "30 MB": _large,
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
        sending = asyncio.ensure_future(KINDS[self._kind](writer))
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
