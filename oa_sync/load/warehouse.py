"""Loading Arrow batches into any SQL destination of dlt, and reading back what is loaded.

What dlt is used for: destinations, schema evolution, file formats, merges. What it is not trusted
with (measured, see docs/recovery.md): surviving a kill in its working folder, state with ids in it,
`incremental`. Hence the working folder is thrown away at every start, the schema is read from the
destination, pipeline state is not used at all, and every load is a delete-insert merge by key into
flat tables, which may be repeated at will.
"""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson
import pyarrow as pa

from oa_sync.errors import DestinationError
from oa_sync.extract.changes import Known
from oa_sync.load.destinations import (
    MERGE_STRATEGY,
    dlt_destination,
    require_repeatable_merge,
)
from oa_sync.load.held_back import HeldBack
from oa_sync.load.standing import Standing, standing_columns, standing_of
from oa_sync.load.tables import DELETED_AT, WORKSPACE, Batch, LoadedColumn, TableHints
from oa_sync.settings import Settings
from oa_sync.shape.learned import HINT
from oa_sync.shape.tables import ARROW_TYPES

if TYPE_CHECKING:
    import dlt
    from dlt.common.schema import Schema

logger = logging.getLogger(__name__)

SCHEMA_NAME = "openanalyst"
KEYS_PER_QUERY = 500
ROWS_PER_FETCH = 50_000
NARROW_COLUMNS = 24
NARROW_MEMORY = "150MB"
"""DuckDB's memory bound while loading tables of at most `NARROW_COLUMNS` columns: measured to cost no
time, and to halve the peak of a load of a million rows."""
_MERGE: Any = {"disposition": "merge", "strategy": MERGE_STRATEGY}


class Warehouse:
    """One workspace's tables in one dataset of one destination.

    Use it as a context manager and from one thread: dlt's pipeline objects are not thread-safe.
    Every method that talks to the destination raises `DestinationError` when it cannot.
    """

    def __init__(self, settings: Settings, workdir: Path, *, read_only: bool = False) -> None:
        self._settings = settings
        self._workdir = workdir
        self._read_only = read_only
        self._duckdb_config: dict[str, Any] = {}

    def __enter__(self) -> Self:
        import dlt
        from dlt.common.schema import Schema

        quiet_dlt()
        shutil.rmtree(self._workdir, ignore_errors=True)
        self._workdir.mkdir(parents=True, mode=0o700)
        logging.getLogger("dlt").setLevel(logging.CRITICAL)
        self._pipeline: dlt.Pipeline = dlt.pipeline(
            f"oa_sync_{self._settings.fingerprint()}",
            pipelines_dir=str(self._workdir),
            destination=dlt_destination(
                self._settings, read_only=self._read_only, duckdb_config=self._duckdb_config
            ),
            dataset_name=self._settings.dataset_name,
        )
        self._schema: Schema = Schema(SCHEMA_NAME)
        stored = self._stored_schema()
        if stored is not None:
            self._schema = stored
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._workdir, ignore_errors=True)

    # -- reading back ---------------------------------------------------------------------------

    def columns(self) -> list[LoadedColumn]:
        """Every column of every table of ours, as the destination's stored schema has it."""
        return [
            LoadedColumn(table_name, name, str(column["data_type"]), column.get("x-oa-path"))
            for table_name, table in self._schema.tables.items()
            if not table_name.startswith("_dlt")
            for name, column in table["columns"].items()
            if "data_type" in column
        ]

    def has_table(self, table: str) -> bool:
        """Whether `table` has ever been loaded into."""
        return bool(self._schema.tables.get(table, {}).get("columns"))

    def hints(self, table: str) -> TableHints:
        """How rows of `table` are loaded: its keys, and the type and path of each column."""
        columns = {
            name: column
            for name, column in self._schema.tables[table]["columns"].items()
            if "data_type" in column
        }
        keys = {
            kind: tuple(
                sorted((n for n, c in columns.items() if c.get(kind)), key=_workspace_first)
            )
            for kind in ("primary_key", "merge_key")
        }
        hints = {
            name: {hint: column[hint] for hint in ("data_type", HINT) if hint in column}  # type: ignore[literal-required]
            for name, column in columns.items()
        }
        return TableHints(table, **keys, columns=hints)

    def known(self, table: str, key_columns: Sequence[str]) -> dict[tuple[Any, ...], Known]:
        """What is loaded of this workspace in `table`, by the values of `key_columns`."""
        if not self.has_table(table):
            return {}
        names = (*key_columns, "_oa_version", "_oa_row_hash", "_oa_detail_version", DELETED_AT)
        width = len(key_columns)
        return {
            tuple(row[:width]): Known(
                row[width], row[width + 1], row[width + 2], row[-1] is not None
            )
            for row in self._query(
                f"SELECT {self._quoted(names)} FROM {self._qualified(table)}"
                f" WHERE {self._quoted([WORKSPACE])} = %s",
                self._settings.workspace,
            )
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

        JSON columns come as text. Keys that are not loaded are left out, and with `null` all rows in
        which that column has a value.
        """
        if not keys or not self.has_table(table):
            return []
        names = [
            name
            for name, column in self._schema.tables[table]["columns"].items()
            if "data_type" in column
        ]
        found: list[dict[str, Any]] = []
        for start in range(0, len(keys), KEYS_PER_QUERY):
            part = keys[start : start + KEYS_PER_QUERY]
            column_count = len(key_columns)
            one = "(" + " AND ".join(f"{self._quoted([c])} = %s" for c in key_columns) + ")"
            if column_count == 1:
                marks = ", ".join(["%s"] * len(part))
                condition = f"{self._quoted(key_columns)} IN ({marks})"
            else:
                condition = "(" + " OR ".join([one] * len(part)) + ")"
            if null is not None:
                condition += f" AND {self._quoted([null])} IS NULL"
            rows = self._query(
                f"SELECT {self._quoted(names)} FROM {self._qualified(table)}"
                f" WHERE {self._quoted([WORKSPACE])} = %s AND {condition}",
                self._settings.workspace,
                *(value for key in part for value in key),
            )
            found.extend(self._plain(table, names, row) for row in rows)
        return found

    def distinct(self, table: str, column: str) -> set[Any]:
        """The values of `column` in this workspace's rows of `table`."""
        if not self.has_table(table):
            return set()
        rows = self._query(
            f"SELECT DISTINCT {self._quoted([column])} FROM {self._qualified(table)}"
            f" WHERE {self._quoted([WORKSPACE])} = %s",
            self._settings.workspace,
        )
        return {value for (value,) in rows}

    def largest(self, table: str, column: str) -> Any:
        """The largest value of `column` in this workspace's rows of `table`; None: there is none."""
        if not self.has_table(table):
            return None
        [(value,)] = self._query(
            f"SELECT max({self._quoted([column])}) FROM {self._qualified(table)}"
            f" WHERE {self._quoted([WORKSPACE])} = %s",
            self._settings.workspace,
        )
        return value

    def select(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """`columns` of this workspace's rows of `table`; a column that it does not have is None."""
        there = self._schema.tables.get(table, {}).get("columns", {})
        names = [name for name in columns if name in there]
        if not names:
            return []
        rows = self._query(
            f"SELECT {self._quoted(names)} FROM {self._qualified(table)}"
            f" WHERE {self._quoted([WORKSPACE])} = %s",
            self._settings.workspace,
        )
        places = [names.index(name) if name in names else None for name in columns]
        return [tuple(None if at is None else row[at] for at in places) for row in rows]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of `sql`, in the dialect of the destination."""
        return self._query(sql)

    def standing(self, table: str) -> Standing:
        """This workspace's rows in `table`, counted."""
        columns = self._schema.tables[table]["columns"]
        counted = standing_columns(columns, lambda name: self._quoted([name]))
        [row] = self._query(
            f"SELECT {counted} FROM {self._qualified(table)}"
            f" WHERE {self._quoted([WORKSPACE])} = %s",
            self._settings.workspace,
        )
        return standing_of(row)

    def recent(
        self, table: str, columns: Sequence[str], by: str, count: int
    ) -> list[dict[str, Any]]:
        """The `count` rows of this workspace with the largest `by`, largest first."""
        if not self.has_table(table):
            return []
        there = [name for name in columns if name in self._schema.tables[table]["columns"]]
        rows = self._query(
            f"SELECT {self._quoted(there)} FROM {self._qualified(table)}"
            f" WHERE {self._quoted([WORKSPACE])} = %s ORDER BY {self._quoted([by])} DESC",
            self._settings.workspace,
            most=count,
        )
        empty: dict[str, Any] = dict.fromkeys(columns)
        return [{**empty, **self._plain(table, there, row)} for row in rows]

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of `table`, of every workspace."""
        columns = {
            name: str(column.get("data_type"))
            for name, column in self._schema.tables[table]["columns"].items()
            if "data_type" in column
        }
        schema = pa.schema(
            [
                pa.field(name, ARROW_TYPES[kind], metadata={"data_type": kind})
                for name, kind in columns.items()
            ]
        )
        try:
            with (
                self._pipeline.sql_client() as client,
                client.execute_query(
                    f"SELECT {self._quoted(list(columns))} FROM {self._qualified(table)}"
                ) as cursor,
            ):
                while rows := cursor.fetchmany(ROWS_PER_FETCH):
                    plain = [self._plain(table, list(columns), row) for row in rows]
                    yield pa.RecordBatch.from_pylist(plain, schema)
        except Exception as error:
            raise _as_ours(error) from error

    # -- writing --------------------------------------------------------------------------------

    def load(self, batches: Iterable[Batch]) -> dict[str, int]:
        """Merge `batches` and return the rows written by table.

        The batches are pulled while dlt writes, so the iterable may still be producing. A key must
        stand at most once in them. Safe to repeat after any failure.

        Rows with a key of their own wait on the local disk for the child tables, which are a package
        before theirs: a resource's row says that its lists are loaded, and dlt commits table by table.
        """
        counts: dict[str, int] = {}
        with HeldBack(self._workdir / "held_back") as own:
            self._load_package(self._children(batches, own), counts)
            self._load_package(own.batches(), counts)
        return counts

    def _children(self, batches: Iterable[Batch], own: HeldBack) -> Iterator[Batch]:
        for batch in batches:
            if batch.hints.primary_key:
                own.add(batch)
            else:
                yield batch

    def _load_package(self, batches: Iterable[Batch], counts: dict[str, int]) -> None:
        import dlt

        loaded = {table for table in self._schema.tables if self.has_table(table)}

        @dlt.resource(name=SCHEMA_NAME)
        def rows() -> Iterator[Any]:
            for batch in batches:
                name = batch.hints.name
                counts[name] = counts.get(name, 0) + batch.rows.num_rows
                self._bound_memory(name, batch.rows.num_columns)
                yield dlt.mark.with_hints(
                    _loadable(batch),
                    self._hints(batch.hints, merge=name in loaded),
                    create_table_variant=True,
                )

        batches = (batch for batch in batches if batch.rows.num_rows)
        first = next(batches, None)
        if first is None:
            return
        batches = chain([first], batches)
        self._duckdb_config["memory_limit"] = NARROW_MEMORY
        try:
            self._run(rows())
        except Exception as error:
            self._forget_package()
            raise _as_ours(error) from error
        self._schema = self._pipeline.schemas[SCHEMA_NAME]

    def _run(self, rows: Any) -> None:
        """Extract, normalize and load `rows`; where DuckDB found its bound too small, load without."""
        try:
            self._pipeline.run(rows, schema=self._schema, loader_file_format="parquet")
        except Exception as error:
            if "Out of Memory" not in str(_deepest(error)) or not self._duckdb_config:
                raise
            logger.info("DuckDB asks for more memory than %s: loading without bound", NARROW_MEMORY)
            self._duckdb_config.clear()
            self._pipeline.load()

    def _bound_memory(self, table: str, columns: int) -> None:
        """Lift the bound on DuckDB's memory for a wide table: it buffers 122,880 rows of each column
        and thread before it can write any."""
        known = self._schema.tables.get(table, {}).get("columns", {})
        if max(columns, len(known)) > NARROW_COLUMNS:
            self._duckdb_config.clear()

    def widen(self, table: str, column: str, data_type: str) -> None:
        """Change the type of a loaded column to a wider one, keeping its values.

        dlt never alters a column, and an Arrow double that meets a BIGINT column is rounded without
        a word; so the column is altered before the wider values arrive.
        """
        loaded = self._schema.tables.get(table, {}).get("columns", {}).get(column)
        if loaded is None or loaded.get("data_type") == data_type:
            return
        try:
            with self._pipeline.destination_client(SCHEMA_NAME) as client:
                self._alter(client, table, column, str(loaded["data_type"]), data_type)
                with client.with_staging_dataset():  # type: ignore[attr-defined]
                    self._alter(client, table, column, str(loaded["data_type"]), data_type)
        except Exception as error:
            raise _as_ours(error) from error
        changed: dict[str, Any] = loaded  # type: ignore[assignment]
        changed["data_type"] = data_type
        for hint in ("precision", "scale", "timezone"):
            changed.pop(hint, None)

    def _alter(self, client: Any, table: str, column: str, before: str, after: str) -> None:
        """Alter a column in the dataset that `client` is at, unless it is not there, or has the type
        already: a run may have been killed between this and the load that stores the schema."""
        from oa_sync.load.widening import widen_sql

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

    def probe(self) -> str:
        """Make a table and drop it again, and the dataset too if it was not there; says what was found.

        Raises:
            ConfigurationError: this destination has no merge that may be repeated.
        """
        require_repeatable_merge(self._settings.destination, self._pipeline.destination)
        try:
            with self._pipeline.sql_client() as client:
                existed = bool(client.has_dataset())
                if not existed:
                    client.create_dataset()
                name = f"oa_sync_check_{uuid.uuid4().hex[:12]}"
                table = client.make_qualified_table_name(name)
                client.execute_sql(f"CREATE TABLE {table} (id INTEGER)")
                client.execute_sql(f"DROP TABLE {table}")
                if not existed:
                    # Without CASCADE, unlike dlt's own: what somebody else made meanwhile stays.
                    client.execute_sql(f"DROP SCHEMA {client.fully_qualified_dataset_name()}")
        except Exception as error:
            raise _as_ours(error) from error
        return (
            f"{self._settings.place}, schema {self._settings.dataset_name}"
            f" ({'has tables' if existed else 'new'}): may make tables; merges by {MERGE_STRATEGY}"
        )

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

    def _hints(self, hints: TableHints, *, merge: bool) -> Any:
        """dlt's hints. A table that is not there yet is appended to: there is nothing to merge with,
        and the way over a staging table doubles the cost. A crash in that load leaves rows that the
        next one, repeated from the journal, replaces by key."""
        import dlt

        columns: dict[str, Any] = {
            name: {"name": name, **column} for name, column in hints.columns.items()
        }
        if hints.merge_key:
            deleted = {"name": DELETED_AT, "data_type": "timestamp", "hard_delete": True}
            columns[DELETED_AT] = deleted
        return dlt.mark.make_hints(
            table_name=hints.name,
            write_disposition=_MERGE if merge else "append",
            primary_key=list(hints.primary_key) or None,
            merge_key=list(hints.merge_key) or None,
            columns=columns,
        )

    def _forget_package(self) -> None:
        """Drop what a failed load left behind: the journal has it all, and a poisoned package would
        fail every later run."""
        from dlt.common.exceptions import DltException

        try:
            self._pipeline.abort_packages()
        except (OSError, DltException):
            logger.debug("no pending package to drop", exc_info=True)

    def _query(self, sql: str, *parameters: Any, most: int | None = None) -> list[tuple[Any, ...]]:
        # `most` and no LIMIT, which not every warehouse knows.
        try:
            with (
                self._pipeline.sql_client() as client,
                client.execute_query(sql, *parameters) as cursor,
            ):
                return list(cursor.fetchall() if most is None else cursor.fetchmany(most))
        except Exception as error:
            raise _as_ours(error) from error

    def _qualified(self, table: str) -> str:
        client = self._pipeline.sql_client()
        return client.make_qualified_table_name(table)

    def _quoted(self, names: Sequence[str]) -> str:
        client = self._pipeline.sql_client()
        return ", ".join(client.escape_column_name(name) for name in names)

    def _plain(self, table: str, names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
        columns = self._schema.tables[table]["columns"]
        return {
            name: orjson.dumps(value).decode()
            if columns[name].get("data_type") == "json"
            and value is not None
            and not isinstance(value, str)
            else value
            for name, value in zip(names, row, strict=True)
        }


def _workspace_first(name: str) -> bool:
    return name != WORKSPACE


def quiet_dlt() -> None:
    """Settings of dlt that hold for every pipeline of ours.

    No state in the destination (ids live in the tables), no trace files (they keep exception
    messages), no telemetry, no signal handlers (ours finish a step first), staging emptied after
    use, and only errors in its log.
    """
    import dlt

    for key, value in {
        "restore_from_destination": False,
        "enable_runtime_trace": False,
        "runtime.dlthub_telemetry": False,
        "runtime.intercept_signals": False,
        "runtime.log_level": "CRITICAL",
        "load.truncate_staging_dataset": True,
        "load.raise_on_failed_jobs": True,
        "normalize.workers": 1,
        "extract.workers": 1,
    }.items():
        dlt.config[key] = value


def _loadable(batch: Batch) -> pa.Table:
    """`batch.rows` with key columns marked as never null, as dlt's hints say."""
    keys = {*batch.hints.primary_key, *batch.hints.merge_key}
    fields = [field.with_nullable(field.name not in keys) for field in batch.rows.schema]
    return batch.rows.cast(pa.schema(fields))


def _deepest(error: BaseException) -> BaseException:
    """The first cause of `error`."""
    seen: list[BaseException] = [error]
    while (cause := seen[-1].__cause__ or seen[-1].__context__) is not None and cause not in seen:
        seen.append(cause)
    return seen[-1]


def _as_ours(error: BaseException) -> DestinationError:
    """`error` as one line that names the deepest cause, without credentials or data."""
    if isinstance(error, DestinationError):
        return error
    deepest = _deepest(error)
    text = " ".join(str(deepest).split())[:500]
    return DestinationError(f"destination: {type(deepest).__name__}: {text}")
