"""How a command that did nothing, or did not end, says why."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import click

from oa_sync.cli.printing import say_json, say_lines, say_usage, wants_json_lines
from oa_sync.errors import ConfigurationError, OaSyncError


def tell(error: click.ClickException | OaSyncError, arguments: Sequence[str]) -> None:
    """Say `error` on stderr, and as one JSON object on stdout if the command line has `--json`.

    The words of the command line are looked at, because it may be what could not be understood.
    """
    if "--json" in arguments:
        fault = _as_ours(error)
        known = _sync(fault) if arguments[0] == "sync" else {}
        known |= {"status": "failed", "exit_code": error.exit_code, "error": fault.as_json()}
        say_json(known)
    if wants_json_lines(arguments):
        log = logging.getLogger("oa_sync")
        if not log.handlers:
            from oa_sync.cli.logs import configure

            configure("json", verbose=False)
        log.error("%s", _as_ours(error))
    elif isinstance(error, OaSyncError):
        say_lines(f"oa-sync: {error}", err=True)
    else:
        say_usage(error)


def _as_ours(error: click.ClickException | OaSyncError) -> OaSyncError:
    return error if isinstance(error, OaSyncError) else ConfigurationError(error.format_message())


def _sync(error: OaSyncError) -> dict[str, Any]:
    """The keys that `sync --json` always has. No settings are known, so no name of a workspace either."""
    from oa_sync.workspace.report import SyncReport

    return SyncReport.not_started("default", error).as_json()
