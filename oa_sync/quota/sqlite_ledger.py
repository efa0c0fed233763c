"""The ledger in a SQLite file of the home folder: for any number of processes on one machine.

WAL and one short `BEGIN IMMEDIATE` transaction a booking. While the minute's limit is at most
`DURABLE_BELOW`, every booking is forced to the disk, so that even a power cut forgets none; above,
a power cut may forget the last seconds' bookings (a killed process never does). The file is for its
owner alone (mode 0600). SQLite's WAL needs a local file system: on a network share, use
`--quota-url`.

A damaged file is moved aside, never deleted. What it had counted is unknown, but none of it is
younger than the file's last change. So the new file starts as if everything was spent at that
moment: nothing is sent until 24 hours after it. If you know that less was spent, delete the new
file: a missing ledger means that nothing was spent.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any

from oa_sync.clock import Clock, isoformat
from oa_sync.errors import ConfigurationError, OaSyncError
from oa_sync.quota.book import TABLES, Book, State
from oa_sync.quota.ledger import Ledger
from oa_sync.quota.limits import DAY_SECONDS, SECOND, WINDOW

log = logging.getLogger(__name__)

FILE_NAME = "quota.sqlite3"
DURABLE_BELOW = 120
"""Requests a minute up to which each booking is flushed to the disk."""
_LAYOUT = 1
_BUSY_SECONDS = 30.0
_ONLY_UNLIMITED = 2**53
"""A day's limit that no plan exceeds: only a command without a limit is not bound by the block."""
_PARTS = ("", "-wal", "-shm")
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class SqliteLedger(Ledger):
    """A ledger file, created with its folder when missing.

    Raises:
        ConfigurationError: the file cannot be opened or written, or a newer version wrote it.
        OaSyncError: from any method, when the file stays locked or the disk fails.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = RLock()
        self._fresh = State()
        self._salt = b""
        self._durable: bool | None = None
        self._inode = 0
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                f"{path}: the quota ledger cannot be opened: {error}; choose a writable --home on a"
                " local disk"
            ) from error

    def salt(self) -> bytes:
        """Random bytes made with the file."""
        return self._salt

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _is_current(self) -> bool:
        """Whether the open file is still the one in the folder: it may be deleted or replaced."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _flush_each_booking(self, per_minute: int | None) -> None:
        """Choose between safety from power cuts and speed by the rate of requests."""
        durable = per_minute is not None and per_minute <= DURABLE_BELOW
        if durable != self._durable:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    @contextmanager
    def _transaction(self, account: int, per_minute: int | None) -> Iterator[tuple[Book, int]]:
        with self._lock:
            try:
                try:
                    book = self._begin(account, per_minute)
                except sqlite3.DatabaseError as error:
                    if not _is_damage(error):
                        raise
                    self._connection.close()
                    self._connection = self._open()
                    book = self._begin(account, per_minute)
                # Read under the lock, so that time never goes backwards from one process to the next.
                yield book, int(self._clock.now().timestamp() * SECOND)
                for sql, parameters in book.close() if book.keeps else ():
                    self._connection.execute(sql, parameters)
                self._connection.execute("COMMIT" if book.keeps else "ROLLBACK")
            except sqlite3.Error as error:
                raise OaSyncError(
                    f"{self._path}: the quota ledger failed ({error}); no request was sent for it."
                    " Check the disk and that no other program holds the file, then run again"
                ) from error
            finally:
                with suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")

    def _begin(self, account: int, per_minute: int | None) -> Book:
        if not self._is_current():
            self._connection.close()
            self._connection = self._open()
        self._flush_each_booking(per_minute)
        self._connection.execute("BEGIN IMMEDIATE")
        return Book(account, self._execute, fresh=self._fresh)

    def _execute(self, sql: str, parameters: Sequence[object]) -> list[Any]:
        return self._connection.execute(sql, parameters).fetchall()

    def _open(self) -> sqlite3.Connection:
        """Open the file; a damaged one is replaced, by one process only."""
        with _exclusive(self._path.with_name(f"{self._path.name}.lock")):
            changed = self._last_change()
            try:
                return self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._move_aside(changed)
                connection = self._connect()
                connection.execute(
                    "INSERT INTO oa_sync_quota_meta VALUES ('unknown_since', ?)", (str(changed),)
                )
                self._fresh = _all_spent(changed)
                return connection

    def _connect(self) -> sqlite3.Connection:
        self._path.touch(mode=0o600)
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            self._durable = None
            (layout,) = connection.execute("PRAGMA user_version").fetchone()
            if layout > _LAYOUT:
                raise ConfigurationError(
                    f"{self._path}: written by a newer oa-sync (layout {layout}, this one knows"
                    f" {_LAYOUT}); update oa-sync or choose another --home"
                )
            if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise _damage("quick_check found a damaged page")
            if layout < _LAYOUT:
                _create(connection)
            (tables,) = connection.execute(
                "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name GLOB 'oa_sync_*'"
            ).fetchone()
            if tables != len(TABLES):
                raise _damage("a table is missing")
            meta = dict(connection.execute("SELECT name, value FROM oa_sync_quota_meta"))
            if "salt" not in meta:
                raise _damage("the salt is missing")
        except BaseException:
            connection.close()
            raise
        self._salt = bytes.fromhex(meta["salt"])
        self._inode = self._path.stat().st_ino
        self._fresh = _all_spent(int(meta["unknown_since"])) if "unknown_since" in meta else State()
        return connection

    def _last_change(self) -> int:
        """When the file, or its log, was last written (epoch microseconds, not after now)."""
        parts = (self._path.with_name(self._path.name + suffix) for suffix in ("", "-wal"))
        now = self._clock.now().timestamp()
        latest = max((part.stat().st_mtime for part in parts if part.exists()), default=now)
        return int(min(latest, now) * SECOND)

    def _move_aside(self, changed: int) -> None:
        """Rename the damaged file and its companions."""
        stamp = self._clock.now().strftime("%Y%m%dT%H%M%S.%fZ")
        for suffix in _PARTS:
            part = self._path.with_name(self._path.name + suffix)
            if part.exists():
                part.rename(part.with_name(f"{self._path.name}.damaged-{stamp}{suffix}"))
        until = datetime.fromtimestamp(changed / SECOND + DAY_SECONDS, UTC)
        log.warning(
            "%s is damaged and was moved aside as %s.damaged-%s. What was spent is unknown, so the"
            " quota counts as spent until %s. If you know that it is not, delete %s",
            self._path,
            self._path.name,
            stamp,
            isoformat(until),
            self._path,
        )


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for table in TABLES:
        connection.execute(table)
    connection.execute(
        "INSERT OR IGNORE INTO oa_sync_quota_meta VALUES ('salt', ?)", (secrets.token_hex(16),)
    )
    connection.execute(f"PRAGMA user_version = {_LAYOUT}")
    connection.execute("COMMIT")


def _all_spent(since: int) -> State:
    """An account whose count is unknown: the only known fact is that nothing was sent after `since`."""
    return State(
        clock=since,
        blocked_until=since + DAY_SECONDS * SECOND,
        blocked_limit=_ONLY_UNLIMITED,
        foreign_count=2**31,
        foreign_until=since + WINDOW,
    )


def _damage(message: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(message)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    missing_table = isinstance(error, sqlite3.OperationalError) and "no such" in str(error)
    return missing_table or (code is not None and code & 0xFF in _DAMAGED)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
