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

Damaged is whatever is there and is no whole ledger: an empty file (a ledger comes into being under another
name, so it is never empty), another program's database, a file whose log is gone although its index is there,
and an older copy. That one is known by the lock file beside it, which holds the ledger's clock at the last close:
that clock never goes back.

Who only reads works on a copy in memory, so that nothing changes on the disk, whatever is found there.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any
from urllib.parse import quote

from oa_sync.clock import Clock, isoformat
from oa_sync.errors import (
    DISK_MAY_HEAL,
    ConfigurationError,
    DiskError,
    OaSyncError,
    disk_number,
)
from oa_sync.private import home_folder, open_private, refuse_link
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
    """A ledger file, created with its folder when missing; `only_reading`: what it holds now, and nothing
    is created or changed.

    Raises:
        ConfigurationError: the file cannot be opened or written, or a newer version wrote it.
        OaSyncError: from any method, when the file stays locked or the disk fails.
    """

    def __init__(self, path: Path, clock: Clock, *, only_reading: bool = False) -> None:
        self._path = path
        self._clock = clock
        self._only_reading = only_reading
        self._lock = RLock()
        self._fresh = State()
        self._salt = b""
        self._durable: bool | None = None
        self._inode = 0
        try:
            if only_reading:
                self._connection = self._copy()
                return
            home_folder(path.parent)
            self._connection = self._open()
        except (OSError, sqlite3.Error) as error:
            number = disk_number(error)
            if number is not None and number in DISK_MAY_HEAL:
                where = f"the quota ledger {path} cannot be opened"
                raise DiskError(where, number, "nothing was asked for") from error
            raise ConfigurationError(
                f"{path}: the quota ledger cannot be opened: {error}; choose a writable --home on a"
                " local disk"
            ) from error

    def salt(self) -> bytes:
        """Random bytes made with the file."""
        return self._salt

    def close(self) -> None:
        """Close the file, and note how far its clock has come."""
        with self._lock:
            if self._only_reading or not self._is_current():
                self._connection.close()
                return
            with _exclusive(self._lock_file), suppress(sqlite3.Error):
                latest = _latest(self._connection)
                self._connection.close()
                # A log that is not forced to the disk may lose what a power cut leaves of this note.
                if self._durable or not self._part("-wal").exists():
                    self._note(latest)

    @property
    def _lock_file(self) -> Path:
        return self._part(".lock")

    def _part(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _noted(self) -> int:
        """The ledger's clock at the last close; 0: not known."""
        text = self._lock_file.read_text(encoding="ascii", errors="replace").strip()
        return int(text) if text.isdecimal() else 0

    def _note(self, latest: int) -> None:
        handle = open_private(self._lock_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{latest}\n")

    def _is_current(self) -> bool:
        """Whether the open file is still the one in the folder: it may be deleted, replaced or emptied."""
        if self._only_reading:
            return True
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        return found.st_ino == self._inode and found.st_size > 0

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
                number = disk_number(error)
                if number is not None:
                    where = f"the quota ledger {self._path} cannot be written"
                    raise DiskError(where, number, "no request was sent for it") from error
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
        try:
            return Book(account, self._execute, fresh=self._fresh)
        except ValueError:
            raise _damage("a row of the account holds no numbers") from None

    def _execute(self, sql: str, parameters: Sequence[object]) -> list[Any]:
        return self._connection.execute(sql, parameters).fetchall()

    def _open(self) -> sqlite3.Connection:
        """Open the file; a damaged one is replaced, by one process only."""
        with _exclusive(self._lock_file):
            if not self._path.exists():
                return self._create(State())
            noted, changed = self._noted(), self._last_change()
            try:
                connection = self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
            else:
                if _latest(connection) >= noted:
                    return connection
                connection.close()
                changed = max(changed, noted)
            self._move_aside(changed)
            return self._create(_all_spent(changed))

    def _copy(self) -> sqlite3.Connection:
        """What the file holds, in memory; all is spent if it is damaged."""
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        if not self._path.exists():
            _make_tables(memory, State())
            self._check(memory)
            return memory
        changed, noted = self._last_change(), self._noted() if self._lock_file.exists() else 0
        try:
            with _exclusive(self._lock_file) if self._lock_file.exists() else nullcontext():
                self._look_at_files()
                # Without a log nobody has the file open, and nobody opens it while the lock is held.
                alone = "" if self._part("-wal").exists() else "&immutable=1"
                address = f"file:{quote(str(self._path))}?mode=ro{alone}"
                with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as file:
                    file.backup(memory)
            self._check(memory)
            if _latest(memory) < noted:
                changed = max(changed, noted)
                raise _damage("an older copy")
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            log.warning("%s is damaged: %s", self._path, self._all_is_spent(changed))
            memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            _make_tables(memory, _all_spent(changed))
            self._check(memory)
        return memory

    def _create(self, state: State) -> sqlite3.Connection:
        """Make the file under another name and put it in place: it is whole as soon as it is there."""
        new = self._part(".new")
        for part in (new, self._part("-wal"), self._part("-shm")):
            part.unlink(missing_ok=True)
        os.close(open_private(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            _make_tables(connection, state)
        self._note(0)
        new.replace(self._path)
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        refuse_link(self._path)
        self._look_at_files()
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._check(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            self._durable = None
        except BaseException:
            connection.close()
            raise
        self._inode = self._path.stat().st_ino
        return connection

    def _look_at_files(self) -> None:
        if self._path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self._path))
        if self._path.stat().st_size == 0:
            raise _damage("the file is empty")
        if self._part("-shm").exists() and not self._part("-wal").exists():
            raise _damage("its log is gone")  # SQLite removes the index (-shm) before the log

    def _check(self, connection: sqlite3.Connection) -> None:
        (layout,) = connection.execute("PRAGMA user_version").fetchone()
        if layout > _LAYOUT:
            raise ConfigurationError(
                f"{self._path}: written by a newer oa-sync (layout {layout}, this one knows"
                f" {_LAYOUT}); update oa-sync or choose another --home"
            )
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise _damage("quick_check found a damaged page")
        (tables,) = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name GLOB 'oa_sync_quota_*'"
        ).fetchone()
        if layout < _LAYOUT or tables != len(TABLES):
            raise _damage("a table is missing")
        meta = dict(connection.execute("SELECT name, value FROM oa_sync_quota_meta"))
        try:
            self._salt = bytes.fromhex(meta["salt"])
            unknown_since = int(meta.get("unknown_since", 0))
        except (KeyError, ValueError):
            raise _damage("the salt is missing") from None
        accounts = connection.execute("SELECT * FROM oa_sync_quota_account")
        if not all(isinstance(value, int) for row in accounts for value in row):
            raise _damage("an account holds what is no number")
        self._fresh = _all_spent(unknown_since) if unknown_since else State()

    def _last_change(self) -> int:
        """When the file, or its log, was last written (epoch microseconds)."""
        parts = (part for part in (self._path, self._part("-wal")) if part.exists())
        return int(max(part.stat().st_mtime for part in parts) * SECOND)

    def _move_aside(self, changed: int) -> None:
        """Rename the damaged file and its companions."""
        stamp = self._clock.now().strftime("%Y%m%dT%H%M%S.%fZ")
        for suffix in _PARTS:
            part = self._part(suffix)
            if part.exists():
                part.rename(part.with_name(f"{self._path.name}.damaged-{stamp}{suffix}"))
        log.warning(
            "%s is damaged and was moved aside as %s.damaged-%s. %s",
            self._path,
            self._path.name,
            stamp,
            self._all_is_spent(changed),
        )

    def _all_is_spent(self, changed: int) -> str:
        since = min(changed / SECOND, self._clock.now().timestamp())
        until = datetime.fromtimestamp(since + DAY_SECONDS, UTC)
        return (
            "What was spent is unknown, so the quota counts as spent until"
            f" {isoformat(until)}. If you know that it is not, delete {self._path}"
        )


def _make_tables(connection: sqlite3.Connection, state: State) -> None:
    """The tables of a new ledger, whose accounts begin with `state`."""
    connection.execute("BEGIN IMMEDIATE")
    for table in TABLES:
        connection.execute(table)
    meta = {"salt": secrets.token_hex(16)}
    if state.clock:
        meta["unknown_since"] = str(state.clock)
    connection.executemany("INSERT INTO oa_sync_quota_meta VALUES (?, ?)", meta.items())
    connection.execute(f"PRAGMA user_version = {_LAYOUT}")
    connection.execute("COMMIT")


def _latest(connection: sqlite3.Connection) -> int:
    """The clock of the ledger: the latest of its accounts."""
    (latest,) = connection.execute("SELECT max(clock) FROM oa_sync_quota_account").fetchone()
    return int(latest or 0)


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
    handle = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
