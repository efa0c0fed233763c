"""A real HTTP server on loopback that answers from a script, byte by byte where that matters."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from oa_sync.client import ApiClient, Credential, RetryPolicy
from oa_sync.client.auth import credential
from oa_sync.clock import Clock
from oa_sync.definitions.model import BearerAuth
from oa_sync.quota.pacer import Limiter
from tests.support.clock import ManualClock
from tests.support.limiter import Unlimited

KEY = "oa_test_canary_5e1f"


@dataclass(frozen=True)
class Seen:
    """A request as the server got it. Header names in small letters."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    """Raw bytes of an answer, and what then happens to the connection: keep, close, reset, hang."""

    raw: bytes
    then: str = "keep"


Script = Callable[[Seen], Reply]


def reply(
    body: bytes | Any = b"",
    status: int = 200,
    *,
    length: int | None = None,
    then: str = "keep",
    **headers: Any,
) -> Reply:
    """An answer; anything but bytes becomes JSON. `length` overrides Content-Length."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {
        "content-type": "application/json",
        "content-length": str(len(payload) if length is None else length),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return Reply(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + payload, then)


def zipped(body: bytes, **headers: Any) -> Reply:
    return reply(gzip.compress(body), content_encoding="gzip", **headers)


def in_turn(*replies: Reply) -> Script:
    """Answers with each in turn, and with the last one from then on."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@dataclass
class ScriptedServer:
    """Serves while entered. `seen` has every request whose head and body were read."""

    script: Script
    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    at_once: int = 0
    most_at_once: int = 0

    async def __aenter__(self) -> ScriptedServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Seen(method, target, headers, body)
        self.seen.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        for _ in range(5):
            await asyncio.sleep(0)
        answer = self.script(request)
        self.at_once -= 1
        writer.write(answer.raw)
        if answer.then != "reset":
            await writer.drain()
        if answer.then == "hang":
            await reader.read()
        if answer.then == "reset":
            await writer.drain()
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return answer.then == "keep"


def bearer(key: str = KEY) -> Credential:
    return credential(BearerAuth(), key)


@asynccontextmanager
async def api(script: Script, **options: Any) -> AsyncIterator[tuple[ScriptedServer, ApiClient]]:
    """A server with this script and a client of it: yields (server, client)."""
    auth = options.pop("auth", bearer())
    limiter: Limiter = options.pop("limiter", Unlimited())
    clock: Clock = options.pop("clock", ManualClock())
    options.setdefault("retry", RetryPolicy())
    async with (
        ScriptedServer(script) as server,
        ApiClient(f"{server.url}/v1", auth, limiter, clock, **options) as client,
    ):
        yield server, client
