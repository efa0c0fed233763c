"""`oa-sync check`: what is missing before a first sync, one line each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from oa_sync.cli.options import api_options, log_options, place_options
from oa_sync.cli.printing import say, say_json

if TYPE_CHECKING:
    from oa_sync.commands.check import Check

_COLOURS = {"ok": "green", "failed": "red", "skipped": "yellow"}
_INDENT = 26


@click.command()
@api_options
@place_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@log_options
def check(as_json: bool, log_format: str, verbose: bool, **flags: Any) -> None:
    """Test key, API, permissions, quota, destination and definition; one line each.

    Costs one small request for each list, and loads nothing.
    """
    from oa_sync.cli.logs import configure
    from oa_sync.commands.check import run_checks
    from oa_sync.settings import resolve

    settings = resolve(flags)
    configure(log_format, verbose, (settings.api_key or "",))
    if as_json:
        report = run_checks(settings)
        say_json(report.as_json())
    else:
        report = run_checks(settings, tell=_print)
        say()
        say(f"{'failed' if report.exit_code else 'ok'}; requests: {report.requests}")
    sys.exit(report.exit_code)


def _print(check: Check) -> None:
    status = click.style(f"{check.status:<8}", fg=_COLOURS[check.status])
    first, *others = _lines(check.detail)
    say(f" {check.name:<16} {first}", mark=status)
    for line in others:
        say(f"{'':<{_INDENT}}{line}")


def _lines(text: str) -> list[str]:
    """`text` as it is, but folded to the width of a terminal."""
    if not sys.stdout.isatty():
        return text.splitlines()
    import shutil
    import textwrap

    width = max(shutil.get_terminal_size().columns - _INDENT, 30)
    return [part for line in text.splitlines() for part in textwrap.wrap(line, width)]
