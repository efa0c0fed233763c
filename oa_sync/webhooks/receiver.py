"""The receiver: an ASGI application that takes callbacks, checks them and puts them into the inbox.

It answers in milliseconds, because the API waits 10 s at most and then delivers again: it does not look
at what a callback means and sends no request of its own. What the answers mean to the API: 2xx,
delivered; anything else, try again (up to 5 times).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from oa_sync.clock import Clock
from oa_sync.errors import OaSyncError
from oa_sync.webhooks.bodies import Bodies, CrowdedError, Reading
from oa_sync.webhooks.group_commit import GroupCommit
from oa_sync.webhooks.inbox import InboxFullError, delivery_id
from oa_sync.webhooks.payload import json_object
from oa_sync.webhooks.signature import SIGNATURE_HEADER, is_signature, is_signed

logger = logging.getLogger(__name__)

PATH = "/webhooks/openanalyst"
HEALTH_PATH = "/healthz"

# A body that is too large is read and dropped up to this multiple of the limit before the answer: if the
# connection closes while the sender still sends, it is reset, and the sender never sees the 413.
_DROPPED_FACTOR = 8
_DEPTH_HOLDS_SECONDS = 1.0

BUSY_RETRY_SECONDS, FULL_RETRY_SECONDS = 1, 300
"""When a sender that was told 503 may try again: when others are through, or when a sync may have drained."""


@dataclass(frozen=True, slots=True)
class ReceiverLimits:
    """What one sender, and all senders together, may ask of the receiver."""

    body_bytes: int = 1024 * 1024
    """A larger body is refused (413)."""
    read_seconds: float = 10.0
    """A request whose head or body takes longer is ended (408)."""
    connections: int = 512
    """Connections open at a time; for one more, the one that got on least is closed."""
    waiting_bytes: int = 64 * 1024 * 1024
    """Bodies held in memory at a time; for one more, the oldest that is not whole is told 503."""

    @property
    def dropped_bytes(self) -> int:
        """How much of a body that is refused is read, so that its sender comes to read the answer."""
        return _DROPPED_FACTOR * self.body_bytes


class _Refused(Exception):
    """Ends a delivery that is not stored, with the HTTP `status` and a `reason` for both sides."""

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class Receiver:
    """Takes deliveries signed with one of `secrets` into `commits`. `app` is the ASGI application."""

    def __init__(
        self, commits: GroupCommit, secrets: tuple[str, ...], limits: ReceiverLimits, clock: Clock
    ) -> None:
        self._commits, self._secrets, self._limits = commits, secrets, limits
        self._clock = clock
        self._bodies = Bodies(limits.waiting_bytes)
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
            return await self._stored(request, sender)
        except _Refused as refusal:
            return self._refuse(request, refusal, sender)
        except ClientDisconnect:
            logger.warning("%s: hung up before the end of the body", sender)
            return Response(status_code=400)
        except InboxFullError as error:
            logger.error("%s", error)
            full = _Refused(503, "the inbox is full", FULL_RETRY_SECONDS)
            return self._refuse(request, full, sender)
        except OaSyncError as error:
            logger.error("%s", error)
            return self._refuse(request, _Refused(503, "the inbox cannot be written"), sender)

    async def _stored(self, request: Request, sender: str) -> Response:
        """The answer to a delivery that is on disk."""
        if not is_signature(request.headers.get(SIGNATURE_HEADER)):
            # Before a byte of the body: who does not even try to sign it may send it for ever.
            raise _Refused(401, f"{SIGNATURE_HEADER} is missing or no signature")
        if (_declared_length(request) or 0) > self._limits.dropped_bytes:
            raise self._too_large()
        reading = Reading()
        try:
            body = await self._read(request, reading)
            self._check(request, body)
            is_new = await self._commits.append(body, self._clock.now())
        finally:
            self._bodies.let_go(reading)
        outcome = "accepted" if is_new else "duplicate"
        logger.info(
            "%s: %s delivery %s, %d bytes",
            sender,
            outcome,
            delivery_id(body)[:16],
            len(body),
        )
        return JSONResponse({"status": outcome})

    async def _read(self, request: Request, reading: Reading) -> bytes:
        """The raw body.

        Raises:
            _Refused: it is too large (413), too slow (408), or had to make room for others (503).
        """
        limit, seconds = self._limits.body_bytes, self._limits.read_seconds
        body = bytearray()
        size = 0
        try:
            async with asyncio.timeout(seconds) as deadline:
                self._bodies.begin(reading, deadline)
                async for part in request.stream():
                    size += len(part)
                    if size <= limit:
                        self._bodies.take(reading, len(part))
                        body += part
                    elif size <= self._limits.dropped_bytes:
                        self._bodies.let_go(reading)
                        body.clear()
                    else:
                        break
        except (TimeoutError, CrowdedError):
            if reading.made_room:
                busy = "too many bodies are being received"
                raise _Refused(503, busy, BUSY_RETRY_SECONDS) from None
            raise _Refused(408, f"the body did not end within {seconds:g} s") from None
        if size > limit:
            raise self._too_large()
        self._bodies.whole(reading)
        return bytes(body)

    def _too_large(self) -> _Refused:
        return _Refused(413, f"the body is larger than {self._limits.body_bytes} bytes")

    def _check(self, request: Request, body: bytes) -> None:
        """Raises: _Refused: not signed by us (401) or, though signed, no JSON object (400)."""
        if not is_signed(body, request.headers.get(SIGNATURE_HEADER), self._secrets):
            raise _Refused(401, f"{SIGNATURE_HEADER} is wrong")
        request.state.is_signed = True
        if json_object(body) is None:
            raise _Refused(400, "the body is not a JSON object")

    def _refuse(self, request: Request, refusal: _Refused, sender: str) -> Response:
        """Log and answer a refusal. Nothing of the body is shown: anybody may have written it."""
        logger.warning("%s: refused with %d: %s", sender, refusal.status, refusal.reason)
        headers = {}
        # A body that goes on would keep the connection. A short rest is read and dropped, so that the
        # sender comes to read the answer.
        if refusal.status in {408, 413, 503} or not self._ends_soon(request):
            headers["Connection"] = "close"
        if refusal.retry_after is not None:
            headers["Retry-After"] = str(refusal.retry_after)
        content = {"status": "refused", "error": refusal.reason}
        return JSONResponse(content, refusal.status, headers)

    def _ends_soon(self, request: Request) -> bool:
        declared = _declared_length(request)
        if declared is None:
            return "transfer-encoding" not in request.headers
        return declared <= self._limits.body_bytes

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
