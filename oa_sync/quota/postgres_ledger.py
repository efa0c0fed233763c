"""The ledger in PostgreSQL: several machines share one quota.

The account's row is locked for the length of a booking (`SELECT … FOR UPDATE`: it orders the
bookings as an advisory lock would, cannot collide with another program's, and saves a round trip).
Time is the server's, read after the lock is held: the clocks of several machines differ. The tables
are named `oa_sync_quota_*`; they are created in the connection's first schema unless they are there
already, so a role that may not create tables can use those that somebody else made.

When the server restarts, a booking waits for it (`restarts.py`) and is made again. If the connection breaks in
the commit itself, the server is asked what became of that transaction: no booking is counted twice.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from oa_sync.clock import Clock
from oa_sync.errors import ConfigurationError, OaSyncError
from oa_sync.quota.book import TABLES, Book
from oa_sync.quota.ledger import Ledger
from oa_sync.quota.limits import SECOND
from oa_sync.quota.postgres_address import place_of
from oa_sync.quota.restarts import ConnectionLostError, is_lost, lasting

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

_CONNECT_SECONDS = 10
_SESSION = (
    # A machine that vanishes in mid-booking must not keep the account locked.
    "SET idle_in_transaction_session_timeout = '30s'",
    "SET lock_timeout = '30s'",
)
_SETUP_LOCK = 0x6F61_7379_6E63
"""Advisory lock held while the tables are made: "oasync"."""
_NOW_AND_NUMBER = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, txid_current()"
"""The server's time (epoch microseconds), and the number of this transaction."""


class PostgresLedger(Ledger):
    """A ledger at a `postgresql://` address; one connection, made again when it is lost.

    `clock` replaces the server's time in tests; `patience` waits for a server that restarts. `only_reading`: where there are no tables, none are made.

    Raises:
        ConfigurationError: the extra `postgres` is not installed, or the address does not work.
        OaSyncError: from any method, when the server fails while in use.
    """

    remote: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        clock: Clock | None = None,
        *,
        only_reading: bool = False,
        patience: Clock | None = None,
    ) -> None:
        try:
            import psycopg
        except ImportError:
            raise ConfigurationError(
                "--quota-url needs the PostgreSQL driver: pip install 'oa-sync[postgres]'"
            ) from None
        self._driver = psycopg
        self._url, self._place = url, place_of(url, "--quota-url")
        self._clock = clock
        self._only_reading = only_reading
        self._patience = patience or Clock()
        self._lock = RLock()
        try:
            self._connection = self._connect()
            self._salt = self._set_up()
        except psycopg.Error as error:
            raise ConfigurationError(
                f"--quota-url {self._place}: {_reason(error)}; check the address, the password and"
                " that the role may create tables there"
            ) from None

    def salt(self) -> bytes:
        """Random bytes made with the tables."""
        return self._salt

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def _attempt(self, work: Callable[[], T]) -> T:
        try:
            return lasting(work, self._patience)
        except ConnectionLostError as error:
            raise self._failed(error.args[0]) from None

    @contextmanager
    def _transaction(self, account: int, per_minute: int | None) -> Iterator[tuple[Book, int]]:
        with self._lock:
            try:
                self._reconnect()
                self._connection.execute("BEGIN")
                book = Book(account, self._execute, lock=" FOR UPDATE")
                now, number = self._execute(_NOW_AND_NUMBER, ())[0]
                if self._clock is not None:
                    now = self._clock.now().timestamp() * SECOND
                yield book, int(now)
                self._end(book, number)
            except self._driver.Error as error:
                if not is_lost(error):
                    raise self._failed(error) from None
                self._connection.close()
                raise ConnectionLostError(error) from None
            finally:
                with suppress(self._driver.Error):
                    status = self._connection.info.transaction_status
                    if status != self._driver.pq.TransactionStatus.IDLE:
                        self._connection.execute("ROLLBACK")

    def _end(self, book: Book, number: int) -> None:
        if not book.keeps:
            self._connection.execute("ROLLBACK")
            return
        try:
            with self._connection.pipeline():
                for sql, parameters in book.close():
                    self._connection.execute(_translated(sql), parameters)
                self._connection.execute("COMMIT")
        except self._driver.Error as error:
            if not is_lost(error):
                raise
            self._connection.close()
            if not lasting(lambda: self._is_committed(number), self._patience):
                raise

    def _is_committed(self, number: int) -> bool:
        """What became of a transaction whose commit was not answered."""
        try:
            self._reconnect()
            [(outcome,)] = self._execute("SELECT txid_status(%s)", (number,))
        except self._driver.OperationalError as error:
            self._connection.close()
            raise ConnectionLostError(error) from None
        if outcome == "in progress":
            raise ConnectionLostError("the server has not ended the last booking yet")
        return bool(outcome == "committed")

    def _reconnect(self) -> None:
        if self._connection.closed:
            self._connection = self._connect()

    def _failed(self, error: object) -> OaSyncError:
        return OaSyncError(
            f"--quota-url {self._place}: the quota ledger failed ({_reason(error)});"
            " no request was sent for it. See that the server runs, then run again"
        )

    def _execute(self, sql: str, parameters: Sequence[object]) -> list[Any]:
        cursor = self._connection.execute(_translated(sql), parameters)
        return cursor.fetchall() if cursor.description else []

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = self._driver.connect(
            self._url,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            application_name="oa-sync quota",
        )
        for setting in _SESSION:
            connection.execute(setting)
        return connection

    def _set_up(self) -> bytes:
        salt = self._read_salt()
        if salt is None and self._only_reading:
            for table in TABLES:  # of this connection alone: what is not there yet holds nothing
                self._connection.execute(table.replace("CREATE TABLE", "CREATE TEMPORARY TABLE"))
            return b""
        if salt is None:
            with self._connection.transaction():
                self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SETUP_LOCK,))
                for table in TABLES:
                    self._connection.execute(table)
                self._connection.execute(
                    "INSERT INTO oa_sync_quota_meta VALUES ('salt', %s) ON CONFLICT DO NOTHING",
                    (secrets.token_hex(16),),
                )
            salt = self._read_salt()
        assert salt is not None, "one was just written where there was none"
        return salt

    def _read_salt(self) -> bytes | None:
        if self._execute("SELECT to_regclass('oa_sync_quota_meta')", ())[0][0] is None:
            return None
        rows = self._execute("SELECT value FROM oa_sync_quota_meta WHERE name = 'salt'", ())
        return bytes.fromhex(rows[0][0]) if rows else None


@lru_cache
def _translated(sql: str) -> str:
    return sql.replace("?", "%s")


def _reason(error: object) -> str:
    """The first line of the driver's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
