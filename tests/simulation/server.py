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

from tests.simulation.worlds import HOST, ListPlan, Source, World

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

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == HOST, f"a request went to {request.url.host}"
        assert request.headers.get("authorization") == f"Bearer {KEY}"
        path = unquote(request.url.raw_path.decode().partition("?")[0]).removeprefix("/v1/")
        await asyncio.sleep(self.world.latency / 2)
        at = self.now()
        self.before(path)
        query = {name: values[-1] for name, values in parse_qs(request.url.query.decode()).items()}
        what, status, headers, document = self.answer(
            request.url.raw_path.decode().partition("?")[0].removeprefix("/v1/"), query
        )
        body = json.dumps(document, ensure_ascii=False).encode()
        true = body
        status, headers, body = self.spoil(path, status, headers, body)
        is_whole = status == 200 and body == true
        self.asked.append(Asked(at, what.kind, what.name, what.key, status, is_whole))
        self.after()
        await asyncio.sleep(self.world.latency / 2)
        headers = {"content-type": "application/json", "date": _date(self.instant()), **headers}
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
                found = self.source.detail(plan, key)
                what = Asked(0, "detail", plan.name, key)
                return (what, 200, {}, found) if found is not None else (what, 404, {}, _ERROR)
            if parts == [plan.name] and plan.parent is None:
                return (Asked(0, "list", plan.name), 200, *self._page(plan, None, raw_path, query))
            if (
                plan.parent is not None
                and len(parts) == 3
                and (parts[0], parts[2]) == (plan.parent, plan.name)
            ):
                what = Asked(0, "list", plan.name, (parts[1],))
                if not any(str(key[0]) == parts[1] for key in self.source.rows[plan.parent]):
                    return what, 404, {}, _ERROR
                return (what, 200, *self._page(plan, parts[1], raw_path, query))
        return Asked(0, "unknown", raw_path), 404, {}, _ERROR

    def _page(
        self, plan: ListPlan, parent: str | None, raw_path: str, query: dict[str, str]
    ) -> tuple[dict[str, str], dict[str, Any]]:
        rows = self.source.listed(plan, parent)
        size = min(plan.size, int(query.get("size", query.get("limit", plan.size))))
        match plan.paging:
            case "page":
                start = (int(query.get("page", 1)) - 1) * size
            case "offset":
                start = int(query.get("offset", 0))
            case "cursor":
                start = int(query["after"].removeprefix("c")) if "after" in query else 0
            case "single":
                start = 0
            case _:
                start = int(query.get("from", 0))
        document: dict[str, Any] = {"data": rows[start : start + size]}
        headers: dict[str, str] = {}
        if plan.has_total:
            document["total"] = len(rows)
        more = start + size < len(rows)
        link = f"https://{HOST}/v1/{raw_path}?from={start + size}"
        match plan.paging:
            case "cursor":
                document["next"] = f"c{start + size}" if more else None
            case "next_link":
                document["next"] = link if more else None
            case "header_link" if more:
                headers["link"] = f'<{link}>; rel="next"'
        return headers, document


_ERROR = {"error": {"code": "not_found", "message": "there is none"}}


def _date(instant: datetime) -> str:
    return format_datetime(instant.replace(microsecond=0), usegmt=True)


def seconds_of(instant: datetime, begin: datetime) -> float:
    """Seconds from `begin`."""
    return (instant - begin) / timedelta(seconds=1)
