"""The one way out to the terminal. What others wrote cannot act on it (`oa_sync/foreign_text.py`), and no secret
that was sent is in it (`oa_sync/process_wide.py:hide`).

Every command prints by these, and nothing else in the package writes to stdout or stderr but the log
(`cli/logs.py`), which cleans its lines in the same way. tests/security/test_hostile_text.py holds that.
"""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Iterable, Sequence
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from oa_sync.foreign_text import visible, visible_json
from oa_sync.process_wide import hidden, shown, without

if TYPE_CHECKING:
    from rich.console import Console


def _told(text: object, keep: str = "") -> str:
    return visible(without(str(text), hidden()), keep)


def say(text: object = "", *, mark: str = "", err: bool = False) -> None:
    """Print one line. `mark` is our own text before it, and may have a colour."""
    click.echo(mark + _told(text), err=err)


def say_lines(text: object, *, err: bool = False) -> None:
    """Print text that has lines of its own, such as the list of all faults of a definition."""
    click.echo(_told(text, "\n"), err=err)


def say_cells(*cells: object) -> None:
    """Print one line of cells with tabs between them."""
    click.echo("\t".join(map(_told, cells)))


def say_json(value: Any, *, indent: bool = True) -> None:
    """Print `value` as the one object on stdout."""
    import orjson

    text = orjson.dumps(shown(value), option=orjson.OPT_INDENT_2 if indent else 0).decode()
    click.echo(visible_json(text))


def say_usage(error: click.ClickException) -> None:
    """Print an error of the command line with click's usage line."""
    usage = io.StringIO()
    error.show(usage)
    say_lines(usage.getvalue().rstrip("\n"), err=True)


def tell_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print the traceback of a mistake of ours; as `sys.excepthook`."""
    say_lines("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"), err=True)


def wants_json_lines(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for a log in JSON; it may be one that cannot be understood."""
    return "--log-format=json" in arguments or ("--log-format", "json") in pairwise(arguments)


def clean_early_warnings(*, as_json: bool) -> None:
    """Clean what is logged before a command has set its log up: settings are read before that."""
    import logging

    class Line(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            from oa_sync.cli.logs import formatted

            return formatted(record, as_json=as_json)

    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Line())


def cell(text: object) -> str:
    """`text` for a `screen`, with nothing in it that the screen would take for its markup."""
    from rich.markup import escape

    return escape(_told(text))


def screen(*, err: bool = False, width: int | None = None) -> Console:
    """A rich console on stdout or stderr; what is printed there cleans itself."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Screen(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else _clean(segment)

    def _clean(segment: Segment) -> Segment:
        return Segment(visible(segment.text, "\n"), segment.style)

    return Screen(file=sys.stderr if err else sys.stdout, highlight=False, width=width)
