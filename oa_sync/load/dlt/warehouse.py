"""Loading Arrow batches into any SQL destination of dlt, and reading back what is loaded.

dlt is used for destinations, schema evolution, file formats and merges. It is not trusted with its
working folder after a kill, with state that holds ids, or with `incremental` (measured, see
docs/recovery.md). So the working folder is deleted at every start, the schema is read from the
destination, and pipeline state is not used. Every load is a delete-insert merge by key into flat tables,
or appends rows of keys that are not there; it may be repeated at will.
"""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson
import pyarrow as pa

from oa_sync.errors import DestinationError
from oa_sync.journal.disk import require_writable
from oa_sync.load.destination_errors import require_ours
from oa_sync.load.dlt.destinations import (
    MERGE_STRATEGY,
    deepest,
    dlt_destination,
    loader_file_format,
    opening_error,
    require_repeatable_merge,
    takes_objects,
)
from oa_sync.load.dlt.held_back import HeldBack
from oa_sync.load.dlt.loaded_keys import LoadedKeys
from oa_sync.load.dlt.quiet import quiet_dlt
from oa_sync.load.dlt.sql_reads import SqlReads
from oa_sync.load.dlt.unloaded import UnloadedTables
from oa_sync.load.dlt.variants import VARIANT_OF, variant_name
from oa_sync.load.table_schema import described_columns
from oa_sync.load.widening import can_widen, widen_sql
from oa_sync.private import fresh_folder
from oa_sync.settings import Settings
from oa_sync.tables.batches import WORKSPACE, Batch

if TYPE_CHECKING:
    import dlt
    from dlt.common.schema import Schema

logger = logging.getLogger(__name__)

SCHEMA_NAME = "openanalyst"
NARROW_COLUMNS = 24
NARROW_MEMORY = "64MB"
"""DuckDB's memory bound while loading tables of at most `NARROW_COLUMNS` columns: measured to cost no
time, and to halve the peak of a load of a million rows."""
_IN_ANY_ORDER = {"preserve_insertion_order": False}
"""DuckDB may write rows in any order, which is twice as fast. A table has no order; where rows need one, it
is in a column (`position`, `step_position`)."""
_WITHOUT_DROP_SCHEMA = frozenset({"clickhouse", "sqlalchemy"})
_MERGE: Any = {"disposition": "merge", "strategy": MERGE_STRATEGY}


class Warehouse(SqlReads):
    """One workspace's tables in one dataset of one destination.

    Use it as a context manager and from one thread: dlt's pipeline objects are not thread-safe.
    Every method that talks to the destination raises `DestinationError` when it cannot.
    """

    def __init__(self, settings: Settings, workdir: Path, *, read_only: bool = False) -> None:
        self._settings = settings
        self._workdir = workdir
        self._read_only = read_only
        self._as_objects = takes_objects(settings.destination)
        self._duckdb_config: dict[str, Any] = {}
        self._pending: dict[str, dict[str, dict[str, Any]]] = {}
        self._keys = LoadedKeys(self._distinct_keys)
        self._is_open = False
        self._process = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException as error:
            self._process.close()
            if not isinstance(error, Exception):
                raise
            raise opening_error(self._settings, error, deepest(error)) from error
        return self

    def _open(self) -> None:
        import dlt
        from dlt.common.schema import Schema

        self._process.enter_context(quiet_dlt())
        fresh_folder(self._workdir)
        destination = dlt_destination(
            self._settings, read_only=self._read_only, duckdb_config=self._duckdb_config
        )
        if self._settings.destination == "duckdb" and not self._read_only:
            # Before DuckDB does: on a full disk it leaves a file that it never opens again.
            require_writable(self._settings.database.parent)
        require_repeatable_merge(self._settings.destination, destination)
        self._pipeline: dlt.Pipeline = dlt.pipeline(
            f"oa_sync_{self._settings.fingerprint()}",
            pipelines_dir=str(self._workdir),
            destination=destination,
            dataset_name=self._settings.dataset_name,
        )
        self._unloaded = UnloadedTables(self._pipeline, SCHEMA_NAME)
        self._is_open = True
        self._schema: Schema = Schema(SCHEMA_NAME)
        stored = self._stored_schema()
        if stored is not None:
            self._schema = stored

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_open and self._pipeline.is_active:
            self._pipeline.deactivate()  # else dlt uses it as the context of all others
        self._is_open = False
        self._process.close()
        shutil.rmtree(self._workdir, ignore_errors=True)

    @contextmanager
    def held_open(self) -> Iterator[None]:
        """Keep a DuckDB file open for the block: dlt opens and closes it for every query, 40 ms each time.

        Do not use it while fetching: other processes cannot open the file while it is open here.
        """
        if self._settings.destination != "duckdb":
            yield
            return
        import duckdb

        try:
            held = duckdb.connect(str(self._settings.database), read_only=self._read_only)
        except duckdb.Error as error:
            raise _as_ours(error) from error
        with held:
            yield

    # -- writing --------------------------------------------------------------------------------

    def load(self, batches: Iterable[Batch]) -> dict[str, int]:
        """Merge `batches` and return the rows written by table.

        The batches are pulled while dlt writes, so the iterable may still be producing. A key must be in
        them at most once. Safe to repeat after any failure.

        Child tables are loaded first, in a package of their own, and what only removes child rows follows;
        rows with a primary key wait on the local disk. A resource's row says that its lists are loaded, and
        dlt commits table by table.
        """
        counts: dict[str, int] = {}
        with (
            HeldBack(self._workdir / "held_back") as own,
            HeldBack(self._workdir / "to_remove") as to_remove,
        ):
            self._load_rows(self._children(batches, own, to_remove), counts)
            self._remove(to_remove)
            self._load_rows(own.batches(), counts)
        return counts

    def _children(
        self, batches: Iterable[Batch], own: HeldBack, to_remove: HeldBack
    ) -> Iterator[Batch]:
        for batch in batches:
            if batch.removes:
                to_remove.add(batch)
            elif batch.hints.primary_key:
                own.add(batch)
            else:
                yield batch

    def _remove(self, removals: HeldBack) -> None:
        """Delete what has the keys of `removals`. Not by dlt: its merge removes only by a column of marks
        (`hard_delete`), which would stand in every child table and never say anything."""
        try:
            with self.held_open():
                for batch in removals.batches():
                    if self.has_table(batch.hints.name):
                        self._delete(batch)
        except Exception as error:
            raise _as_ours(error) from error

    def _delete(self, batch: Batch) -> None:
        columns = [name for name in batch.hints.merge_key if name != WORKSPACE]
        keys = list(zip(*(batch.rows[name].to_pylist() for name in columns), strict=True))
        own = f"{self._quoted([WORKSPACE])} = %s"
        with self._client as client:
            for condition, values in self._by_keys(columns, keys):
                client.execute_sql(
                    f"DELETE FROM {self._qualified(batch.hints.name)} WHERE {own} AND {condition}",
                    self._settings.workspace,
                    *values,
                )

    def _load_rows(self, batches: Iterable[Batch], counts: dict[str, int]) -> None:
        """Load in one package, or in two: the second merges rows of tables that the first appends to."""
        with HeldBack(self._workdir / "to_merge") as to_merge:
            self._load_package(self._with_ways(batches, to_merge), counts)
            self._load_package(self._with_ways(to_merge.batches(), to_merge), counts)

    def _with_ways(
        self, batches: Iterable[Batch], to_merge: HeldBack
    ) -> Iterator[tuple[Batch, bool]]:
        """The batches of a package, each with whether it is merged (else appended). Within a package dlt
        loads a table in one way only, so a table's first batch decides. Rows that do not fit go to
        `to_merge`."""
        loaded = {table for table in self._schema.tables if self.has_table(table)}
        merged: dict[str, bool] = {}
        for batch in batches:
            if batch.rows.num_rows == 0:
                continue
            name = batch.hints.name
            if name not in merged:
                merged[name] = name in loaded and not self._keys.are_new(batch)
            if name in loaded and not merged[name]:
                batch, known = self._keys.split(batch)
                if known.rows.num_rows:
                    to_merge.add(known)
            self._keys.sent(batch)
            if batch.rows.num_rows:
                yield batch, merged[name]

    def _load_package(self, batches: Iterator[tuple[Batch, bool]], counts: dict[str, int]) -> None:
        import dlt

        @dlt.resource(name=SCHEMA_NAME)
        def rows() -> Iterator[Any]:
            for batch, merge in batches:
                name = batch.hints.name
                counts[name] = counts.get(name, 0) + batch.rows.num_rows
                self._bound_memory(name, batch.rows.num_columns)
                placed = self._placed(batch)
                data = placed.rows.to_pylist() if self._as_objects else _loadable(placed)
                hints = self._hints(placed, merge=merge)
                yield dlt.mark.with_hints(data, hints, create_table_variant=True)

        first = next(batches, None)
        if first is None:
            return
        batches = chain([first], batches)
        self._duckdb_config |= {"memory_limit": NARROW_MEMORY, **_IN_ANY_ORDER}
        try:
            self._run(rows())
        except Exception as error:
            self._forget_package()
            raise _as_ours(error) from error
        self._keys.arrived()
        self._schema = self._pipeline.schemas[SCHEMA_NAME]

    def _placed(self, batch: Batch) -> Batch:
        """`batch`, with each column renamed whose values go to a variant."""
        name, logical = batch.hints.name, self._logical(batch.hints.name)
        names = [logical.written(column) for column in batch.rows.column_names]
        if names == batch.rows.column_names:
            return batch
        there = {**self._stored(name), **self._pending.get(name, {})}
        columns = {
            written: {
                **batch.hints.columns.get(column, {}),
                **_variant_hints(there.get(written, {})),
            }
            for column, written in zip(batch.rows.column_names, names, strict=True)
        }
        hints = replace(batch.hints, columns={n: c for n, c in columns.items() if c})
        return Batch(hints, batch.rows.rename_columns(names))

    def _run(self, rows: Any) -> None:
        """Extract, normalize and load `rows`. If the memory bound is too small, load again without it."""
        loaded = {table for table in self._schema.tables if self.has_table(table)}
        try:
            self._pipeline.extract(
                rows,
                schema=self._schema,
                loader_file_format=loader_file_format(self._settings.destination),
            )
            with self.held_open():
                self._pipeline.normalize()
                self._unloaded.drop(self._arriving() - loaded)
                self._pipeline.load()
        except Exception as error:
            if (
                "Out of Memory" not in str(deepest(error))
                or "memory_limit" not in self._duckdb_config
            ):
                raise
            logger.info("DuckDB asks for more memory than %s: loading without bound", NARROW_MEMORY)
            self._duckdb_config.pop("memory_limit")
            self._pipeline.load()

    def declare(self, batches: Iterable[Batch]) -> None:
        """Make the tables of `batches`, which have no rows, for those who read them."""
        try:
            self._unloaded.make(batches)
        except Exception as error:
            raise _as_ours(error) from error

    def _arriving(self) -> set[str]:
        """Every table that was loaded before or is in the package."""
        return set(self._pipeline.schemas[SCHEMA_NAME].data_table_names())

    def _bound_memory(self, table: str, columns: int) -> None:
        """Lift the bound on DuckDB's memory for a wide table: it buffers 122,880 rows of each column
        and thread before it can write any."""
        known = self._schema.tables.get(table, {}).get("columns", {})
        if max(columns, len(known)) > NARROW_COLUMNS:
            self._duckdb_config.pop("memory_limit", None)

    @property
    def widens_keys(self) -> bool:
        """Whether the destination can alter a column."""
        return can_widen(self._pipeline.destination.destination_type, "text")

    def widen(self, table: str, column: str, data_type: str) -> None:
        """Change the type of a loaded column to a wider one, keeping its values.

        dlt never alters a column, and it rounds an Arrow double for a BIGINT column without a warning. So
        the column is altered before the wider values arrive. Where the destination cannot do that, they go
        to a column of their own.
        """
        loaded = self._stored(table).get(column)
        if loaded is None or self._logical(table).types[column] == data_type:
            return
        if can_widen(self._pipeline.destination.destination_type, data_type):
            self._widen_in_place(table, column, str(loaded["data_type"]), data_type)
        else:
            self._continue_elsewhere(table, column, data_type)

    def _widen_in_place(self, table: str, column: str, before: str, after: str) -> None:
        try:
            with self._pipeline.destination_client(SCHEMA_NAME) as client:
                self._alter(client, table, column, before, after)
                with client.with_staging_dataset():  # type: ignore[attr-defined]
                    self._alter(client, table, column, before, after)
        except Exception as error:
            raise _as_ours(error) from error
        changed: dict[str, Any] = self._schema.tables[table]["columns"][column]  # type: ignore[assignment]
        changed["data_type"] = after
        for hint in ("precision", "scale", "timezone"):
            changed.pop(hint, None)

    def _continue_elsewhere(self, table: str, column: str, data_type: str) -> None:
        loaded = self._stored(table)[column]
        if loaded.get("primary_key") or loaded.get("merge_key"):
            raise DestinationError(
                f"{table}: the key column {column} must become {data_type} (was"
                f" {loaded['data_type']}), and {self._settings.destination} cannot change a column's type;"
                " declare its data_type in the definition and load into another dataset"
            )
        name = variant_name(column, data_type)
        logger.info("%s: values of %s go to %s from now on", table, column, name)
        variant = {"name": name, "data_type": data_type, "nullable": True, VARIANT_OF: column}
        self._pending.setdefault(table, {})[name] = variant

    def _alter(self, client: Any, table: str, column: str, before: str, after: str) -> None:
        """Alter a column in the current dataset of `client`, unless it is missing or has the type already:
        a sync may have been killed between this and the load that stores the schema."""
        [(_, columns)] = client.get_storage_tables([table])
        if columns.get(column, {}).get("data_type") in (None, after):
            return
        for statement in widen_sql(
            self._pipeline.destination.destination_type,
            client.sql_client.make_qualified_table_name(table),
            client.sql_client.escape_column_name(column),
            before,
            after,
        ):
            client.sql_client.execute_sql(statement)

    def drop_column(self, table: str, column: str) -> None:
        """Remove a loaded column. The next load stores the schema without it."""
        if column not in self._stored(table):
            return
        try:
            with self._pipeline.destination_client(SCHEMA_NAME) as client:
                self._drop(client, table, column)
                self._schema.tables[table]["columns"].pop(column)
                with client.with_staging_dataset():  # type: ignore[attr-defined]
                    self._drop(client, table, column)
        except Exception as error:
            raise _as_ours(error) from error

    def _drop(self, client: Any, table: str, column: str) -> None:
        """Drop a column in the current dataset of `client`, if it is there: a sync may have been killed between
        this and the load that stores the schema."""
        [(_, columns)] = client.get_storage_tables([table])
        if column in map(str.lower, columns):
            name = client.sql_client.make_qualified_table_name(table)
            quoted = client.sql_client.escape_column_name(column)
            client.sql_client.execute_sql(f"ALTER TABLE {name} DROP COLUMN {quoted}")

    def require(self, tables: Collection[str]) -> None:
        """Look for tables of these names without our column. What a killed load left has it already."""
        new = [table for table in tables if WORKSPACE not in self._stored(table)]
        try:
            foreign = self._without_workspace(new) if new else []
        except Exception as error:
            raise opening_error(self._settings, error, deepest(error)) from error
        require_ours(f"{self._settings.place}, schema {self._settings.dataset_name},", foreign)

    def _without_workspace(self, tables: Sequence[str]) -> list[str]:
        """Those of `tables` that are there, whoever made them, and have no column for a workspace."""
        with self._pipeline.destination_client(SCHEMA_NAME) as client:
            if not client.is_storage_initialized():
                return []
            found = client.get_storage_tables(tables)  # type: ignore[attr-defined]
            return [
                table
                for table, columns in found
                if columns and WORKSPACE not in map(str.lower, columns)
            ]

    def probe(self) -> str:
        """Make a table and drop it again, and the dataset too if it was not there; says what was found."""
        try:
            existed = self._make_and_drop()
        except Exception as error:
            raise opening_error(self._settings, error, deepest(error)) from error
        return (
            f"{self._settings.place}, schema {self._settings.dataset_name}"
            f" ({'has tables' if existed else 'new'}): may make tables; merges by {MERGE_STRATEGY}"
        )

    def _make_and_drop(self) -> bool:
        """Whether the dataset was there before."""
        engine = " ENGINE = Memory" if self._settings.destination == "clickhouse" else ""
        with self._pipeline.sql_client() as client:
            existed = bool(client.has_dataset())
            if not existed:
                client.create_dataset()
            table = client.make_qualified_table_name(f"oa_sync_check_{uuid.uuid4().hex[:12]}")
            client.execute_sql(f"CREATE TABLE {table} (id INTEGER){engine}")
            client.execute_sql(f"DROP TABLE {table}")
            if not existed and self._settings.destination in _WITHOUT_DROP_SCHEMA:
                client.drop_dataset()
            elif not existed:
                # Without CASCADE, unlike dlt's own drop: what somebody else made meanwhile stays.
                client.execute_sql(f"DROP SCHEMA {client.fully_qualified_dataset_name()}")
        return existed

    # -- dlt ------------------------------------------------------------------------------------

    def _stored_schema(self) -> Schema | None:
        from dlt.common.schema import Schema
        from dlt.destinations.exceptions import DatabaseUndefinedRelation

        self._pipeline._inject_schema(self._schema)
        try:
            with self._pipeline.destination_client(SCHEMA_NAME) as client:
                if not client.is_storage_initialized():
                    return None
                info = client.get_stored_schema(SCHEMA_NAME)  # type: ignore[attr-defined]
        except DatabaseUndefinedRelation:
            return None
        except Exception as error:
            raise _as_ours(error) from error
        return None if info is None else Schema.from_stored_schema(orjson.loads(info.schema))

    def _hints(self, batch: Batch, *, merge: bool) -> Any:
        """dlt's hints. Rows of new keys are appended: there is nothing to replace, and a staging table would
        double the cost. If that load crashes, its rows are replaced by key when the load is repeated from
        the journal."""
        import dlt

        hints = batch.hints
        columns: dict[str, Any] = {
            name: {"name": name, **column} for name, column in hints.columns.items()
        }
        if self._as_objects:
            described = described_columns(hints.name, batch.rows.schema, hints.columns)
            for name, column in described.items():
                columns.setdefault(name, {"name": name})["data_type"] = column.data_type
        return dlt.mark.make_hints(
            table_name=hints.name,
            write_disposition=_MERGE if merge else "append",
            primary_key=list(hints.primary_key) or None,
            merge_key=list(hints.merge_key) or None,
            columns=columns,
        )

    def _forget_package(self) -> None:
        """Drop the package of a failed load: the journal has all its rows, and a broken package would fail
        every later sync."""
        from dlt.common.exceptions import DltException

        self._keys.forget()
        try:
            self._pipeline.abort_packages()
        except (OSError, DltException):
            logger.debug("no pending package to drop", exc_info=True)

    @cached_property
    def _client(self) -> Any:
        """dlt's SQL client. Made once: for each client dlt looks up about a hundred settings (20 ms). Its
        connection is open only within a `with`."""
        return self._pipeline.sql_client()

    def _distinct_keys(self, table: str, column: str, most: int) -> set[Any]:
        """At most `most` of the values of `column` in this workspace's rows of `table`."""
        found = self._aggregate(table, f"DISTINCT {self._quoted([column])}", most=most)
        return {value for (value,) in found}

    def _query(self, sql: str, *parameters: Any, most: int | None = None) -> list[tuple[Any, ...]]:
        try:
            with self._client as client, client.execute_query(sql, *parameters) as cursor:
                return list(cursor.fetchall() if most is None else cursor.fetchmany(most))
        except Exception as error:
            raise _as_ours(error) from error

    def _chunks(self, sql: str, size: int) -> Iterator[list[tuple[Any, ...]]]:
        try:
            with self._pipeline.sql_client() as client, client.execute_query(sql) as cursor:
                while rows := cursor.fetchmany(size):
                    yield rows
        except Exception as error:
            raise _as_ours(error) from error

    def _qualified(self, table: str) -> str:
        return str(self._client.make_qualified_table_name(table))

    def _quoted(self, names: Sequence[str]) -> str:
        return ", ".join(self._client.escape_column_name(name) for name in names)


def _loadable(batch: Batch) -> pa.Table:
    """`batch.rows` with key columns marked as never null, as dlt's hints say."""
    keys = {*batch.hints.primary_key, *batch.hints.merge_key}
    fields = [field.with_nullable(field.name not in keys) for field in batch.rows.schema]
    return batch.rows.cast(pa.schema(fields))


def _variant_hints(column: Mapping[str, Any]) -> dict[str, Any]:
    return {hint: column[hint] for hint in (VARIANT_OF, "data_type") if VARIANT_OF in column}


def _as_ours(error: BaseException) -> DestinationError:
    """`error` as one line that names the deepest cause, without credentials or data."""
    if isinstance(error, DestinationError):
        return error
    cause = deepest(error)
    text = " ".join(str(cause).split())[:500]
    return DestinationError(f"destination: {type(cause).__name__}: {text}")
