"""One account of the ledger inside one transaction: its rows, and the SQL that reads and writes them.

The statements are common to SQLite and PostgreSQL; a store supplies `execute` (placeholders are `?`).

- `oa_sync_quota_account`: one row an account, see `State`.
- `oa_sync_quota_minute`: one row a request, kept for a few minutes: its number and its instant.
- `oa_sync_quota_day`: requests by the second, kept for two days: `sent` are ours, `observed` are
  those of other clients, known from the server's headers.
- `oa_sync_quota_meta`: the salt, and what is noted of an account while the machine's clock is behind.

All instants are epoch microseconds, all buckets epoch seconds, both by the ledger's clock (`steps.py`), which
never goes back: no stamp is ever changed to an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from oa_sync.quota.limits import CALENDAR_GUARD, DAY_SECONDS, SECOND, WINDOW, Limits
from oa_sync.quota.steps import Behind, step

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
_DAYS_KEPT = 2
"""Days with requests that are kept however old they are: a clock that is ahead by years must not make the
ledger forget what was sent just before."""
_PRUNED_EVERY = 180
"""Seconds of the ledger's clock."""


@dataclass
class State:
    """An account's row.

    `clock`: the ledger's clock. `seq`, `latest`: number and instant of the last slot. `pace`: see
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

_SELECT_META = "SELECT value FROM oa_sync_quota_meta WHERE name = ?"
_SET_META = """INSERT INTO oa_sync_quota_meta (name, value) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
_NO_END = 2**62
"""A second after all others."""


class Book:
    """The rows of one account. Reads are immediate; `close` gives the writes that were noted down.

    `behind` is what is noted of the machine's clock, `lag` the whole seconds by which it is behind the
    ledger's (0 up to `CALENDAR_GUARD`, which is how exact a clock is thought to be). `keeps` is False after `only_read`: the store takes everything back then.
    """

    def __init__(
        self, account: int, execute: Execute, *, lock: str = "", fresh: State | None = None
    ) -> None:
        self.account = account
        self.keeps = True
        self.lag = 0
        self._execute = execute
        self._writes: list[tuple[str, Sequence[object]]] = []
        rows = execute(_SELECT + lock, (account,))
        if not rows:
            execute(_INSERT, (account, *astuple(fresh or State())))
            rows = execute(_SELECT + lock, (account,))
        self.state = State(*(int(value) for value in rows[0]))
        noted = execute(_SELECT_META, (self._meta,))
        self.behind = Behind.of_text(noted[0][0]) if noted else None
        self._was_behind = self.behind
        self._earlier = (0, 0)
        self._earlier_total = 0

    def only_read(self) -> None:
        """Whatever is done with the book: nothing of it is kept."""
        self.keeps = False

    # -- time -----------------------------------------------------------------------------------

    @property
    def _meta(self) -> str:
        return f"behind:{self.account}"

    @property
    def wall(self) -> int:
        """The machine's clock, as far behind as `lag` says."""
        return self.state.clock - self.lag * SECOND

    @property
    def day_total(self) -> int:
        """Requests of the day by either clock."""
        return self.state.day_total + self._earlier_total

    def set_clock(self, limits: Limits, now: int) -> None:
        """Move the account's time on to where the machine's clock shows `now`, and stop counting what has
        left the windows."""
        found = step(self.state.clock, self.behind, now)
        if found.unset_from is not None:
            self.move_on(found.unset_from, found.clock)
        old_clock, self.state.clock = self.state.clock, found.clock
        self.behind = found.behind
        lag = (found.clock - now) // SECOND
        self.lag = lag if lag > CALENDAR_GUARD else 0
        floor = limits.day_floor(self.wall) + self.lag
        self.advance_day(floor, recount=found.unset_from is not None)
        if found.behind is not None:
            self._count_earlier(limits.day_floor(now), min(found.behind.lowest // SECOND, floor))
        if old_clock // SECOND // _PRUNED_EVERY != found.clock // SECOND // _PRUNED_EVERY:
            self._prune()

    def move_on(self, start: int, clock: int) -> None:
        """Stamps from `start` on move forwards, as if the latest time known were now: what has left counts
        as sent now, what waits keeps its wait."""
        state = self.state
        by = clock - state.clock
        state.latest += by
        state.pace += by
        if state.blocked_until > state.clock:
            state.blocked_until += by
        if state.foreign_until > state.clock:
            state.foreign_until += by
        self._execute(
            "UPDATE oa_sync_quota_minute SET instant = instant + ? WHERE account = ? AND instant >= ?",
            (by, self.account, start),
        )
        rows = self._execute(
            "DELETE FROM oa_sync_quota_day WHERE account = ? AND bucket >= ? RETURNING sent, observed",
            (self.account, start // SECOND),
        )
        if rows:
            sent, observed = (sum(int(row[column]) for row in rows) for column in (0, 1))
            self._execute(_SPEND, (self.account, clock // SECOND, sent, observed))

    def advance_day(self, floor: int, *, recount: bool = False) -> None:
        """Let the day's total count the seconds after `floor` only."""
        old = self.state.day_floor
        if recount or floor < old:
            self.state.day_total = self._between(floor, None)
        elif floor > old:
            self.state.day_total -= self._between(old, floor)
        self.state.day_floor = floor

    def _count_earlier(self, floor: int, last: int) -> None:
        """Count the seconds after `floor` up to `last` too: those of the day by the machine's clock."""
        self._earlier = (floor, last)
        self._earlier_total = self._between(floor, last) if last > floor else 0

    # -- rows -----------------------------------------------------------------------------------

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

    def day_buckets(self) -> Iterator[tuple[int, int]]:
        """(second, requests) of the day, oldest first, by the ledger's clock."""
        earlier = self._buckets(*self._earlier) if self._earlier_total else []
        counted = self._buckets(self.state.day_floor, None)
        yield from sorted([*((second + self.lag, count) for second, count in earlier), *counted])

    def close(self) -> list[tuple[str, Sequence[object]]]:
        """The statements that write everything noted down, in order."""
        if self.behind is None and self._was_behind is not None:
            self._write("DELETE FROM oa_sync_quota_meta WHERE name = ?", (self._meta,))
        elif self.behind is not None and self.behind != self._was_behind:
            self._write(_SET_META, (self._meta, self.behind.as_text()))
        self._write(_UPDATE, (*astuple(self.state), self.account))
        return self._writes

    def _prune(self) -> None:
        self._write(
            "DELETE FROM oa_sync_quota_minute WHERE account = ? AND instant < ?",
            (self.account, self.state.clock - _MINUTE_KEPT),
        )
        self._write(
            "DELETE FROM oa_sync_quota_day WHERE account = ? AND bucket < ?",
            (self.account, min(self._oldest_day(), self.state.clock // SECOND - _DAY_KEPT)),
        )

    def _oldest_day(self) -> int:
        """Where the older of the last `_DAYS_KEPT` days with requests begins; they end with a request."""
        begin = _NO_END
        for _ in range(_DAYS_KEPT):
            rows = self._execute(
                "SELECT max(bucket) FROM oa_sync_quota_day WHERE account = ? AND bucket < ?",
                (self.account, begin),
            )
            if rows[0][0] is None:
                break
            begin = int(rows[0][0]) - DAY_SECONDS + 1
        return begin

    def _buckets(self, after: int, last: int | None) -> list[tuple[int, int]]:
        rows = self._execute(
            "SELECT bucket, sent + observed FROM oa_sync_quota_day WHERE account = ? AND bucket > ?"
            " AND bucket <= ? AND sent + observed > 0 ORDER BY bucket",
            (self.account, after, _NO_END if last is None else last),
        )
        return [(int(bucket), int(count)) for bucket, count in rows]

    def _between(self, after: int, last: int | None) -> int:
        """Requests of the seconds after `after` up to `last` (None: all)."""
        return self._sum(
            "SELECT sum(sent + observed) FROM oa_sync_quota_day"
            " WHERE account = ? AND bucket > ? AND bucket <= ?",
            after,
            _NO_END if last is None else last,
        )

    def _sum(self, sql: str, *bounds: int) -> int:
        rows = self._execute(sql, (self.account, *bounds))
        return int(rows[0][0] or 0)

    def _write(self, sql: str, parameters: Sequence[object]) -> None:
        self._writes.append((sql, parameters))
