"""Reachability, dialect and permissions: one small request for each list, stopped by the first answer
that every other list would give as well."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from oa_sync.checks.outcome import Check
from oa_sync.client.dialect import PROBE_PATH
from oa_sync.client.paging import Page, pages
from oa_sync.clock import Clock
from oa_sync.connection import Connection, connect
from oa_sync.definitions.model import Definition, OffsetPaginator, Paginator, Resource
from oa_sync.errors import ApiError, NotAuthorisedError, NotFoundError, OaSyncError
from oa_sync.report import Requests
from oa_sync.settings import Settings

Found = Callable[[Check], None]


async def check_api(settings: Settings, clock: Clock, found: Found) -> int:
    """Ask the API and tell `found`; the number of requests that were put on the wire."""
    requests = Requests()
    try:
        async with connect(settings, clock) as connection:
            try:
                await _ask(settings, connection, found)
            finally:
                connection.fill(requests)
            found(_quota(settings, requests))
    except OaSyncError as error:
        found(Check.failed("api", error))
    return requests.made


async def _ask(settings: Settings, connection: Connection, found: Found) -> None:
    try:
        definition = await connection.definition()
    except OaSyncError as error:
        found(Check.failed("api", error))
        return
    stopped = False
    for number, resource in enumerate(definition.resources):
        if stopped:
            found(Check(f"list {resource.name}", "skipped", "not asked after that"))
            continue
        check = await _check_list(connection, definition, resource)
        stopped = check.error is not None and _concerns_all(check.error)
        if number == 0:
            if stopped and check.error is not None:
                found(Check.failed("api", check.error))
                return
            found(Check("api", "ok", _where(settings, connection)))
        found(check)


def _where(settings: Settings, connection: Connection) -> str:
    dialect = "" if connection.dialect == "auto" else f", dialect {connection.dialect}"
    return f"{settings.base_url} answers{dialect}"


async def _check_list(connection: Connection, definition: Definition, resource: Resource) -> Check:
    name = f"list {resource.name}"
    if resource.parent is not None:
        return Check(name, "skipped", f"asked for with each of {resource.parent}")
    try:
        page = await _first_page(connection, definition, resource)
    except NotFoundError as error:
        if not resource.endpoint.optional:
            return Check.failed(name, error)
        return Check(name, "ok", "not offered by this API; a sync leaves it out")
    except OaSyncError as error:
        return Check.failed(name, error)
    return Check(name, "ok", "may be read" if page.total is None else f"{page.total:,} rows")


async def _first_page(connection: Connection, definition: Definition, resource: Resource) -> Page:
    """The first page, as small as can be; the one that told the dialect is not asked for again."""
    detected = connection._detected
    first = detected.first if detected and resource.endpoint.path == PROBE_PATH else None
    walk = pages(
        connection.client,
        resource.endpoint,
        _smallest(definition.paginator_for(resource)),
        first=first,
    )
    async with aclosing(walk):
        return await anext(walk)


def _smallest(paginator: Paginator) -> Paginator:
    if isinstance(paginator, OffsetPaginator):
        return paginator.model_copy(update={"limit": 1})
    if getattr(paginator, "size_param", None) is not None:
        return paginator.model_copy(update={"size": 1})
    return paginator


def _concerns_all(error: OaSyncError) -> bool:
    """Whether asking for other lists would only cost requests: a server that is not well, a key that
    is refused, a limit. Only what one list may be refused (403), lack (404) or dislike is its own."""
    if isinstance(error, NotAuthorisedError):
        return error.status == 401
    own = ApiError if error.code in {"not_found", "invalid_request", "invalid_response"} else ()
    return not isinstance(error, own)


def _quota(settings: Settings, requests: Requests) -> Check:
    if requests.left_today is None:
        return Check("quota", "ok", "no limit a day")
    kept = (
        f", of which {settings.reserve:.0%} of the day stay for others" if settings.reserve else ""
    )
    return Check("quota", "ok", f"{requests.left_today:,} requests left today{kept}")
