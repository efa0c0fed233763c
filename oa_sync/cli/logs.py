"""The log on stderr: one line an event, for people or (`json`) for machines.

Secrets are replaced in the finished line, so it does not matter where they stood: in the message, in a
field, or in a traceback.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

import orjson

from oa_sync.foreign_text import visible, visible_json
from oa_sync.process_wide import hidden, hide, without

_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def configure(log_format: str, verbose: bool, secrets: tuple[str, ...] = ()) -> None:
    """Send the log of this package to stderr as `log_format` (text or json); replaces what was set. `secrets` are
    shown nowhere from now on."""
    hide(secrets)
    handler = _Stderr()
    lines = _JsonLines() if log_format == "json" else _Lines()
    handler.setFormatter(Redacting(lines))
    root = logging.getLogger("oa_sync")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(logging.DEBUG if verbose else logging.INFO)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is now. While bars of progress are shown, that prints above them; a line in
    the middle of them would make them appear twice."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)  # not `StreamHandler`'s, which keeps the stream

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def formatted(record: logging.LogRecord, *, as_json: bool) -> str:
    """The line of a record."""
    return (_JsonLines() if as_json else _Lines()).format(record)


class Redacting(logging.Formatter):
    """Formats as `lines` does, with `***` in place of each secret that is known by then."""

    def __init__(self, lines: logging.Formatter) -> None:
        super().__init__()
        self._lines = lines

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`, without secrets."""
        return without(self._lines.format(record), hidden())


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line = f"{when} {record.levelname.lower():7} {visible(record.getMessage())}"
        if not record.exc_info:
            return line
        return f"{line}\n{visible(self.formatException(record.exc_info), chr(10))}"


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {k: v for k, v in record.__dict__.items() if k not in _STANDARD}
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return visible_json(orjson.dumps(line, default=str).decode())
