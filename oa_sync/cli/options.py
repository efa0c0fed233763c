"""The flags of the settings, shared by every command that needs them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import click

from oa_sync.errors import ConfigurationError

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _apply(*options: _Decorator) -> _Decorator:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def without_password(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """The address of a database that an option was given, unless it holds a password.

    A command line is in the list of processes, which everybody on the machine can read.

    Raises:
        ConfigurationError: it does. The message does not repeat the address.
    """
    address, _, query = str(value or "").partition("://")[2].partition("?")
    user, at, _ = address.rpartition("@")
    host, _, port = address.partition("/")[0].rpartition(":")
    # Without an @ before the ?, a port that is no number is the beginning of a password with a ? in it.
    is_cut = not at and "@" in query and host and not port.isdigit()
    if ":" in user or is_cut or re.search(r"(^|&)\s*(ssl)?password\s*=", unquote(query)):
        flag = option.opts[0]
        raise ConfigurationError(
            f"{flag}: a password on a command line can be read by everybody on this machine; put the"
            f" address into OA_SYNC_{flag[2:].replace('-', '_').upper()}, or the password alone into"
            " PGPASSWORD or a file that PGPASSFILE names"
        )
    return value


grant_options = _apply(
    click.option(
        "--env",
        "allow_env",
        multiple=True,
        metavar="NAME[@HOST]",
        help="A variable that the definition may read. May be repeated.",
        callback=lambda context, option, value: value or None,
    ),
)
"""What a definition may read."""

definition_options = _apply(
    click.option("--source", metavar="NAME_OR_FILE", help="Definition; default: the dialect's."),
    grant_options,
)
"""Which definition, and what it may read."""

api_options = _apply(
    click.option("--base-url", metavar="URL", help="API address; http:// only for loopback."),
    click.option("--dialect", type=click.Choice(["auto", "page", "cursor"]), help="Default: auto."),
    click.option(
        "--plan",
        type=click.Choice(["free", "basic", "pro", "max", "starter", "enterprise"]),
        help="Whose request limits hold. Default: free (30 a minute, 500 a day).",
    ),
    click.option("--rpm", type=int, metavar="N", help="Requests a minute; 0 = unlimited."),
    click.option("--rpd", type=int, metavar="N", help="Requests a day; 0 = unlimited."),
    click.option(
        "--quota-day",
        metavar="rolling|ZONE",
        help="A day is any 24 hours (default), or begins at midnight in ZONE, as Europe/Berlin.",
    ),
    click.option("--reserve", type=float, metavar="SHARE", help="Of the day, for others; 0.1."),
    click.option("--max-requests", type=int, metavar="N", help="Requests this command may spend."),
    click.option(
        "--quota-url",
        metavar="URL",
        callback=without_password,
        help="postgresql://… shared by machines, without a password.",
    ),
    definition_options,
)
"""Flags of everything that talks to the API."""

place_options = _apply(
    click.option("--home", type=click.Path(), metavar="DIR", help="Ledger, journal and locks."),
    click.option("--workspace", metavar="NAME", help="Label of the workspace. Default: default."),
    click.option(
        "--destination",
        metavar="NAME",
        help="duckdb, parquet, postgres, delta, iceberg, any of dlt's.",
    ),
    click.option("--database", type=click.Path(), metavar="FILE", help="oa_sync.duckdb"),
    click.option(
        "--bucket-url", metavar="URL", help="Folder or bucket for parquet, delta, iceberg."
    ),
    click.option("--dataset-name", metavar="NAME", help="Schema there. Default: openanalyst."),
)
"""Flags that say where things are and go."""

log_options = _apply(
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        help="json: one object a line on stderr.",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Log every request."),
)
"""Flags of the log on stderr."""
