"""`oa-sync check`: is everything there that a sync needs? Each check is one line with its next step."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from oa_sync.client import credential
from oa_sync.client.dialect import PROBE_PATH
from oa_sync.client.paging import Page, pages
from oa_sync.clock import Clock
from oa_sync.definitions.loader import OPENANALYST
from oa_sync.definitions.model import Definition, OffsetPaginator, Paginator, Resource
from oa_sync.errors import ApiError, LockHeldError, NotAuthorisedError, NotFoundError, OaSyncError
from oa_sync.load.disk_errors import disk_error
from oa_sync.quota.postgres_address import place_of
from oa_sync.settings import Settings, default_home
from oa_sync.tables.first_look import tables_of
from oa_sync.workspace.access import Access, allow, find_access
from oa_sync.workspace.connection import Connection, connect
from oa_sync.workspace.lock import sync_lock
from oa_sync.workspace.report import Requests
from oa_sync.workspace.surroundings import Surroundings

# If several checks fail, the failure to fix first decides.
_EXIT_CODES = (2, 5, 4, 1, 3)


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `detail` says what was found and, if the check failed, what to do.

    `skipped`: it could not be tried because something else failed, or a sync is running.
    """

    name: str
    status: Literal["ok", "failed", "skipped"]
    detail: str
    error: OaSyncError | None = None

    @classmethod
    def failed(cls, name: str, error: OaSyncError) -> Check:
        """A failed check; errors of ours name the next step themselves."""
        return cls(name, "failed", str(error), error)


@dataclass
class CheckReport:
    """All findings in order, and the requests they cost (every one put on the wire)."""

    checks: list[Check] = field(default_factory=list)
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """2 for configuration, 5 not authorised, 1 failed, 3 when the budget ended; 0 if all is well."""
        codes = {
            1 if check.error is None else check.error.exit_code
            for check in self.checks
            if check.status == "failed"
        }
        return next((code for code in _EXIT_CODES if code in codes), 0)

    def as_json(self) -> dict[str, Any]:
        """The object that `check --json` prints."""
        return {
            "status": "failed" if self.exit_code else "ok",
            "exit_code": self.exit_code,
            "requests": {"made": self.requests},
            "checks": [
                {
                    "name": check.name,
                    "status": check.status,
                    "detail": check.detail,
                    "error": check.error.as_json() if check.error else None,
                }
                for check in self.checks
            ],
        }


Found = Callable[[Check], None]

_KEY_KINDS = {
    "oa_live_": "a production key (oa_live_…)",
    "oa_test_": "a test-mode key (oa_test_…), which sees synthetic data",
}


def run_checks(
    settings: Settings,
    clock: Clock | None = None,
    tell: Callable[[Check], None] = lambda check: None,
) -> CheckReport:
    """Look at everything a sync with `settings` needs, and go on after a failure where that makes sense.

    `tell` is called with each finding at once. No finding is raised. At most one request a list is sent,
    and one more where the dialect is not known; all are counted in the quota ledger.
    """
    clock = clock or Clock()
    report = CheckReport()

    def found(check: Check) -> None:
        report.checks.append(check)
        tell(check)

    ways = _check_definition(settings, found)
    if ways and _check_key(ways[0], found):
        report.requests = asyncio.run(check_api(settings, clock, found))
    else:
        found(Check("api", "skipped", "not asked; mend the above first"))
    definitions = [way.definition for way in ways if way.definition is not None]
    _check_destination(settings, clock, definitions, found)
    return report


def _check_definition(settings: Settings, found: Found) -> list[Access]:
    """The definitions that a sync may use, and what they send: with `auto`, those of both dialects."""
    dialects: tuple[Literal["page", "cursor"], ...] = ("page", "cursor")
    if settings.dialect != "auto":
        dialects = (settings.dialect,)
    elif settings.source not in (None, OPENANALYST):
        dialects = ("page",)
    try:
        ways = [find_access(settings, dialect) for dialect in dialects]
    except OaSyncError as error:
        found(Check.failed("definition", error))
        return []
    assert ways[0].definition is not None, "a definition is loaded for a dialect"
    names = ", ".join(resource.name for resource in ways[0].definition.resources)
    sends = [f"sends {name} to {host}" for name, host in ways[0].sends()]
    found(
        Check("definition", "ok", "\n".join([f"{settings.source or OPENANALYST}: {names}", *sends]))
    )
    return ways


def _check_key(access: Access, found: Found) -> bool:
    """Whether there is a key, and everything that would be sent was granted."""
    try:
        credential(
            access.config.auth, access.settings.require_api_key() if access.needs_key else None
        )
        allow(access)
    except OaSyncError as error:
        found(Check.failed("key", error))
        return False
    key, own = (
        access.settings.api_key or "",
        f"the definition's own (auth: {access.config.auth.type})",
    )
    kinds = (text for prefix, text in _KEY_KINDS.items() if key.startswith(prefix))
    kind = next(kinds, "set; it does not begin with oa_live_ or oa_test_")
    found(Check("key", "ok", kind if access.needs_key else own))
    return True


def _check_destination(
    settings: Settings, clock: Clock, definitions: Sequence[Definition], found: Found
) -> None:
    tables = {name for one in definitions for name in tables_of(one.resources, one.queries)}
    try:
        found(Check("destination", "ok", try_destination(settings, clock, tables)))
    except LockHeldError as error:
        found(Check("destination", "skipped", str(error)))
    except OaSyncError as error:
        found(Check.failed("destination", disk_error(error, settings) or error))


async def check_api(settings: Settings, clock: Clock, found: Found) -> int:
    """Ask the API and pass each finding to `found`; returns the number of requests sent."""
    requests = Requests()
    try:
        async with connect(settings, Surroundings(clock)) as connection:
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
    return f"{find_access(settings).masked(connection.client.base)} answers{dialect}"


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
    """The first page, as small as possible. A page that the dialect probe fetched is not asked for again."""
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
    """Whether every other list would fail too, so that asking only costs requests: a failing server, a
    refused key, a limit. Forbidden (403), missing (404) and an invalid request or answer concern one list."""
    if isinstance(error, NotAuthorisedError):
        return error.status == 401
    own = ApiError if error.code in {"not_found", "invalid_request", "invalid_response"} else ()
    return not isinstance(error, own)


def _quota(settings: Settings, requests: Requests) -> Check:
    if requests.left_today is None:
        left = "no limit a day"
    else:
        left = f"{requests.left_today:,} requests left today"
        if settings.reserve:
            left += f", of which {settings.reserve:.0%} of the day stay for others"
    return Check("quota", "ok", f"{left}; {_counted(settings)}")


def _counted(settings: Settings) -> str:
    """Where requests are counted, and who counts there too."""
    if settings.quota_url is not None:
        return (
            f"counted in {place_of(settings.quota_url, '--quota-url')}, shared by all that use it"
        )
    if settings.home == (shared := default_home()):
        return "counted in the default home, shared by all syncs of this user without a --home of their own"
    return (
        f"counted in {settings.home} alone: not shared with the ledger of this user in {shared}, nor with"
        " other homes, so that each spends the whole quota. One key in several homes needs one"
        " --quota-url, or no --home"
    )


def try_destination(settings: Settings, clock: Clock, tables: Collection[str]) -> str:
    """Open the destination, look for `tables` that are not ours, make a table and drop it again; says what was
    found.

    Raises:
        LockHeldError: a sync is writing there.
        ConfigurationError: it cannot be used as it is set.
        DestinationError: it cannot be reached or written.
    """
    from oa_sync.load.opening import open_target

    what = f"workspace {settings.workspace!r} into {settings.destination}"
    is_new = settings.destination == "duckdb" and not settings.database.exists()
    with (
        sync_lock(settings.home / "locks", settings.fingerprint(), what, clock),
        tempfile.TemporaryDirectory(prefix="oa-sync-check-") as scratch,
    ):
        try:
            with open_target(settings, Path(scratch) / "dlt") as target:
                target.require(tables)
                return target.probe()
        finally:
            if is_new:
                settings.database.unlink(missing_ok=True)
