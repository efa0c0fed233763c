"""Reading a body: decoded piece by piece, bounded in size and ratio, large ones on disk.

A 194 KB gzip body can inflate to 200 MB, and httpx inflates it all before anybody can look. Here a
piece of at most 64 KiB is inflated at a time, and the rest is never touched once a bound is passed.
"""

from __future__ import annotations

import mmap
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from oa_sync.errors import (
    BodyTooLargeError,
    ConnectionFailedError,
    InvalidResponseError,
    NotKeptError,
)
from oa_sync.shape.body import MIB, Body

PIECE = 64 * 1024
RATIO = 200
RATIO_FLOOR = 10 * MIB
"""Decoded bytes up to which `RATIO` is not checked."""
ERROR_BODY = 64 * 1024


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes of a decoded body: `max_bytes` at most, above `spool_threshold` in a file.

    The file is in `spool_dir` (None: the system's folder for temporary files), readable by this
    user alone, and without a name, so that it is gone with the process whatever happens.
    """

    max_bytes: int = 4096 * MIB
    spool_threshold: int = 32 * MIB
    spool_dir: Path | None = None


async def read_body(answer: httpx.Response, what: str, limits: BodyLimits) -> Body:
    """The decoded body of a streamed answer; `what` names the request in messages.

    Raises:
        BodyTooLargeError: a bound is passed; the rest was neither inflated nor read.
        ConnectionFailedError: the compressed body ends too early.
        InvalidResponseError: it is not gzip though the header says so, or is encoded otherwise.
        NotKeptError: it is large, and no file takes it.
        httpx.TransportError: the connection broke, or Content-Length was not reached.
    """
    decoder = _decoder(answer, what)
    declared = answer.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > limits.max_bytes:
        raise _too_large(what, f"{int(declared):,} bytes by its Content-Length", limits)
    store = _Received(limits)
    received = 0
    try:
        async for chunk in answer.aiter_raw():
            received += len(chunk)
            for piece in decoder.pieces(chunk):
                size = store.add(piece)
                if size > limits.max_bytes:
                    raise _too_large(what, f"more than {limits.max_bytes:,} bytes", limits)
                if size > RATIO_FLOOR and size > RATIO * received:
                    raise _too_large(what, f"inflated more than {RATIO} times", limits)
        if not decoder.complete:
            raise ConnectionFailedError(
                f"{what}: the compressed body ends too early; check the network and try again"
            )
        return store.finish()
    except zlib.error:
        raise InvalidResponseError(
            f"{what}: the body is not gzip, which its Content-Encoding says; tell the vendor"
        ) from None
    except OSError as error:
        raise NotKeptError(
            f"{what}: the answer is large, and {limits.spool_dir or tempfile.gettempdir()} does not take it"
            f" ({error.strerror or type(error).__name__}); make room there, then run again"
        ) from None
    finally:
        store.close()


async def read_error_body(answer: httpx.Response) -> bytes:
    """The first 64 KiB of an error's body, decoded; less or nothing where it cannot be read."""
    store = bytearray()
    try:
        decoder = _decoder(answer, "")
        async for chunk in answer.aiter_raw():
            for piece in decoder.pieces(chunk):
                store += piece
                if len(store) >= ERROR_BODY:
                    return bytes(store[:ERROR_BODY])
    except (httpx.HTTPError, InvalidResponseError, zlib.error):
        pass
    return bytes(store)


class _Plain:
    complete = True

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        yield chunk


class _Gunzip:
    """Inflates gzip, several members in a row too (RFC 1952, 2.2), a small piece at a time."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._started = False

    @property
    def complete(self) -> bool:
        return self._inflate.eof or not self._started

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        data = chunk
        while data:
            if self._inflate.eof:
                data = data.lstrip(b"\0")  # gzip files may be padded with zeros
                if not data:
                    return
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
            self._started = True
            yield from self._inflated(data)
            data = self._inflate.unused_data

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        while True:
            piece = self._inflate.decompress(data, PIECE)
            if piece:
                yield piece
            data = self._inflate.unconsumed_tail
            # What may be left inside zlib comes with the next input: the trailer is still to come.
            if self._inflate.eof or not data:
                return


def _decoder(answer: httpx.Response, what: str) -> _Plain | _Gunzip:
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return _Plain()
    if encoding in ("gzip", "x-gzip"):
        return _Gunzip()
    raise InvalidResponseError(
        f"{what}: the body is encoded in a way that was not asked for (Content-Encoding is not"
        " gzip); tell the vendor"
    )


def _too_large(what: str, how: str, limits: BodyLimits) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"{what}: the body is {how}; at most {limits.max_bytes:,} bytes and {RATIO} times the"
        " received size are read, to protect this machine; ask for smaller pages"
    )


class _Received:
    """Collects pieces in memory, and in a file without a name once they are many."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self._pieces: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._size = 0

    def add(self, piece: bytes) -> int:
        """Take in a piece; returns the size so far."""
        self._size += len(piece)
        if self._file is None and self._size > self._limits.spool_threshold:
            self._file = tempfile.TemporaryFile(dir=self._limits.spool_dir)  # noqa: SIM115
            self._file.writelines(self._pieces)
            self._pieces.clear()
        if self._file is None:
            self._pieces.append(piece)
        else:
            self._file.write(piece)
        return self._size

    def finish(self) -> Body:
        """The whole body."""
        if self._file is None:
            return b"".join(self._pieces)
        self._file.flush()
        # The mapping keeps the file alive for as long as somebody holds the view.
        return memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))

    def close(self) -> None:
        """Let go of the file; what `finish` gave stays valid."""
        if self._file is not None:
            self._file.close()
