"""Which paths exist in which dialect."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from oa_sync.emulator import exports, hooks, queries, runs
from oa_sync.emulator.calls import Endpoint
from oa_sync.emulator.options import EmulatorOptions
from oa_sync.emulator.replies import Refusal
from oa_sync.emulator.resources import list_of, one_of

if TYPE_CHECKING:
    from starlette.routing import Route

BASE = "/v1"
_SLASH = "\0"
"""Stands for an encoded slash while a path is matched; no path can hold it otherwise."""
Table = list[tuple[str, str, Endpoint]]


@dataclass(frozen=True, slots=True)
class Match:
    """The endpoint for a request, its path template (without /v1) and the path's parameters."""

    endpoint: Endpoint
    template: str
    params: dict[str, Any]


class Routes:
    """The paths of one dialect, matched by Starlette's routes."""

    def __init__(self, options: EmulatorOptions) -> None:
        from starlette.routing import Route

        table = _common() + (_page(options) if options.dialect == "page" else _cursor())
        self._routes: list[tuple[Route, str, Endpoint]] = [
            (Route(BASE + path, _unused, methods=[method]), path, endpoint)
            for method, path, endpoint in table
        ]

    def template(self, scope: dict[str, Any]) -> str:
        """The path template that a request's path fits, whatever its method, or `unmatched`."""
        from starlette.routing import Match as Fit

        scope = _with_whole_segments(scope)
        fits = (path for route, path, _ in self._routes if route.matches(scope)[0] != Fit.NONE)
        return next(fits, "unmatched")

    def match(self, scope: dict[str, Any]) -> Match:
        """The endpoint for a request. Refusal 404 for its path, 405 for its method."""
        from starlette.routing import Match as Fit

        allowed: set[str] = set()
        scope = _with_whole_segments(scope)
        for route, path, endpoint in self._routes:
            fit, child = route.matches(scope)
            if fit is Fit.FULL:
                params = child["path_params"]
                return Match(endpoint, path, {n: v.replace(_SLASH, "/") for n, v in params.items()})
            if fit is Fit.PARTIAL:
                allowed |= route.methods or set()
        if allowed:
            raise MethodRefusal(scope["method"], sorted(allowed))
        raise Refusal(404, f"no such path: {scope['path']}")


def _with_whole_segments(scope: dict[str, Any]) -> dict[str, Any]:
    """`scope`, with a path in which an encoded slash does not separate: it belongs to an id."""
    raw = scope["raw_path"].partition(b"?")[0].decode("latin-1")
    return {**scope, "path": unquote(re.sub("%2f", quote(_SLASH), raw, flags=re.IGNORECASE))}


class MethodRefusal(Refusal):
    """405, with the methods for the `Allow` header that RFC 9110 asks for."""

    def __init__(self, method: str, allowed: list[str]) -> None:
        super().__init__(405, f"{method} is not allowed here; allowed: {', '.join(allowed)}")
        self.allowed = allowed


def _common() -> Table:
    return [
        ("GET", "/datasets", list_of("datasets")),
        ("GET", "/datasets/{id}", one_of("datasets")),
        ("GET", "/reports", list_of("reports")),
        ("GET", "/reports/{id}", one_of("reports")),
        ("GET", "/dashboards", list_of("dashboards")),
    ]


def _page(options: EmulatorOptions) -> Table:
    table: Table = [
        ("POST", "/agents/run", runs.start_by_task),
        ("GET", "/agents/runs/{id}", one_of("agent_runs")),
        ("POST", "/queries", queries.run_page),
        ("GET", "/queries/{id}/results", queries.results),
    ]
    if options.runs_list:
        table.append(("GET", "/agents/runs", list_of("agent_runs")))
    return table


def _cursor() -> Table:
    return [
        ("GET", "/agents/sessions", list_of("agent_runs")),
        ("GET", "/agents/sessions/{id}", one_of("agent_runs")),
        ("POST", "/agents/run", runs.start_by_prompt),
        ("POST", "/queries/run", queries.run_cursor),
        ("GET", "/queries/{id}/results", queries.results),
        ("POST", "/exports", exports.create),
        ("GET", "/exports/{id}/download", exports.download_of),
        ("POST", "/webhooks", hooks.register),
        ("GET", "/webhooks", hooks.listed),
        ("DELETE", "/webhooks/{id}", hooks.forget),
    ]


async def _unused(_request: Any) -> Any:
    """Starlette's routes want an endpoint; here they only match paths."""
