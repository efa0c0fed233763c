"""The command line: parse, call, print. Each command is imported only when it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from oa_sync._version import __version__
from oa_sync.cli.printing import clean_early_warnings, say, tell_crash, wants_json_lines
from oa_sync.cli.process import (
    discard_output,
    open_closed_streams,
    print_whatever_the_encoding,
    report_to_nobody,
    start_lightly,
)
from oa_sync.errors import OaSyncError

# name: (module of oa_sync.cli, attribute, one line for --help; so that help imports nothing)
_COMMANDS = {
    "demo": ("demo", "demo", "See it work: no key, no network, a sample workspace on loopback."),
    "check": ("check", "check", "Test key, API, permissions, destination and definition."),
    "sync": ("sync", "sync", "Bring the destination up to date. The main job."),
    "plan": ("plan", "plan", "What a sync would cost, and how many days it takes."),
    "status": ("status", "status", "Last syncs, backlog, quota used. No request."),
    "query": ("query", "query", "Run a query and load its result."),
    "runs": ("runs", "runs", "Start, register and list agent runs."),
    "download": ("download", "download", "Export a dataset at the API and load the file."),
    "export": ("export", "export", "Write the loaded tables as Parquet files. No request."),
    "copy": ("copy", "copy", "Move to another destination. No request."),
    "webhook": ("webhook", "webhook", "Receive signed callbacks of agent runs."),
    "resources": ("definitions", "resources", "Show what the definition declares."),
    "validate": ("definitions", "validate", "Check a definition file; tells every error."),
    "trust": ("trust", "trust", "Allow what a definition sends to which host."),
    "emulator": ("emulator", "emulator", "Serve an emulated API on loopback."),
}


class _LazyGroup(click.Group):
    """Lists and loads commands by the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        command = getattr(import_module(f"oa_sync.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings come from flags, then the environment, then .dlt/*.toml. Exit codes: 0 complete,"
    " 1 failed, 2 usage or configuration, 3 partial (budget spent, go on next time), 4 locked,"
    " 5 not authorised.",
)
@click.version_option(__version__, prog_name="oa-sync")
def cli() -> None:
    """Mirror an OpenAnalyst workspace into DuckDB, Parquet or a warehouse, within its quota."""


def main() -> None:
    """Entry point of the `oa-sync` script: errors become one message, an object where `--json` was given, and
    an exit code."""
    start_lightly()
    open_closed_streams()
    report_to_nobody()
    print_whatever_the_encoding()
    sys.excepthook = tell_crash
    clean_early_warnings(as_json=wants_json_lines(sys.argv[1:]))
    try:
        cli.main(standalone_mode=False, prog_name="oa-sync")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        discard_output()
        sys.exit(1)
    except OSError as error:
        discard_output()
        say(f"oa-sync: {error.filename or 'output'}: {error.strerror or error}", err=True)
        sys.exit(1)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        say("oa-sync: interrupted", err=True)
        sys.exit(130)
    except (click.ClickException, OaSyncError) as error:
        from oa_sync.cli.failure import tell

        tell(error, sys.argv[1:])
        sys.exit(error.exit_code)
