"""One sync at a time across machines, where they share a PostgreSQL: as the destination or for the quota.

A session-level advisory lock on a connection of its own, held for the whole sync. The server frees it when
that connection ends, however the process dies. If a machine vanishes without closing it, TCP keep-alives
notice that within about a minute. A pooler in transaction mode (PgBouncer) takes session locks away:
connect to the server itself.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from oa_sync.clock import Clock, isoformat
from oa_sync.errors import LockHeldError

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 10
_MARK = "oa-sync lock"
_SESSION = (
    "SET tcp_keepalives_idle = 20",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
)
_HOLDER = """
SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((l.classid::bigint << 32) | l.objid::bigint) = %s
"""


@contextmanager
def postgres_lock(address: str, name: str, what: str, clock: Clock) -> Iterator[None]:
    """Hold the lock called `name` in the database at `address` for the `with` block.

    `what` names the locked thing in the message.

    Raises:
        LockHeldError: another process holds it, here or on another machine.
        psycopg.Error: the database cannot be reached.
    """
    import psycopg

    me = f"{_MARK} {os.getpid()} {isoformat(clock.now())} {socket.gethostname()}"
    key = int.from_bytes(hashlib.sha256(f"oa-sync\0{name}".encode()).digest()[:8], signed=True)
    with psycopg.connect(
        address,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS,
        application_name=me[:63],
        keepalives_idle=20,
    ) as connection:
        for setting in _SESSION:
            connection.execute(setting)
        [(held,)] = connection.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchall()
        if not held:
            raise LockHeldError(
                f"{what}: another sync is running ({_holder(connection, key)}); wait for it, or end"
                " that process"
            )
        yield


def _holder(connection: psycopg.Connection[Any], key: int) -> str:
    """Who holds the lock, by the name it gave its connection; other roles may not see that."""
    found = connection.execute(_HOLDER, [key]).fetchone()
    parts = str(found[0]).removeprefix(_MARK).split() if found else []
    if len(parts) != 3:
        return "its process is not known"
    pid, since, host = parts
    return f"process {pid} on {host} since {since}"
