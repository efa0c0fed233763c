"""One account of the ledger inside one transaction: its rows, and the SQL that reads and writes them.

The statements are common to SQLite and PostgreSQL; a store supplies `execute` (placeholders are `?`).

- `oa_sync_quota_account`: one row an account, see `State`.
- `oa_sync_quota_minute`: one row a request, kept for a few minutes: its number and its instant.
- `oa_sync_quota_day`: requests by the second, kept for two days: `sent` are ours, `observed` are
  those of other clients, known from the server's headers.
- `oa_sync_quota_meta`: the salt and the like.

All instants are epoch microseconds, all buckets epoch seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from oa_sync.quota.limits import DAY_SECONDS, SECOND, WINDOW

Found = Sequence[Sequence[Any]]
Execute = Callable[[str, Sequence[object]], Found]

TABLES = (
    """CREATE TABLE IF NOT EXISTS oa_sync_quota_meta (
        name TEXT PRIMARY KEY, value TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS oa_sync_quota_account (
        account BIGINT PRIMARY KEY, clock BIGINT NOT NULL, seq BIGINT NOT NULL,
        latest BIGINT NOT NULL, pace BIGINT NOT NULL, day_floor BIGINT NOT NULL,
        day_total BIGINT NOT NULL, blocked_until BIGINT NOT NULL, blocked_limit BIGINT NOT NULL,
        foreign_count BIGINT NOT NULL, foreign_until BIGINT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS oa_sync_quota_minute (
        account BIGINT NOT NULL, seq BIGINT NOT NULL, instant BIGINT NOT NULL,
        PRIMARY KEY (account, seq))""",
    """CREATE TABLE IF NOT EXISTS oa_sync_quota_day (
        account BIGINT NOT NULL, bucket BIGINT NOT NULL, sent BIGINT NOT NULL,
        observed BIGINT NOT NULL, PRIMARY KEY (account, bucket))""",
)

_MINUTE_KEPT = 3 * WINDOW
_DAY_KEPT = 2 * DAY_SECONDS


@dataclass
class State:
    """An account's row.

    `clock`: the latest time seen. `seq`, `latest`: number and instant of the last slot. `pace`: see
    `schedule.next_slot`. `day_total`: requests in the buckets after `day_floor`. `blocked_until`: no
    request before this, said by the server while `blocked_limit` was the day's limit (0: none).
    `foreign_count`: requests of others in the minute's window, believed until `foreign_until`.
    """

    clock: int = 0
    seq: int = 0
    latest: int = 0
    pace: int = 0
    day_floor: int = 0
    day_total: int = 0
    blocked_until: int = 0
    blocked_limit: int = 0
    foreign_count: int = 0
    foreign_until: int = 0


_COLUMNS = ", ".join(field.name for field in fields(State))
_SELECT = f"SELECT {_COLUMNS} FROM oa_sync_quota_account WHERE account = ?"
_UPDATE = (
    f"UPDATE oa_sync_quota_account SET {', '.join(f'{f.name} = ?' for f in fields(State))}"
    " WHERE account = ?"
)
_INSERT = (
    f"INSERT INTO oa_sync_quota_account (account, {_COLUMNS})"
    f" VALUES (?{', ?' * len(fields(State))}) ON CONFLICT (account) DO NOTHING"
)
_SPEND = """INSERT INTO oa_sync_quota_day (account, bucket, sent, observed) VALUES (?, ?, ?, ?)
    ON CONFLICT (account, bucket) DO UPDATE SET sent = oa_sync_quota_day.sent + excluded.sent,
    observed = oa_sync_quota_day.observed + excluded.observed"""


class Book:
    """The rows of one account. Reads are immediate; `close` gives the writes that were noted down."""

    def __init__(
        self, account: int, execute: Execute, *, lock: str = "", fresh: State | None = None
    ) -> None:
        self.account = account
        self._execute = execute
        self._writes: list[tuple[str, Sequence[object]]] = []
        rows = execute(_SELECT + lock, (account,))
        if not rows:
            execute(_INSERT, (account, *astuple(fresh or State())))
            rows = execute(_SELECT + lock, (account,))
        self.state = State(*(int(value) for value in rows[0]))

    def instants(self, first: int, last: int) -> dict[int, int]:
        """Instants of the slots numbered `first` to `last`; a slot given back is missing."""
        return {
            int(seq): int(instant)
            for seq, instant in self._execute(
                "SELECT seq, instant FROM oa_sync_quota_minute"
                " WHERE account = ? AND seq BETWEEN ? AND ?",
                (self.account, first, last),
            )
        }

    def add_slots(self, slots: Sequence[tuple[int, int]]) -> None:
        """Note slots (number, instant)."""
        values: list[object] = []
        for seq, instant in slots:
            values += (self.account, seq, instant)
        rows = ", ".join(["(?, ?, ?)"] * len(slots))
        self._write(
            f"INSERT INTO oa_sync_quota_minute (account, seq, instant) VALUES {rows}", values
        )

    def remove_slot(self, seq: int) -> int | None:
        """Take a slot out; its instant, or None when it is no longer there."""
        rows = self._execute(
            "DELETE FROM oa_sync_quota_minute WHERE account = ? AND seq = ? RETURNING instant",
            (self.account, seq),
        )
        return int(rows[0][0]) if rows else None

    def count_since(self, instant: int) -> int:
        """Slots later than `instant`."""
        return self._sum(
            "SELECT count(*) FROM oa_sync_quota_minute WHERE account = ? AND instant > ?", instant
        )

    def spend(self, bucket: int, *, sent: int = 0, observed: int = 0) -> None:
        """Add to one second of the day, and to the running total where that second counts."""
        self._write(_SPEND, (self.account, bucket, sent, observed))
        if bucket > self.state.day_floor:
            self.state.day_total += sent + observed

    def advance_day(self, floor: int) -> None:
        """Let the day's total count the seconds after `floor` only."""
        old = self.state.day_floor
        if floor > old:
            self.state.day_total -= self._sum(
                "SELECT sum(sent + observed) FROM oa_sync_quota_day"
                " WHERE account = ? AND bucket > ? AND bucket <= ?",
                old,
                floor,
            )
            self._prune()
        elif floor < old:
            self.state.day_total = self._sum(
                "SELECT sum(sent + observed) FROM oa_sync_quota_day"
                " WHERE account = ? AND bucket > ?",
                floor,
            )
        self.state.day_floor = floor

    def day_buckets(self) -> Iterator[tuple[int, int]]:
        """(second, requests) of the day, oldest first."""
        for bucket, count in self._execute(
            "SELECT bucket, sent + observed FROM oa_sync_quota_day"
            " WHERE account = ? AND bucket > ? AND sent + observed > 0 ORDER BY bucket",
            (self.account, self.state.day_floor),
        ):
            yield int(bucket), int(count)

    def move_minute(self, microseconds: int) -> None:
        """Shift the slots' instants."""
        self._execute(
            "UPDATE oa_sync_quota_minute SET instant = instant + ? WHERE account = ?",
            (microseconds, self.account),
        )

    def gather_after(self, bucket: int, into: int) -> None:
        """Move the counts of all seconds after `bucket` to the second `into`."""
        rows = self._execute(
            "DELETE FROM oa_sync_quota_day WHERE account = ? AND bucket > ? RETURNING sent, observed",
            (self.account, bucket),
        )
        if rows:
            sent, observed = (sum(int(row[column]) for row in rows) for column in (0, 1))
            self._execute(_SPEND, (self.account, into, sent, observed))

    def close(self) -> list[tuple[str, Sequence[object]]]:
        """The statements that write everything noted down, in order."""
        self._write(_UPDATE, (*astuple(self.state), self.account))
        return self._writes

    def _prune(self) -> None:
        self._write(
            "DELETE FROM oa_sync_quota_minute WHERE account = ? AND instant < ?",
            (self.account, self.state.clock - _MINUTE_KEPT),
        )
        self._write(
            "DELETE FROM oa_sync_quota_day WHERE account = ? AND bucket < ?",
            (self.account, self.state.clock // SECOND - _DAY_KEPT),
        )

    def _sum(self, sql: str, *bounds: int) -> int:
        rows = self._execute(sql, (self.account, *bounds))
        return int(rows[0][0] or 0)

    def _write(self, sql: str, parameters: Sequence[object]) -> None:
        self._writes.append((sql, parameters))
