"""The durable inbox: deliveries wait here between the receiver, which adds, and the sync, which takes.

One SQLite file with a write-ahead log, flushed to the disk at every commit (`synchronous=FULL`): once
`append` has returned, the delivery survives a crash of the process or of the machine. SQLite's locks are
all that the two processes need between them.

A delivery is known by the SHA-256 of its body: the API sends at least once and names no delivery id.
An acknowledged one loses its body at once and its id after `REMEMBER`, so a late retry stays a duplicate.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock

from oa_sync.clock import Clock
from oa_sync.errors import OaSyncError
from oa_sync.private import (
    FILE_MODE,
    FOLDER_MODE,
    open_private,
    private_folder,
    refuse_link,
)

REMEMBER = timedelta(days=30)
"""How long the id of an acknowledged delivery is kept; five retries with backoff end long before."""

BUSY_SECONDS = 5.0
"""How long to wait for the other process; below the 10 s in which the API wants its answer."""

# Rows that one transaction acknowledges: it blocks the receiver for some milliseconds only.
_ACKNOWLEDGED_AT_ONCE = 500
# Rows of one INSERT, which takes three parameters for each; SQLite allows 32,766.
_STORED_AT_ONCE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    sequence INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    received_at INTEGER NOT NULL,
    body BLOB,
    acknowledged_at INTEGER
);
CREATE INDEX IF NOT EXISTS waiting ON deliveries (received_at, sequence)
    WHERE acknowledged_at IS NULL;
CREATE INDEX IF NOT EXISTS remembered ON deliveries (acknowledged_at)
    WHERE acknowledged_at IS NOT NULL;
"""


MOST_BYTES = 1024 * 1024 * 1024
"""How large an inbox becomes at most: half a million callbacks of 2 KB, should no sync ever drain it."""


class InboxFullError(OaSyncError):
    """The inbox has no room for what is to be stored; what it holds is kept."""

    code = "inbox_full"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One callback: `id` is the SHA-256 of `body` in hex, `received_at` an instant in UTC."""

    id: str
    received_at: datetime
    body: bytes = field(repr=False)


def delivery_id(body: bytes) -> str:
    """The id of the delivery of `body`."""
    return hashlib.sha256(body).hexdigest()


def inbox_folder(home: Path, workspace: str) -> Path:
    """Where the inbox of `workspace` lies under `home`, for the receiver and the sync alike.

    The label is hashed: it is any text, and a file name is not.
    """
    return home / "inbox" / hashlib.sha256(workspace.encode()).hexdigest()[:16]


class Inbox:
    """Deliveries of one workspace in `folder`, which is made if missing and readable by its owner only.

    Any thread may call any method. Close it when done. It holds `most_bytes` on the disk at most: the bodies
    that wait, and the ids that are remembered.

    Raises (constructor and every method):
        OaSyncError: the file cannot be read or written; names it and the reason. Nothing was stored.
    """

    def __init__(self, folder: Path, clock: Clock, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._path = folder / "inbox.sqlite"
        self._clock = clock
        self._lock = threading.Lock()
        self._connection = self._open()

    def append(self, body: bytes, received_at: datetime) -> bool:
        """Store `body`, on disk when this returns. False: it is a duplicate, and was stored before."""
        return self.append_all([(body, received_at)])[0]

    def append_all(self, deliveries: Sequence[tuple[bytes, datetime]]) -> list[bool]:
        """`append` for each of `deliveries` (body, received_at), in one flush to the disk.

        Raises:
            InboxFullError: there is no room for all of them, and not all are duplicates. Nothing was stored.
        """
        rows = [(hashlib.sha256(body).digest(), _stamp(at), body) for body, at in deliveries]
        new: set[bytes] = set()
        with self._transaction() as connection:
            if not self._has_room(connection, sum(len(body) for _, _, body in rows)):
                if not all(_is_known(connection, digest) for digest, _, _ in rows):
                    raise InboxFullError(
                        f"{self._path}: the inbox is full ({self._most_bytes:,} bytes): nothing more is"
                        " taken. What waits in it is kept; run `oa-sync sync` of this workspace, which"
                        " drains it"
                    )
                return [False] * len(rows)
            for begin in range(0, len(rows), _STORED_AT_ONCE):
                chunk = rows[begin : begin + _STORED_AT_ONCE]
                # One statement: each extra one releases the GIL and switches to the request thread and back.
                stored = connection.execute(
                    "INSERT INTO deliveries (digest, received_at, body) VALUES "
                    + ", ".join(["(?, ?, ?)"] * len(chunk))
                    + " ON CONFLICT (digest) DO NOTHING RETURNING digest",
                    [value for row in chunk for value in row],
                )
                new.update(digest for (digest,) in stored)
        outcomes = []
        for digest, _, _ in rows:
            outcomes.append(digest in new)
            new.discard(digest)
        return outcomes

    def drain(self) -> Iterator[Delivery]:
        """Every delivery that waits now, oldest first, one body in memory at a time.

        Removes nothing: what is not acknowledged comes again. What arrives meanwhile comes next time.
        """
        waiting = self._rows(
            "SELECT sequence FROM deliveries WHERE acknowledged_at IS NULL"
            " ORDER BY received_at, sequence"
        )
        for (sequence,) in waiting:
            for digest, received_at, body in self._rows(
                "SELECT digest, received_at, body FROM deliveries"
                " WHERE sequence = ? AND acknowledged_at IS NULL",
                (sequence,),
            ):
                yield Delivery(digest.hex(), _EPOCH + received_at * _MICROSECOND, body)

    def acknowledge(self, ids: Iterable[str]) -> None:
        """Drop the bodies of the deliveries `ids`: what they said is loaded. Unknown ids are ignored.

        If the process is killed half way, some are acknowledged and the others come again.
        """
        remaining = iter(ids)
        while chunk := list(islice(remaining, _ACKNOWLEDGED_AT_ONCE)):
            now = _stamp(self._clock.now())
            with self._transaction() as connection:
                connection.executemany(
                    "UPDATE deliveries SET body = NULL, acknowledged_at = ?"
                    " WHERE digest = ? AND acknowledged_at IS NULL",
                    [(now, bytes.fromhex(each)) for each in chunk],
                )
        self._forget()

    def depth(self) -> int:
        """How many deliveries wait."""
        rows = self._rows("SELECT count(*) FROM deliveries WHERE acknowledged_at IS NULL")
        return int(rows[0][0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _has_room(self, connection: sqlite3.Connection, size: int) -> bool:
        """Whether `size` bytes more may be used. Free pages of the file are as good as new ones."""
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        return bool((pages - free) * page_bytes + size <= self._most_bytes)

    def _forget(self) -> None:
        """Delete the ids of deliveries that were acknowledged longer than `REMEMBER` ago."""
        before = _stamp(self._clock.now() - REMEMBER)
        deleted = _ACKNOWLEDGED_AT_ONCE
        while deleted == _ACKNOWLEDGED_AT_ONCE:
            with self._transaction() as connection:
                deleted = connection.execute(
                    "DELETE FROM deliveries WHERE sequence IN (SELECT sequence FROM deliveries"
                    " WHERE acknowledged_at < ? LIMIT ?)",
                    (before, _ACKNOWLEDGED_AT_ONCE),
                ).rowcount

    def _rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[Any]:
        with self._current() as connection:
            return connection.execute(sql, parameters).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._current() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def _current(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one caller at a time; opened anew if the file was deleted meanwhile."""
        with self._lock, _told(self._path):
            # SQLite goes on writing into a deleted file, and a delivery accepted there is lost.
            if not self._is_in_place():
                self._connection.close()
                self._connection = self._open()
            yield self._connection

    def _is_in_place(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _open(self) -> sqlite3.Connection:
        folder = self._path.parent
        with _told(self._path):
            private_folder(folder, above=1)
            folder.chmod(FOLDER_MODE)
            refuse_link(folder / "inbox.lock", self._path)
            # SQLite's switch to a write-ahead log does not wait for another process that does the same.
            with FileLock(folder / "inbox.lock", timeout=BUSY_SECONDS, mode=FILE_MODE):
                # SQLite gives its other files the permissions of this one.
                handle = open_private(self._path, os.O_CREAT | os.O_RDWR)
                os.fchmod(handle, FILE_MODE)
                os.close(handle)
                self._inode = self._path.stat().st_ino
                connection = sqlite3.connect(
                    self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                # On macOS a plain flush stops at the drive's cache.
                connection.execute("PRAGMA fullfsync = ON")
                connection.executescript(_SCHEMA)
                return connection


def _is_known(connection: sqlite3.Connection, digest: bytes) -> bool:
    found = connection.execute("SELECT 1 FROM deliveries WHERE digest = ?", (digest,))
    return found.fetchone() is not None


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the disk and SQLite raise into one error that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise OaSyncError(
            f"{path}: the inbox failed ({error}); check that the disk is local and not full and"
            " that the folder belongs to this user"
        ) from error


def _stamp(instant: datetime) -> int:
    """Microseconds since 1970."""
    return (instant - _EPOCH) // _MICROSECOND
