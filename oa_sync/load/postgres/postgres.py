"""The load target for `--destination postgres`; the package's docstring says why and how."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psycopg
import pyarrow as pa
from psycopg import sql

from oa_sync.clock import Clock
from oa_sync.errors import DestinationError, OaSyncError, UnusableDestinationError
from oa_sync.extract.lists.changes import Known
from oa_sync.load.destination_errors import require_ours
from oa_sync.load.postgres.address import address
from oa_sync.load.postgres.catalog import TYPES, Catalog, Connection, quoted, quoted_list
from oa_sync.load.postgres.copying import copy_in, copy_out
from oa_sync.load.postgres.rights import require_rights, taken
from oa_sync.load.staging import (
    StagedReader,
    StagedTable,
    Staging,
    children_first,
    in_memory_duckdb,
    stage,
)
from oa_sync.load.table_schema import TableSchema, to_declare
from oa_sync.private import fresh_folder
from oa_sync.quota.restarts import ConnectionLostError, is_lost, lasting
from oa_sync.settings import Settings
from oa_sync.tables.batches import DELETED_AT, WORKSPACE, Batch, LoadedColumn, TableHints
from oa_sync.tables.counts import Counts, count_columns, counts_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CHANGED = sql.Identifier("oa_sync_changed_keys")
_COMPARED = ("_oa_version", "_oa_row_hash", "_oa_detail_version", DELETED_AT)
_TOO_MUCH = (psycopg.DataError, psycopg.OperationalError, psycopg.errors.ProgramLimitExceeded)


class Postgres:
    """One workspace's tables in one schema of a PostgreSQL database.

    Use it as a context manager and from one thread. Every method that talks to the database raises
    `DestinationError` when it cannot; opening raises ConfigurationError without credentials.
    """

    def __init__(
        self,
        settings: Settings,
        workdir: Path,
        *,
        read_only: bool = False,
        clock: Clock | None = None,
        reconnected: Callable[[], None] = lambda: None,
    ) -> None:
        """`clock` waits for a server that restarts; `reconnected` is called when it is back."""
        self._settings, self._workdir = settings, workdir
        self._clock, self._reconnected = clock or Clock(), reconnected
        self._read_only = read_only
        self._catalog = Catalog(settings.dataset_name)
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        fresh_folder(self._workdir)
        with self._errors():
            self._connect()
        return self

    def _connect(self) -> None:
        self._connection: Connection = self._opened.enter_context(
            psycopg.connect(address(), autocommit=True, application_name="oa-sync")
        )
        dataset = sql.Identifier(self._settings.dataset_name)
        for setting in (
            sql.SQL("SET TimeZone = 'UTC'"),
            sql.SQL("SET DateStyle = 'ISO'"),
            sql.SQL("SET search_path = {}, public").format(dataset),
            sql.SQL("SET default_transaction_read_only = {}").format(sql.Literal(self._read_only)),
        ):
            self._connection.execute(setting)
        self._catalog.read(self._connection)

    def _lasting(self, work: Callable[[], T]) -> T:
        """The result of `work`, which is repeated when the server restarts. So it may be: it reads, or is
        transactions that leave the same however often they are done."""

        def attempt() -> T:
            try:
                if self._connection.closed:
                    self._connect()
                    self._reconnected()
                return work()
            except psycopg.OperationalError as error:
                if not is_lost(error):
                    raise
                self._connection.close()
                raise ConnectionLostError(error) from None

        try:
            return lasting(attempt, self._clock)
        except ConnectionLostError as lost:
            raise lost.args[0] from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()
        shutil.rmtree(self._workdir, ignore_errors=True)

    # -- reading back ---------------------------------------------------------------------------

    def held_open(self) -> contextlib.AbstractContextManager[None]:
        """Nothing to do: the connection stays open anyway."""
        return contextlib.nullcontext()

    def columns(self) -> list[LoadedColumn]:
        """Every column of every table of ours."""
        return [
            LoadedColumn(table, name, c.data_type, c.hints.get("x-oa-path"))
            for table, schema in self._catalog.tables.items()
            for name, c in schema.columns.items()
        ]

    def has_table(self, table: str) -> bool:
        """Whether `table` has ever been loaded into."""
        return table in self._catalog.tables

    def hints(self, table: str) -> TableHints:
        """How rows of `table` are loaded: its keys, types and paths."""
        return self._catalog.tables[table].hints(table)

    def known(self, table: str, key_columns: Sequence[str]) -> dict[tuple[Any, ...], Known]:
        """What is loaded of this workspace in `table`, by the values of `key_columns`."""
        if not self.has_table(table):
            return {}
        width = len(key_columns)
        return {
            row[:width]: Known(row[width], row[width + 1], row[width + 2], row[-1] is not None)
            for row in self.select(table, [*key_columns, *_COMPARED])
        }

    def current_rows(
        self,
        table: str,
        key_columns: Sequence[str],
        keys: Sequence[tuple[Any, ...]],
        *,
        null: str | None = None,
    ) -> list[dict[str, Any]]:
        """The loaded rows of this workspace with `keys`, whole, as column name -> value.

        JSON columns come as text. Keys that are not loaded are left out. With `null`, so are rows in which
        that column has a value.
        """
        if not keys or not self.has_table(table):
            return []
        schema = self._catalog.tables[table]
        arrays = [
            sql.SQL("%s::{}[]").format(TYPES[schema.columns[name].data_type])
            for name in key_columns
        ]
        condition = sql.SQL("({}) IN (SELECT * FROM unnest({}))").format(
            quoted_list(key_columns), sql.SQL(", ").join(arrays)
        )
        if null is not None:
            condition = sql.SQL("{} AND {} IS NULL").format(condition, quoted(null))
        names = list(schema.columns)
        rows = self._select(
            table, names, condition, [list(values) for values in zip(*keys, strict=True)]
        )
        return [dict(zip(names, row, strict=True)) for row in rows]

    def distinct(self, table: str, column: str) -> set[Any]:
        """The values of `column` in this workspace's rows of `table`."""
        if not self.has_table(table):
            return set()
        return {value for (value,) in self._select(table, [column], distinct=True)}

    def largest(self, table: str, column: str) -> Any:
        """The largest value of `column` in this workspace's rows of `table`; None: there is none."""
        if not self.has_table(table):
            return None
        [(value,)] = self._aggregate(table, sql.SQL("max({})").format(quoted(column)))
        return value

    def select(
        self, table: str, columns: Sequence[str], *, null: str | None = None
    ) -> list[tuple[Any, ...]]:
        """`columns` of this workspace's rows of `table`; a column that it does not have is None. With
        `null`, only the rows in which that column is NULL."""
        condition = sql.SQL("{} IS NULL").format(quoted(null)) if null is not None else None
        return self._select(table, columns, condition) if self.has_table(table) else []

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """The rows of a query in PostgreSQL's dialect."""
        return self._rows(sql.Composed([_plain_sql(text)]))

    def counts(self, table: str) -> Counts:
        """This workspace's rows in `table`, counted."""
        schema = self._catalog.tables[table]
        counted = count_columns(
            schema.columns, lambda name: quoted(name).as_string(self._connection)
        )
        [row] = self._aggregate(table, _plain_sql(counted))
        return counts_of(row)

    def recent(
        self, table: str, columns: Sequence[str], by: str, count: int
    ) -> list[dict[str, Any]]:
        """The `count` rows of this workspace with the largest `by`, largest first."""
        if not self.has_table(table):
            return []
        order = sql.SQL("true ORDER BY {} DESC LIMIT {}").format(quoted(by), sql.Literal(count))
        rows = self._select(table, columns, order)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of `table`, of every workspace, with each column's type as field metadata.

        Use them up before anything else is asked for.
        """
        schema = self._catalog.tables[table]
        query = sql.SQL("SELECT {} FROM {}").format(
            quoted_list(list(schema.columns)), self._catalog.table(table)
        )
        with self._errors(table):
            yield from copy_out(self._connection, query, schema.arrow({}).remove_metadata())

    # -- writing --------------------------------------------------------------------------------

    def load(self, batches: Iterable[Batch]) -> dict[str, int]:
        """Merge `batches` in one transaction and return the rows written by table.

        They are staged on the local disk while they arrive, so that the transaction is short. Safe to
        repeat after any failure.
        """
        with Staging(self._workdir / "staged") as staging:
            counts = stage(staging, batches)
            tables = children_first(staging, self._catalog.tables)
            if tables:
                with self._errors():
                    self._lasting(lambda: self._extend(tables))
                    self._lasting(lambda: self._write(tables))
                    self._lasting(lambda: self._index(tables))
        return counts

    def declare(self, batches: Iterable[Batch]) -> None:
        """Make the tables of `batches`, which have no rows, for those who read them."""
        schemas = to_declare(batches, self._catalog.declared)
        if schemas:
            with self._errors():
                self._lasting(lambda: self._declare(schemas))

    def _declare(self, schemas: Mapping[str, TableSchema]) -> None:
        with self._changing_tables():
            self._catalog.create_dataset(self._connection)
            for name, schema in schemas.items():
                self._catalog.declare(self._connection, name, schema)

    widens_keys = True

    def widen(self, table: str, column: str, data_type: str) -> None:
        """Change the type of a loaded column to a wider one, keeping its values."""
        if not self.has_table(table):
            return
        with self._errors(table):
            self._lasting(lambda: self._widen(table, column, data_type))

    def _widen(self, table: str, column: str, data_type: str) -> None:
        with self._changing_tables():
            loaded = self._catalog.tables[table].columns.get(column)
            if loaded is not None and loaded.data_type != data_type:
                self._catalog.widen(self._connection, table, column, data_type)

    def drop_column(self, table: str, column: str) -> None:
        """Remove a loaded column."""
        with self._errors(table):
            self._lasting(lambda: self._drop_column(table, column))

    def _drop_column(self, table: str, column: str) -> None:
        with self._changing_tables():
            loaded = self._catalog.tables.get(table)
            if loaded is not None and column in loaded.columns:
                self._catalog.drop_column(self._connection, table, column)

    def require(self, tables: Collection[str]) -> None:
        """Read the rights of the role, and look for relations of these names that are not ours."""
        dataset = self._settings.dataset_name
        ours = {*self._catalog.tables, *self._catalog.declared}
        new = [table for table in tables if table not in ours]

        def look() -> list[str]:
            require_rights(self._connection, dataset, self._catalog)
            return taken(self._connection, dataset, new)

        with self._errors():
            require_ours(f"postgres: schema {dataset}", self._lasting(look))

    def probe(self) -> str:
        """Try what a load needs, in a transaction that is rolled back; says what was found."""
        with self._errors():
            self._lasting(self._try_table)
        state = f"{len(self._catalog.tables)} tables" if self._catalog.tables else "new"
        version = self._connection.info.server_version // 10_000
        return (
            f"PostgreSQL {version} at {self._connection.info.host}, schema"
            f" {self._settings.dataset_name} ({state}): may make tables; merges by delete and COPY,"
            " one transaction a load"
        )

    def _try_table(self) -> None:
        with self._connection.transaction(force_rollback=True):
            self._catalog.create_dataset(self._connection)
            table = self._catalog.table("oa_sync_check")
            self._connection.execute(sql.SQL("CREATE TABLE {} (id bigint)").format(table))

    def _extend(self, tables: Sequence[StagedTable]) -> None:
        """Make the tables and columns that are needed, in a transaction before that of the rows: readers of
        a table that gets a column wait for this short one only."""
        with self._changing_tables():
            self._catalog.create_dataset(self._connection)
            for staged in tables:
                self._catalog.extend(self._connection, staged.name, staged.schema)

    def _write(self, tables: Sequence[StagedTable]) -> None:
        try:
            self._merge_all(tables, careful=False)
        except _TOO_MUCH as error:
            if is_lost(error):
                raise
            logger.info("the database did not take a value (%s); looking at each", error.sqlstate)
            if isinstance(error, psycopg.errors.ProgramLimitExceeded):
                self._drop_indexes(tables)
            self._merge_all(tables, careful=True)

    def _merge_all(self, tables: Sequence[StagedTable], *, careful: bool) -> None:
        connection = self._connection
        with connection.transaction(), in_memory_duckdb(self._workdir / "spill") as duck:
            self._catalog.lock(connection, shared=True)
            self._catalog.read(connection)
            for staged in tables:
                schema = self._catalog.tables[staged.name]
                rows = StagedReader(duck, staged, schema)
                if self._has_rows(staged.name):
                    self._delete(staged.name, rows)
                target = sql.SQL("{} ({})").format(
                    self._catalog.table(staged.name), quoted_list(list(schema.columns))
                )
                copy_in(connection, target, rows.rows(), schema, careful=careful)

    def _delete(self, table: str, rows: StagedReader) -> None:
        connection, schema = self._connection, self._catalog.tables[table]
        definition = sql.SQL(", ").join(
            sql.SQL("{} {}").format(quoted(name), TYPES[schema.columns[name].data_type])
            for name in schema.key
        )
        connection.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP").format(_CHANGED, definition)
        )
        changed = sql.SQL("{} ({})").format(_CHANGED, quoted_list(schema.key))
        copy_in(connection, changed, rows.keys(), schema)
        connection.execute(sql.SQL("ANALYZE {}").format(_CHANGED))
        same = sql.SQL(" AND ").join(
            sql.SQL("loaded.{0} = changed.{0}").format(quoted(name)) for name in schema.key
        )
        connection.execute(
            sql.SQL("DELETE FROM {} AS loaded USING {} AS changed WHERE {}").format(
                self._catalog.table(table), _CHANGED, same
            )
        )
        connection.execute(sql.SQL("DROP TABLE {}").format(_CHANGED))

    def _index(self, tables: Sequence[StagedTable]) -> None:
        for staged in tables:
            try:
                with self._changing_tables():
                    self._catalog.create_index(self._connection, staged.name)
            except (psycopg.errors.ProgramLimitExceeded, psycopg.IntegrityError) as error:
                logger.warning("%s has no index on its key: %s", staged.name, _text_of(error))

    def _drop_indexes(self, tables: Sequence[StagedTable]) -> None:
        with self._changing_tables():
            for staged in tables:
                self._catalog.drop_index(self._connection, staged.name)

    # -- PostgreSQL -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _changing_tables(self) -> Iterator[None]:
        with self._connection.transaction():
            self._catalog.lock(self._connection, shared=False)
            self._catalog.read(self._connection)
            yield

    def _has_rows(self, table: str) -> bool:
        query = sql.SQL("SELECT EXISTS (SELECT 1 FROM {})").format(self._catalog.table(table))
        [(found,)] = self._connection.execute(query)
        return bool(found)

    def _select(
        self,
        table: str,
        names: Sequence[str],
        condition: sql.Composable | None = None,
        parameters: Sequence[Any] = (),
        *,
        distinct: bool = False,
    ) -> list[tuple[Any, ...]]:
        schema = self._catalog.tables[table]
        query = sql.SQL("SELECT {} {} FROM {} WHERE {} = %s AND {}").format(
            sql.SQL("DISTINCT" if distinct else ""),
            sql.SQL(", ").join(_selected(name, schema) for name in names),
            self._catalog.table(table),
            quoted(WORKSPACE),
            condition or sql.SQL("true"),
        )
        return self._rows(query, [self._settings.workspace, *parameters])

    def _aggregate(self, table: str, expression: sql.Composable) -> list[tuple[Any, ...]]:
        query = sql.SQL("SELECT {} FROM {} WHERE {} = %s").format(
            expression, self._catalog.table(table), quoted(WORKSPACE)
        )
        return self._rows(query, [self._settings.workspace])

    def _rows(
        self, query: sql.Composed, parameters: Sequence[Any] | None = None
    ) -> list[tuple[Any, ...]]:
        with self._errors():
            return self._lasting(lambda: self._connection.execute(query, parameters).fetchall())

    @contextlib.contextmanager
    def _errors(self, table: str = "") -> Iterator[None]:
        try:
            yield
        except OaSyncError:
            raise
        except Exception as error:
            where = f"postgres: {table}: " if table else "postgres: "
            told = f"{where}{type(error).__name__}: {_text_of(error)}"
            if isinstance(error, psycopg.errors.InsufficientPrivilege):
                raise UnusableDestinationError(
                    f"{told}; have its owner GRANT USAGE, CREATE ON SCHEMA {self._settings.dataset_name} to"
                    " the role, and SELECT, INSERT, UPDATE, DELETE on its tables"
                ) from error
            raise DestinationError(told) from error


def _selected(name: str, schema: TableSchema) -> sql.Composable:
    if name not in schema.columns:
        return sql.SQL("NULL")
    is_json = schema.columns[name].data_type == "json"
    return sql.SQL("{}::text" if is_json else "{}").format(quoted(name))


def _plain_sql(text: str) -> sql.SQL:
    return sql.SQL(text)


def _text_of(error: BaseException) -> str:
    """One line, without the row that the database quotes in its details."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return str(error.diag.message_primary)
    return " ".join(str(error).split())[:500]
