"""The rows of one account of the ledger in memory, for tests of `Book` itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from oa_sync.quota.book import TABLES, Book, State
from oa_sync.quota.steps import Behind

ME = 7


class Rows:
    """An account's rows. Writes wait for `write`, as they wait for the end of a transaction.

    `asked` holds what was read or changed at once, each statement with its values, since the book was opened.
    """

    def __init__(self, *, behind: Behind | None = None, **state: int) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        for table in TABLES:
            self._connection.execute(table)
        if behind:
            noted = (f"behind:{ME}", behind.as_text())
            self._connection.execute("INSERT INTO oa_sync_quota_meta VALUES (?, ?)", noted)
        self.asked: list[tuple[str, Sequence[object]]] = []
        self.book = Book(ME, self._execute, fresh=State(**state))
        self.asked.clear()

    def _execute(self, sql: str, values: Sequence[object]) -> list[Any]:
        self.asked.append((sql, values))
        return self._connection.execute(sql, tuple(values)).fetchall()  # type: ignore[arg-type]

    def write(self) -> list[str]:
        """Carry out the writes and open the book again; the statements that were written."""
        writes = self.book.close()
        for sql, values in writes:
            self._execute(sql, values)
        self.book = Book(ME, self._execute)
        self.asked.clear()
        return [sql for sql, _ in writes]

    def put(self, seconds: dict[int, int]) -> None:
        """Requests by the second, as they stand in the store: the account's own total is not touched."""
        for second, sent in seconds.items():
            self._connection.execute(
                "INSERT INTO oa_sync_quota_day VALUES (?, ?, ?, 0)", (ME, second, sent)
            )

    def seconds(self) -> list[int]:
        """Every second that has a row, oldest first."""
        found = self._connection.execute("SELECT bucket FROM oa_sync_quota_day ORDER BY bucket")
        return [bucket for (bucket,) in found]
