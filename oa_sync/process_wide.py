"""What this process has one of, such as the level of a logger: changed while it is needed, then put back.

oa-sync runs inside other programs too. Several of its threads may need the same change at once: the first one
makes it, and the last one puts the value back that was there before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

_lock = threading.Lock()
_held: dict[Hashable, tuple[int, Any]] = {}
"""For each thing that is changed now: by how many, and its value before."""


@contextmanager
def held_at(
    thing: Hashable, value: Any, read: Callable[[], Any], write: Callable[[Any], None]
) -> Iterator[None]:
    """Let `thing` have `value` for the `with` block; `read` and `write` get and set it."""
    with _lock:
        holders, before = _held.get(thing) or (0, read())
        _held[thing] = holders + 1, before
        if not holders:
            write(value)
    try:
        yield
    finally:
        with _lock:
            holders, before = _held.pop(thing)
            if holders > 1:
                _held[thing] = holders - 1, before
            else:
                write(before)


@contextmanager
def log_levels(level: int, *names: str) -> Iterator[None]:
    """Let the loggers of these names tell nothing below `level` for the `with` block."""
    with ExitStack() as stack:
        for name in names:
            log = logging.getLogger(name)
            stack.enter_context(
                held_at(("log level", name), level, lambda log=log: log.level, log.setLevel)  # type: ignore[misc]
            )
        yield
