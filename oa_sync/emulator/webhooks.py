"""Signed callbacks: who wants which event, and their delivery with retries.

Documented: an HTTPS POST whose `X-OpenAnalyst-Signature` is the HMAC-SHA256 of the raw body; the
receiver answers 2xx within 10 s; a failed delivery is retried up to 5 times with exponential
backoff. Here only loopback receivers are called, over HTTP or HTTPS.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from oa_sync.addresses import is_loopback
from oa_sync.clock import Clock
from oa_sync.emulator.background import Background
from oa_sync.emulator.encoding import encode
from oa_sync.emulator.options import EmulatorOptions

RETRIES = 5
ANSWER_WITHIN_SECONDS = 10.0
FIRST_BACKOFF_SECONDS = 1.0


class Delivery(NamedTuple):
    """One attempt: `status` is the receiver's, or None with `error` where there was none."""

    at: datetime
    url: str
    body: bytes
    signature: str
    attempt: int
    status: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Hook:
    """A registered receiver of `events`."""

    id: str
    url: str
    events: tuple[str, ...]
    secret: str

    def as_json(self) -> dict[str, Any]:
        """The hook as the API shows it: never with its secret."""
        return {"id": self.id, "url": self.url, "events": list(self.events)}


def sign(body: bytes, secret: str, prefix: str = "") -> str:
    """The value of `X-OpenAnalyst-Signature` for a raw body."""
    return prefix + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@dataclass(slots=True)
class Webhooks:
    """The registry (`hooks` by id) and the log of every delivery attempted, oldest first."""

    options: EmulatorOptions
    clock: Clock
    background: Background
    hooks: dict[str, Hook] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)

    def announce(self, event: str, payload: dict[str, Any], url: str | None = None) -> None:
        """Deliver `payload` to `url`, if the call named one, and to the hooks for `event`."""
        body = encode({"event": event, **payload})
        if url is not None:
            self.background.spawn(self._deliver(url, body, self.options.webhook_secret))
        for hook in list(self.hooks.values()):
            if event in hook.events:
                self.background.spawn(self._deliver(hook.url, body, hook.secret))

    async def _deliver(self, url: str, body: bytes, secret: str) -> None:
        signature = sign(body, secret, self.options.signature_prefix)
        if not _is_loopback(url):
            refusal = "refused: only loopback receivers are called"
            now = self.clock.now()
            self.deliveries.append(Delivery(now, url, body, signature, 1, None, refusal))
            return
        for attempt in range(1, RETRIES + 2):
            status, error = await _post(url, body, signature)
            now = self.clock.now()
            self.deliveries.append(Delivery(now, url, body, signature, attempt, status, error))
            if status is not None and 200 <= status < 300:
                return
            if attempt <= RETRIES:
                await self.clock.sleep(FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1))


async def _post(url: str, body: bytes, signature: str) -> tuple[int | None, str | None]:
    import httpx

    try:
        headers = {"Content-Type": "application/json", "X-OpenAnalyst-Signature": signature}
        async with httpx.AsyncClient(timeout=ANSWER_WITHIN_SECONDS, trust_env=False) as client:
            answer = await client.post(url, content=body, headers=headers)
        return answer.status_code, None
    except httpx.HTTPError as error:
        return None, type(error).__name__


def _is_loopback(url: str) -> bool:
    import httpx

    try:
        return is_loopback(httpx.URL(url).host)
    except httpx.InvalidURL:
        return False
