"""One sync at a time for each workspace and destination.

The lock is an advisory lock of the operating system on a file (library: filelock; fasteners and
portalocker offer the same, filelock alone is maintained as a dependency of pip's own tools). The kernel
frees it when its holder dies, whatever the cause, so no lock is ever left behind. A file beside it says
who holds it, for the message only.

Machines that share a PostgreSQL, as the destination or for the quota, lock each other out by it:
a session-level advisory lock on a connection of its own, held for the whole sync. It is one lock, in the
destination where that is PostgreSQL, else where the quota is. The server frees it when that connection ends, however
the process dies; also when the server restarts, so a sync makes sure of it before each load. If a machine vanishes without closing it, TCP keep-alives
notice that within about a minute. A pooler in transaction mode (PgBouncer) takes session locks away:
connect to the server itself.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import orjson
from filelock import FileLock, Timeout

from oa_sync.clock import Clock, isoformat
from oa_sync.errors import (
    DISK_MAY_HEAL,
    ConfigurationError,
    DiskError,
    LockHeldError,
    OaSyncError,
    disk_number,
)
from oa_sync.private import home_folder, private_folder, refuse_link, replace_file
from oa_sync.quota.restarts import ConnectionLostError, lasting


@contextmanager
def sync_lock(folder: Path, name: str, what: str, clock: Clock) -> Iterator[None]:
    """Hold the lock called `name` in `folder` for the `with` block.

    `folder` and its parent are made if missing, for their owner alone. `what` names the locked thing in
    the message.

    Raises:
        LockHeldError: another process holds it; says which one and since when.
        DiskError: the disk is full.
        ConfigurationError: the folder cannot be written.
    """
    holder = folder / f"{name}.holder.json"
    lock = FileLock(folder / f"{name}.lock", timeout=0, mode=0o600)
    try:
        home_folder(folder.parent)
        private_folder(folder)
        refuse_link(folder / f"{name}.lock")
        lock.acquire()
    except Timeout:
        raise LockHeldError(
            f"{what}: another sync is running ({_describe(holder)}); wait for it, or end that process"
        ) from None
    except OSError as error:
        raise _cannot_be_written(folder, error) from error
    try:
        try:
            replace_file(
                holder,
                orjson.dumps(
                    {
                        "pid": os.getpid(),
                        "host": socket.gethostname(),
                        "since": isoformat(clock.now()),
                    }
                ),
            )
        except OSError as error:
            raise _cannot_be_written(folder, error) from error
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _cannot_be_written(folder: Path, error: OSError) -> OaSyncError:
    number = disk_number(error)
    if number is not None and number in DISK_MAY_HEAL:
        return DiskError(f"the home folder {folder.parent} cannot be written", number)
    return ConfigurationError(
        f"{folder} cannot be written: {error.strerror}; choose another --home"
    )


def _describe(holder: Path) -> str:
    try:
        data = orjson.loads(holder.read_bytes())
        return f"process {data['pid']} on {data['host']} since {data['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its process is not known yet"


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


class PostgresLock:
    """The lock called `name` in the database at `address`; `what` names the locked thing in messages.

    A context manager, which takes it and lets it go. Every method raises LockHeldError when another process
    holds it, here or on another machine, and psycopg.Error when the database cannot be reached.
    """

    def __init__(self, address: str, name: str, what: str, clock: Clock) -> None:
        self._address, self._what, self._clock = address, what, clock
        self._key = int.from_bytes(
            hashlib.sha256(f"oa-sync\0{name}".encode()).digest()[:8], signed=True
        )
        self._me = f"{_MARK} {os.getpid()} {isoformat(clock.now())} {socket.gethostname()}"[:63]
        self._connection: psycopg.Connection[Any] | None = None
        self._using = RLock()

    def __enter__(self) -> PostgresLock:
        try:
            lasting(self._take, self._clock)
        except ConnectionLostError as lost:
            raise lost.args[0] from None
        return self

    def __exit__(self, *error: object) -> None:
        from psycopg import Error

        if self._connection is not None:
            # The server notices that a connection is closed a moment later, and the next sync may come before that.
            with suppress(Error):
                self._connection.execute("SELECT pg_advisory_unlock(%s)", [self._key])
            self._connection.close()

    def ensure(self) -> None:
        """Take the lock again if the server restarted meanwhile, and wait for the server."""
        from psycopg import Error

        assert self._connection is not None
        with self._using:
            try:
                self._connection.execute("SELECT 1")
            except Error:
                self._connection.close()
                try:
                    lasting(self._take_again, self._clock)
                except ConnectionLostError as lost:
                    raise lost.args[0] from None

    def _take_again(self) -> None:
        from psycopg import OperationalError

        try:
            self._take()
        except OperationalError as error:
            raise ConnectionLostError(error) from None

    def _take(self) -> None:
        import psycopg

        connection = psycopg.connect(
            self._address,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name=self._me,
            keepalives_idle=20,
        )
        try:
            for setting in _SESSION:
                connection.execute(setting)
            [(held,)] = connection.execute(
                "SELECT pg_try_advisory_lock(%s)", [self._key]
            ).fetchall()
            if not held:
                self._refuse(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _refuse(self, connection: psycopg.Connection[Any]) -> None:
        holder = _holder(connection, self._key)
        held = LockHeldError(
            f"{self._what}: another sync is running ({_described(holder or '')}); wait for it, or end that"
            " process"
        )
        is_ours = holder == self._me and self._connection is not None
        if holder is None or is_ours or _has_died(holder):
            # It was let go just now; or its connection was cut, or its process killed, and the server is about to
            # notice it.
            raise ConnectionLostError(held)
        raise held


def _holder(connection: psycopg.Connection[Any], key: int) -> str | None:
    """The name that the holder gave its connection: '' for other roles, which may not see it. None: nobody holds it
    now, or the connection is being closed."""
    found = connection.execute(_HOLDER, [key]).fetchone()
    return None if found is None else found[0] or ""


def _has_died(holder: str) -> bool:
    """Whether the process that holds the lock ran on this machine, and is gone."""
    parts = holder.removeprefix(_MARK).split()
    if len(parts) != 3 or not socket.gethostname().startswith(parts[2]):
        return False
    try:
        os.kill(int(parts[0]), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OSError):
        return False
    return False


def _described(holder: str) -> str:
    parts = holder.removeprefix(_MARK).split()
    if len(parts) != 3:
        return "its process is not known"
    pid, since, host = parts
    return f"process {pid} on {host} since {since}"
