"""The flags of the settings, shared by every command that needs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _apply(*options: _Decorator) -> _Decorator:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


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
    click.option("--quota-url", metavar="URL", help="postgresql://… shared by machines."),
    click.option("--source", metavar="NAME_OR_FILE", help="Definition; default: the dialect's."),
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
