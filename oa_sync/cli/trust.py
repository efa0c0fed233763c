"""`oa-sync trust`: allow what a definition sends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from oa_sync.cli.printing import say


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--yes", is_flag=True, help="Allow it without a question.")
@click.option("--base-url", metavar="URL", help="API address of the settings; as for sync.")
@click.option(
    "--home", type=click.Path(), metavar="DIR", help="Where it is remembered; as for sync."
)
def trust(file: str, yes: bool, **flags: Any) -> None:
    """Say which variables of the environment the definition FILE would send to which host, and allow it.

    FILE may also be the .dlt of a folder, which may name a host, a definition and the place of the quota. It is
    remembered until a name or a host in it changes. On a terminal a question is asked; without one, --yes is wanted.
    """
    from oa_sync.commands.trust import for_definition, for_folder
    from oa_sync.errors import ConfigurationError
    from oa_sync.settings import resolve

    path = Path(file).resolve()
    if path.is_dir():
        if path.name != ".dlt":
            raise ConfigurationError(f"{file} is a folder; name a definition file, or a .dlt")
        proposal = for_folder(resolve(flags, cwd=path.parent), path)
    else:
        proposal = for_definition(resolve(flags), file)
    for line in proposal.lines:
        say(line)
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigurationError(
                f"nothing was allowed: there is no terminal to ask on; if that is right: oa-sync trust {file} --yes"
            )
        click.confirm("Allow it?", abort=True)
    proposal.accept()
    say("allowed, until a name or a host in it changes")
