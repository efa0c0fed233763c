"""`oa-sync query`: the API runs one query, and its result is loaded as a typed table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from oa_sync.clock import Clock
from oa_sync.commands.results.on_request import (
    ResultReport,
    Session,
    checked_table,
    load_on_request,
)
from oa_sync.definitions.sql import number_literal, sql_literal, sql_parameters, with_literals
from oa_sync.errors import ConfigurationError
from oa_sync.extract.jobs.queries import Asked, QueryRunner
from oa_sync.settings import Settings
from oa_sync.tables.results import ResultTable

SECONDS = 600
"""How long a query may take in all, unless told otherwise."""

SENT = "the query was sent and may be running at the API; nothing of its result is loaded"

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")


def query(
    settings: Settings,
    dataset_id: str,
    sql: str,
    table: str,
    *,
    parameters: Sequence[str] = (),
    append: bool = False,
    seconds: int = SECONDS,
    clock: Clock | None = None,
    heard: Callable[[int], None] = lambda polls: None,
) -> ResultReport:
    """Run `sql` on the dataset and load the result as `query_<table>`.

    The rows of this workspace that the table has are replaced; with `append` they stay, and positions
    go on. `parameters` (`name=value`) stand for `:name` in the SQL. `heard(polls)` is called after every
    poll.

    Raises:
        ConfigurationError: an argument, the settings or the definition are wrong.
        LockHeldError: a sync of this workspace and destination is running.
    """
    name = checked_table("query", table)
    if not dataset_id or not sql.strip():
        raise ConfigurationError("an empty dataset id or SQL; give both, the SQL in quotes")
    asked = Asked(dataset_id, bound(sql, parameters), seconds)

    async def work(session: Session) -> None:
        connection, report = session.connection, session.report
        dialect = await connection.api_dialect()
        runner = QueryRunner(connection.client, session.clock, dialect, heard)
        report.details = {"dataset_id": dataset_id, "query_id": None}
        finished = await connection.before_stop(runner.run(asked), sent=SENT)
        report.details["query_id"] = finished.query_id
        await session.load(ResultTable(name, "append" if append else "replace"), finished.answer)

    return load_on_request(settings, name, clock or Clock(), work)


def bound(sql: str, parameters: Sequence[str]) -> str:
    """`sql` with the values of `parameters` (`name=value`) as literals in the places of `:name`.

    A value that is written like a number becomes a number. Text that looks like one has to stand in
    quotes: `zip='10'`, but `zip=01` is text anyway. Names that no parameter gives a value stay as they
    are: some SQL has colons of its own.

    Raises:
        ConfigurationError: not `name=value`, a value that cannot be written safely, or a name that the
            SQL does not have.
    """
    known = sql_parameters(sql)
    literals: dict[str, str] = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if not equals or name not in known:
            valid = ", ".join(f":{one}" for one in known) or "no parameter"
            raise ConfigurationError(
                f"--param {name!r}: write name=value, with a name that the SQL has as :name; it has"
                f" {valid}"
            )
        try:
            literals[name] = _literal(value)
        except ValueError as error:
            raise ConfigurationError(f"--param {name}: {error}") from None
    return with_literals(sql, literals)


def _literal(text: str) -> str:
    if _NUMBER.fullmatch(text):
        return number_literal(text)
    quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "'\""
    value: Any = text[1:-1] if quoted else text
    return sql_literal(value)
