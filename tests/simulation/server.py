"""The API of a world as an httpx transport: true answers, unless the night says otherwise."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, unquote

import httpx

from tests.simulation.lies import Teller
from tests.simulation.paging import WAYS, Cut
from tests.simulation.source import Source, position, visible
from tests.simulation.worlds import HOST, ListPlan, World

KEY = "oa_test_simulated_secret_0123456789"


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it, at its own, true time in seconds."""

    at: float
    kind: str
    name: str
    key: tuple[str, ...] = ()
    status: int = 200
    is_whole: bool = True
    """It was answered with 200, and the network left the answer as it was."""
    by: str = ""
    """The workspace whose sync asked."""


@dataclass
class Server(httpx.AsyncBaseTransport):
    """`before` is called at each request and may raise what a network raises; `spoil` may change an answer."""

    world: World
    source: Source
    now: Callable[[], float]
    instant: Callable[[], datetime]
    before: Callable[[str], None]
    spoil: Callable[[str, int, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]
    after: Callable[[], None]
    asked: list[Asked] = field(default_factory=list)
    teller: Teller | None = None
    by: str = ""
    """The workspace whose sync asks."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == HOST, f"a request went to {request.url.host}"
        assert request.headers.get("authorization") == f"Bearer {KEY}"
        path = unquote(request.url.raw_path.decode().partition("?")[0]).removeprefix("/v1/")
        way = self.world.latency / 2
        at = self.now() + way  # also if the machine is suspended meanwhile: it has sent it before
        try:
            await asyncio.sleep(way)
            self.before(path)
        except (httpx.ReadTimeout, httpx.ReadError, asyncio.CancelledError):
            # It was sent. That nobody waits for the answer any more does not call it back.
            self.asked.append(Asked(at, "lost", path, status=0, by=self.by))
            raise
        query = {name: values[-1] for name, values in parse_qs(request.url.query.decode()).items()}
        what, status, headers, document = self.answer(
            request.url.raw_path.decode().partition("?")[0].removeprefix("/v1/"), query
        )
        body = json.dumps(document, ensure_ascii=False).encode()
        body = self.teller.written(body) if self.teller else body
        true = body
        status, headers, body = self.spoil(path, status, headers, body)
        is_whole = status == 200 and body == true
        self.asked.append(
            Asked(at, what.kind, what.name, what.key, status, is_whole=is_whole, by=self.by)
        )
        # Of the answer as it is made, before anything else changes (RFC 9110, 6.6.1).
        headers = {"content-type": "application/json", "date": _date(self.instant()), **headers}
        self.after()
        await asyncio.sleep(way)
        return httpx.Response(
            status, headers=headers, stream=httpx.ByteStream(body), request=request
        )

    def answer(
        self, raw_path: str, query: dict[str, str]
    ) -> tuple[Asked, int, dict[str, str], Any]:
        """What was asked for, and the true answer to it."""
        parts = [unquote(part) for part in raw_path.split("/")]
        for plan in self.world.lists:
            if parts[0] == f"{plan.name}-of":
                key = tuple(parts[1:])
                status, found = self._detail(plan, key)
                return Asked(0, "detail", plan.name, key), status, {}, found or _ERROR
            if parts == [plan.name] and plan.parent is None:
                return (Asked(0, "list", plan.name), *self._page(plan, None, raw_path, query))
            if (
                plan.parent is not None
                and len(parts) == 3
                and (parts[0], parts[2]) == (plan.parent, plan.name)
            ):
                what = Asked(0, "list", plan.name, (parts[1],))
                if not self._is_there(plan.parent, parts[1]):
                    return what, 404, {}, _ERROR
                return (what, *self._page(plan, parts[1], raw_path, query))
        return Asked(0, "unknown", raw_path), 404, {}, _ERROR

    def _is_there(self, name: str, key: str) -> bool:
        rows = self.source.rows[name]
        return (key,) in rows or (key.isdigit() and (int(key),) in rows)

    def _detail(self, plan: ListPlan, key: tuple[str, ...]) -> tuple[int, dict[str, Any] | None]:
        is_stale = self.teller is not None and self.teller.is_stale(plan, detail=True)
        found = self.source.detail(plan, key, is_stale=is_stale)
        if self.teller is None:
            return (404 if found is None else 200), found
        first = next((visible(row) for row in self.source.listed(plan)), None)
        return self.teller.detail(plan, first, found)

    def _page(
        self, plan: ListPlan, parent: str | None, raw_path: str, query: dict[str, str]
    ) -> tuple[int, dict[str, str], Any]:
        is_stale = self.teller is not None and self.teller.is_stale(plan)
        rows = self.source.listed(plan, parent, is_stale=is_stale)
        size = min(plan.size, int(query.get("size", query.get("limit", plan.size))))
        way, positions = WAYS[plan.paging], [position(plan, row) for row in rows]
        start = way.start(query, size, positions)
        cut = Cut(start, size, positions, f"https://{HOST}/v1/{raw_path}")
        hidden = _ONLY_IN_DETAIL if plan.has_detail else frozenset()
        document: dict[str, Any] = {
            "data": [visible(row, hidden) for row in rows[start : cut.stop]]
        }
        if plan.has_total:
            document["total"] = len(rows) + plan.hidden
        document = {**document, **way.told(cut)}
        if self.teller is None:
            return 200, way.headers(cut), document
        status, said = self.teller.page(plan, document, is_first=start == 0)
        return status, way.headers(cut), said


_ONLY_IN_DETAIL = frozenset({"body", "parts"})
_ERROR = {"error": {"code": "not_found", "message": "there is none"}}


def _date(instant: datetime) -> str:
    return format_datetime(instant.replace(microsecond=0), usegmt=True)


def seconds_of(instant: datetime, begin: datetime) -> float:
    """Seconds from `begin`."""
    return (instant - begin) / timedelta(seconds=1)
