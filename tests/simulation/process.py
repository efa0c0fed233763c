"""What the process of a sync has around it: environment, log, memory."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
from collections.abc import Iterator

from oa_sync.journal.segment_writer import SegmentWriter
from tests.simulation.server import KEY


@functools.cache
def as_a_process() -> None:
    """As `oa_sync/cli/process.py`: what is imported is never freed, and need not be looked at again."""
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def segments_of(nbytes: int) -> Iterator[None]:
    """Segments of the journal end after `nbytes`."""
    defaults = SegmentWriter.__init__.__kwdefaults__
    before, defaults["max_bytes"] = defaults["max_bytes"], nbytes
    try:
        yield
    finally:
        defaults["max_bytes"] = before


@contextlib.contextmanager
def key_in_environment() -> Iterator[None]:
    """The key of the API, where the definition says that it stands."""
    os.environ["SIMULATED_KEY"] = KEY
    try:
        yield
    finally:
        del os.environ["SIMULATED_KEY"]


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.levelname} {record.getMessage()}")


@contextlib.contextmanager
def logged(lines: list[str]) -> Iterator[None]:
    """What syncs write to the log goes to `lines`."""
    logger, handler = logging.getLogger("oa_sync"), _Lines(lines)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
