"""A PostgreSQL server that restarts: how long whoever is connected to it waits for it.

An orderly restart takes a second, one with recovery some more. The waits are 35 s in all. After these it is no
restart, and the sync ends with what it has on disk. The first connection of a command is tried once:
there a refusal means a wrong address. A statement is repeated only where that does no harm; who repeats it says why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from oa_sync.clock import Clock

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

WAITS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.5, 2.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0)
"""Seconds before each new attempt. The first is made at once: often only an idle connection was cut."""


class ConnectionLostError(Exception):
    """The server went away. Its argument is the driver's error."""


def is_lost(error: psycopg.Error) -> bool:
    """Whether `error` is about the connection and not about a statement: libpq's own errors have no SQLSTATE, the
    server's are of class 08 (connection exception) or 57P (it stops, crashed, or starts)."""
    return (error.sqlstate or "08").startswith(("08", "57P"))


def lasting(work: Callable[[], T], clock: Clock) -> T:
    """The result of `work`, which is done again after each wait when it raises ConnectionLostError.

    Raises:
        ConnectionLostError: the last one.
    """
    for wait in WAITS:
        try:
            return work()
        except ConnectionLostError:
            clock.pause(wait)
    return work()
