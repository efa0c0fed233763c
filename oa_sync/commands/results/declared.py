"""The queries that a definition declares, run at the end of a sync.

An incremental query goes on from the largest loaded value of its cursor. That value is read back from the
table itself, so there is no other state that could differ, and what was not loaded is asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from oa_sync.clock import Clock
from oa_sync.definitions.model import Query, QueryIncremental
from oa_sync.definitions.paths import parse_path
from oa_sync.definitions.sql import sql_literal, sql_parameters, with_literals
from oa_sync.errors import (
    BudgetExhausted,
    ConfigurationError,
    ConnectionFailedError,
    NotAuthorisedError,
    OaSyncError,
    unexpected,
)
from oa_sync.extract.jobs.queries import Asked, QueryRunner
from oa_sync.extract.tally import Tally
from oa_sync.quota.headers import as_exhausted
from oa_sync.tables.batches import learned_of
from oa_sync.tables.results import Disposition, ResultTable, load_result
from oa_sync.tables.target import Target
from oa_sync.workspace.connection import Connection

SECONDS = 600
"""How long one query may take in all."""

LOST = 2
"""After this many queries in a row without an answer, the API counts as out of reach."""

T = TypeVar("T")
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d(?P<between>[T ])\d\d:\d\d(:\d\d(\.\d+)?)?(?P<zone>Z|[+-]\d\d(:?\d\d)?)?"
)


class OnLoadThread(Protocol):
    """Runs a function on the thread that the destination belongs to."""

    async def __call__(self, function: Callable[[], T], /) -> T:
        """The function's result."""


class DeclaredQueries:
    """The declared queries of one sync. `rows` and `drift` are for the report; `exhausted` is set if the
    budget ended."""

    def __init__(
        self,
        connection: Connection,
        target: Target,
        workspace: str,
        clock: Clock,
        on_load_thread: OnLoadThread,
        *,
        full_refresh: bool,
        progress: Callable[[str, str, int, int | None], None],
    ) -> None:
        self._connection, self._target, self._workspace = connection, target, workspace
        self._clock, self._on_load_thread = clock, on_load_thread
        self._full_refresh, self._progress = full_refresh, progress
        self.exhausted: BudgetExhausted | None = None
        self.rows: dict[str, int] = {}
        self.drift: list[dict[str, Any]] = []

    async def run(self, queries: Sequence[Query], tallies: dict[str, Tally]) -> None:
        """Run and load one query after the other; `tallies` gets one for each, under its name. One that
        fails stops no other. If the budget ends or the API is out of reach, the rest waits for the next sync.

        Raises:
            NotAuthorisedError: the API refuses the key.
        """
        lost = 0
        for query in queries:
            tally = tallies[query.table if query.name in tallies else query.name] = Tally()
            if self.exhausted is not None or lost == LOST:
                tally.backlog = 1
                continue
            self._progress("list", query.name, 0, None)
            try:
                tally.listed = tally.new = await self._run(query)
                lost = 0
            except OaSyncError as error:
                self.exhausted = as_exhausted(error, self._clock.now())
                lost = lost + 1 if isinstance(error, ConnectionFailedError) else 0
                if isinstance(error, NotAuthorisedError) and error.status == 401:
                    raise
                if self.exhausted is None:
                    error.args = (f"query {query.name}: {error}",)
                    tally.errors.append(error)
                else:
                    tally.backlog = 1
            except Exception as error:
                tally.errors.append(unexpected(error, f"query {query.name}"))
            self._progress("list", query.name, tally.listed, tally.listed)

    async def _run(self, query: Query) -> int:
        sql = await self._on_load_thread(lambda: self._sql(query))
        runner = QueryRunner(
            self._connection.client,
            self._clock,
            await self._connection.api_dialect(),
            lambda polls: self._progress("list", query.name, polls, None),
        )
        finished = await self._connection.before_stop(
            runner.run(Asked(query.dataset_id, sql, SECONDS)),
            sent=f"the query {query.name} was sent, and its result is not loaded",
        )
        if query.incremental is not None and finished.answer.count == 0:
            return 0  # nothing new: the rows that hold the cursor must stay, with replace too
        table = ResultTable(query.table, self._disposition(query), query.primary_key)
        observed_at = self._clock.now()
        loaded = await self._on_load_thread(
            lambda: load_result(table, finished.answer, self._target, self._workspace, observed_at)
        )
        self.rows.update(loaded.rows)
        self.drift += loaded.drift
        return loaded.count

    def _disposition(self, query: Query) -> Disposition:
        """A full refresh starts the query from its beginning, so it replaces what was appended before."""
        if self._full_refresh and query.write_disposition == "append" and query.incremental:
            return "replace"
        return query.write_disposition

    def _sql(self, query: Query) -> str:
        if query.incremental is None:
            return query.sql
        value = None if self._full_refresh else self._cursor(query, query.incremental)
        try:
            literal = _literal(value, query.incremental.initial_value)
        except ValueError as error:
            raise ConfigurationError(
                f"the cursor {query.incremental.cursor_path}: {error}"
            ) from None
        return with_literals(query.sql, dict.fromkeys(sql_parameters(query.sql), literal))

    def _cursor(self, query: Query, incremental: QueryIncremental) -> Any:
        """The largest loaded value of the cursor; None: there is none."""
        learned = learned_of(self._target.columns(), {query.table}, {query.table})
        columns = learned.tables.get(query.table, {})
        column = columns.get(parse_path(incremental.cursor_path))
        if column is None:
            return None
        if column.data_type == "json":
            raise ConfigurationError(
                f"the cursor {incremental.cursor_path} has held values of several kinds, which have"
                " no order; let the SQL cast it to one type, and drop the table"
            )
        return self._target.largest(query.table, column.name)


def _literal(value: Any, initial_value: Any) -> str:
    """The cursor `value` as SQL (None: `initial_value` instead).

    An instant is written like `initial_value`: with a blank or a T, with an offset or without. The column
    may be text at the API, and texts of different forms cannot be compared.
    """
    if value is None:
        return sql_literal(initial_value)
    if not isinstance(value, datetime):
        return sql_literal(value)
    form = _INSTANT.fullmatch(initial_value) if isinstance(initial_value, str) else None
    if form is None:
        return sql_literal(value)
    utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    text = utc.replace(tzinfo=None).isoformat(form["between"])
    return sql_literal(text + ("Z" if form["zone"] else ""))
