"""The emulator as an ASGI application: key, limits, faults, endpoint, headers, in this order."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from oa_sync.clock import Clock
from oa_sync.emulator.admin import PREFIX, administer
from oa_sync.emulator.calls import Call
from oa_sync.emulator.counters import LogEntry
from oa_sync.emulator.data import Workspace
from oa_sync.emulator.downloads import DOWNLOADS
from oa_sync.emulator.faults import BEFORE, instead, spoiled
from oa_sync.emulator.limits import Verdict, http_date, retry_after
from oa_sync.emulator.options import EmulatorOptions
from oa_sync.emulator.parts import Parts
from oa_sync.emulator.replies import Refusal, Reply, error_body
from oa_sync.emulator.routes import BASE, MethodRefusal, Routes

if TYPE_CHECKING:
    from starlette.requests import Request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Emulator(Parts):
    """One emulated workspace. `state` is for tests; the object itself is the ASGI application.

    A key is any Bearer token that starts with `oa_`. Limits count requests with a valid key under
    /v1. A request over a limit is refused with 429 and takes no slot in a window.
    """

    def __init__(
        self,
        workspace: Workspace,
        options: EmulatorOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(workspace, options or EmulatorOptions(), clock or Clock())
        self._routes = Routes(self.options)
        self._request_numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        from starlette.requests import Request

        if scope["type"] != "http":
            return
        self.background.attach()
        request = Request(scope, receive)
        now = self.clock.now()
        path: str = scope["path"]
        if path == BASE or path.startswith(BASE + "/"):
            reply = await self._api(request, now)
        else:
            reply = await self._beside(request, now)
        await _send(send, reply, now)

    async def _beside(self, request: Request, now: datetime) -> Reply:
        path = request.url.path
        try:
            if path.startswith(PREFIX):
                return await administer(Call(self, request, {}, now))
            if path.startswith(DOWNLOADS):
                self.state.counters.downloads += 1
                return self.exports.download(request, now)
            raise Refusal(404, f"no such path: {path}; the API is under {BASE}")
        except Refusal as refusal:
            return self._refuse(refusal)

    async def _api(self, request: Request, now: datetime) -> Reply:
        counters = self.state.counters
        query = request.url.query
        counters.total += 1
        counters.by_route[request.method, self._routes.template(dict(request.scope))] += 1
        counters.log.append(
            LogEntry(now, request.method, request.url.path + (f"?{query}" if query else ""))
        )
        key = _key_of(request)
        verdict = self.limits.admit(key, now) if key else self.limits.look("", now)
        try:
            reply = await self._answer(request, key, verdict, now)
        except Refusal as refusal:
            reply = self._refuse(refusal)
            if not verdict.allowed:
                wait = retry_after(verdict.wait, now, self.options.retry_after)
                reply = _with_headers(reply, ("retry-after", wait))
        except Exception:
            logging.getLogger(__name__).exception("%s %s", request.method, request.url.path)
            reply = self._refuse(Refusal(500, "the emulator itself failed; its log says why"))
        counters.by_status[reply.status] += 1
        if self.options.dialect == "cursor":
            reply = _with_headers(reply, *_limit_headers(verdict))
        return reply

    async def _answer(
        self, request: Request, key: str | None, verdict: Verdict, now: datetime
    ) -> Reply:
        if self.options.latency_ms:
            await self.clock.sleep(self.options.latency_ms / 1000)
        if key is None:
            raise Refusal(401, "the API key is missing or invalid: send Authorization: Bearer oa_…")
        if not verdict.allowed:
            self.state.counters.over_limit += 1
            raise Refusal(429, f"the limit of {verdict.limit} requests is reached")
        match = self._routes.match(dict(request.scope))
        if match.template.endswith("/{id}"):
            self.state.counters.details[match.params["id"]] += 1
        path = request.url.path.removeprefix(BASE)
        fault = self.faults.pick(path)
        if fault and fault.kind in BEFORE:
            return instead(fault, request.url.path)
        if fault and fault.kind == "slow":
            await self.clock.sleep(float(fault.argument))
        poison = self.faults.poisoned(match.params.get("id"))
        reply = poison or await match.endpoint(Call(self, request, match.params, now))
        return spoiled(fault, reply) if fault else reply

    def _refuse(self, refusal: Refusal) -> Reply:
        request_id = f"req_{next(self._request_numbers):012x}"
        reply = Reply(refusal.status, error_body(self.options.dialect, refusal, request_id))
        if isinstance(refusal, MethodRefusal):
            return _with_headers(reply, ("allow", ", ".join(refusal.allowed)))
        if refusal.status == 401:
            return _with_headers(reply, ("www-authenticate", "Bearer"))
        return reply


def _key_of(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    valid = scheme.lower() == "bearer" and key.startswith("oa_")
    return key if valid else None


def _with_headers(reply: Reply, *headers: tuple[str, str]) -> Reply:
    return replace(reply, headers=reply.headers + headers)


def _limit_headers(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    return (
        ("x-ratelimit-limit", str(verdict.limit)),
        ("x-ratelimit-remaining", str(verdict.remaining)),
        ("x-ratelimit-reset", str(verdict.reset)),
    )


async def _send(send: Send, reply: Reply, now: datetime) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in reply.headers]
    headers.append((b"date", http_date(now).encode()))
    if reply.status != 204:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.aborts:
        half = reply.body[: len(reply.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        raise ConnectionAbortedError("reset in mid-body, as asked")
    await send({"type": "http.response.body", "body": reply.body})
