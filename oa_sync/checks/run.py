"""The checks in order: definition, key, API and its lists, quota, destination."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Literal

from oa_sync.checks.api import check_api
from oa_sync.checks.destination import try_destination
from oa_sync.checks.outcome import Check, CheckReport
from oa_sync.client import credential
from oa_sync.clock import Clock
from oa_sync.definitions.loader import OPENANALYST, load_definition
from oa_sync.definitions.model import BearerAuth, Definition
from oa_sync.errors import LockHeldError, OaSyncError
from oa_sync.settings import Settings

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

    `tell` hears of each finding at once. Nothing is raised for what is found; at most one request a
    list is sent, and one more where the dialect is not known, all counted in the quota ledger.
    """
    clock = clock or Clock()
    report = CheckReport()

    def found(check: Check) -> None:
        report.checks.append(check)
        tell(check)

    definitions = _check_definition(settings, found)
    if definitions and _check_key(settings, definitions[0], found):
        report.requests = asyncio.run(check_api(settings, clock, found))
    else:
        found(Check("api", "skipped", "not asked; mend the above first"))
    _check_destination(settings, clock, found)
    return report


def _check_definition(settings: Settings, found: Found) -> list[Definition]:
    """The definitions that may come to be used: with `auto`, those of both dialects."""
    source = settings.source or OPENANALYST
    dialects: tuple[Literal["page", "cursor"], ...] = ("page", "cursor")
    if settings.dialect != "auto":
        dialects = (settings.dialect,)
    elif source != OPENANALYST:
        dialects = ("page",)
    try:
        loaded = [load_definition(source, dialect=d, environ=os.environ) for d in dialects]
    except OaSyncError as error:
        found(Check.failed("definition", error))
        return []
    names = ", ".join(resource.name for resource in loaded[0].resources)
    found(Check("definition", "ok", f"{source}: {names}"))
    return loaded


def _check_key(settings: Settings, definition: Definition, found: Found) -> bool:
    auth = definition.client.auth
    if not isinstance(auth, BearerAuth) or auth.token is not None:
        found(Check("key", "ok", f"the definition's own (auth: {auth.type})"))
        return True
    try:
        key = settings.require_api_key()
        credential(auth, key)
    except OaSyncError as error:
        found(Check.failed("key", error))
        return False
    kinds = (text for prefix, text in _KEY_KINDS.items() if key.startswith(prefix))
    found(Check("key", "ok", next(kinds, "set; it does not begin with oa_live_ or oa_test_")))
    return True


def _check_destination(settings: Settings, clock: Clock, found: Found) -> None:
    try:
        found(Check("destination", "ok", try_destination(settings, clock)))
    except LockHeldError as error:
        found(Check("destination", "skipped", str(error)))
    except OaSyncError as error:
        found(Check.failed("destination", error))
