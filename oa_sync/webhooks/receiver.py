"""The receiver: an ASGI application that takes callbacks, checks them and puts them into the inbox.

It answers in milliseconds, because the API waits 10 s at most and then delivers again: it does not look
at what a callback means and sends no request of its own. What the answers mean to the API: 2xx,
delivered; anything else, try again (up to 5 times).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from oa_sync.clock import Clock
from oa_sync.errors import OaSyncError
from oa_sync.webhooks.group_commit import GroupCommit
from oa_sync.webhooks.inbox import delivery_id
from oa_sync.webhooks.payload import json_object
from oa_sync.webhooks.signature import SIGNATURE_HEADER, is_signed

logger = logging.getLogger(__name__)

PATH = "/webhooks/openanalyst"
HEALTH_PATH = "/healthz"

# A body that is too large is read and dropped up to this multiple of the limit before the answer: if the
# connection closes while the sender still sends, it is reset, and the sender never sees the 413.
_DROPPED_FACTOR = 8
_DEPTH_HOLDS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ReceiverLimits:
    """What one sender, and all senders together, may ask of the receiver."""

    body_bytes: int = 1024 * 1024
    """A larger body is refused (413)."""
    read_seconds: float = 10.0
    """A request whose head or body takes longer is ended (408)."""
    connections: int = 512
    """Connections open at a time; one more is told 503 and closed."""
    waiting_bytes: int = 64 * 1024 * 1024
    """Bodies held in memory at a time; one more is told 503."""


class _Refused(Exception):
    """Ends a delivery that is not stored, with the HTTP `status` and a `reason` for both sides."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Receiver:
    """Takes deliveries signed with one of `secrets` into `commits`. `app` is the ASGI application."""

    def __init__(
        self, commits: GroupCommit, secrets: tuple[str, ...], limits: ReceiverLimits, clock: Clock
    ) -> None:
        self._commits, self._secrets, self._limits = commits, secrets, limits
        self._clock = clock
        self._waiting_bytes = 0
        self._depth, self._depth_read_at = 0, float("-inf")
        self.app = Starlette(
            routes=[
                Route(PATH, self._deliver, methods=["POST"]),
                Route(HEALTH_PATH, self._health, methods=["GET"]),
            ]
        )
        # A redirect would only make the sender lose the body.
        self.app.router.redirect_slashes = False

    async def _deliver(self, request: Request) -> Response:
        sender = request.client.host if request.client else "unknown"
        try:
            with self._held_bytes(request):
                body = await self._read(request)
                self._check(request, body)
                is_new = await self._commits.append(body, self._clock.now())
        except _Refused as refusal:
            return _refuse(refusal.status, refusal.reason, sender)
        except ClientDisconnect:
            logger.warning("%s: hung up before the end of the body", sender)
            return Response(status_code=400)
        except OaSyncError as error:
            logger.error("%s", error)
            return _refuse(503, "the inbox cannot be written", sender)
        outcome = "accepted" if is_new else "duplicate"
        logger.info(
            "%s: %s delivery %s, %d bytes",
            sender,
            outcome,
            delivery_id(body)[:16],
            len(body),
        )
        return JSONResponse({"status": outcome})

    @contextmanager
    def _held_bytes(self, request: Request) -> Iterator[None]:
        """Reserve the memory that the body may take, before its first byte is read."""
        declared = _declared_length(request)
        limit = self._limits.body_bytes
        held = limit if declared is None else 0 if declared > limit else declared
        if self._waiting_bytes + held > self._limits.waiting_bytes:
            raise _Refused(503, "too many bodies are being received")
        self._waiting_bytes += held
        try:
            yield
        finally:
            self._waiting_bytes -= held

    async def _read(self, request: Request) -> bytes:
        """The raw body.

        Raises:
            _Refused: it is too large (413) or too slow (408).
        """
        limit = self._limits.body_bytes
        too_large = _Refused(413, f"the body is larger than {limit} bytes")
        if (_declared_length(request) or 0) > _DROPPED_FACTOR * limit:
            raise too_large
        body = bytearray()
        size = 0
        try:
            async with asyncio.timeout(self._limits.read_seconds):
                async for part in request.stream():
                    size += len(part)
                    if size <= limit:
                        body += part
                    elif size > _DROPPED_FACTOR * limit:
                        break
        except TimeoutError:
            raise _Refused(
                408, f"the body did not end within {self._limits.read_seconds:g} s"
            ) from None
        if size > limit:
            raise too_large
        return bytes(body)

    def _check(self, request: Request, body: bytes) -> None:
        """Raises: _Refused: not signed by us (401) or, though signed, no JSON object (400)."""
        if not is_signed(body, request.headers.get(SIGNATURE_HEADER), self._secrets):
            raise _Refused(401, f"{SIGNATURE_HEADER} is missing or wrong")
        if json_object(body) is None:
            raise _Refused(400, "the body is not a JSON object")

    async def _health(self, _: Request) -> Response:
        """How many deliveries wait; counted once a second at most, whoever asks."""
        now = self._clock.monotonic()
        if now - self._depth_read_at >= _DEPTH_HOLDS_SECONDS:
            try:
                self._depth, self._depth_read_at = await self._commits.depth(), now
            except OaSyncError as error:
                logger.error("%s", error)
                return JSONResponse({"status": "failed"}, 503)
        return JSONResponse({"status": "ok", "inbox": {"depth": self._depth}})


def _declared_length(request: Request) -> int | None:
    """`Content-Length`, which the HTTP parser has checked to be digits."""
    value = request.headers.get("content-length")
    return None if value is None else int(value)


def _refuse(status: int, reason: str, sender: str) -> Response:
    """Log and answer a refusal. Nothing of the body is shown: anybody may have written it."""
    logger.warning("%s: refused with %d: %s", sender, status, reason)
    # The unread rest of a body would be taken for the next request.
    headers = {"Connection": "close"} if status in {408, 413, 503} else None
    return JSONResponse({"status": "refused", "error": reason}, status, headers)
