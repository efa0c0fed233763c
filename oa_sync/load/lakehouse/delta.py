"""Delta Lake, by the library deltalake (delta-rs)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.schema import PrimitiveType

from oa_sync.load.lakehouse.formats import Conflict
from oa_sync.load.staging import StagedReader
from oa_sync.load.store import Store
from oa_sync.load.table_schema import Column, TableSchema, identifier, literal
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.batches import WORKSPACE

_OURS = "oa_sync"
"""Key in the metadata of each field: its type and hints, and its place in the key, as JSON."""
_REMOVES = "__oa_removes"
_MANY_FILES = 40
_TYPES = {
    "text": "string",
    "json": "string",
    "bigint": "long",
    "double": "double",
    "bool": "boolean",
    "timestamp": "timestamp",
    "date": "date",
    "decimal": "decimal(38,9)",
}


class Delta:
    """Delta tables in the folders of a store."""

    name = "delta"

    def __init__(self, store: Store) -> None:
        self._store = store
        self._options = _storage_options(store)

    def names(self) -> set[str]:
        """The folders that hold a Delta table or Parquet files."""
        return {
            table
            for table in self._store.tables()
            if self._store.files(table)
            or DeltaTable.is_deltatable(self._store.folder(table), self._options)
        }

    def schemas(self) -> Mapping[str, TableSchema]:
        """Every table of ours."""
        found = {table: self.schema(table) for table in self._store.tables()}
        return {table: schema for table, schema in found.items() if schema is not None}

    def schema(self, table: str) -> TableSchema | None:
        """One table as it is now."""
        place = self._store.folder(table)
        if not DeltaTable.is_deltatable(place, self._options):
            return None
        return _schema_of(self._open(table))

    def scan(self, table: str, columns: Sequence[str], workspace: str | None) -> Any:
        """Rows as a reader."""
        own = None if workspace is None else pc.field(WORKSPACE) == workspace
        dataset = self._open(table).to_pyarrow_dataset()
        return dataset.scanner(columns=list(columns), filter=own).to_reader()

    def create(self, table: str, schema: TableSchema) -> None:
        """Make an empty table."""
        with _conflicts():
            DeltaTable.create(
                self._store.folder(table),
                _arrow(schema),
                mode="error",
                storage_options=self._options,
            )

    def recreate(self, table: str, schema: TableSchema) -> None:
        """Overwrite nothing, with another schema."""
        target = self._open(table)
        if target.file_uris():
            raise Conflict
        with _conflicts():
            nothing = _arrow(schema).empty_table()
            write_deltalake(target, nothing, mode="overwrite", schema_mode="overwrite")

    def add_columns(self, table: str, schema: TableSchema, names: Sequence[str]) -> None:
        """Give the table the columns `names` of `schema`."""
        fields = [
            Field(
                name,
                PrimitiveType(_TYPES[schema.columns[name].data_type]),
                nullable=True,
                metadata=_metadata(name, schema),
            )
            for name in names
        ]
        with _conflicts():
            self._open(table).alter.add_columns(fields)

    def replace(self, table: str, schema: TableSchema, rows: StagedReader, workspace: str) -> None:
        """Delete and insert by one MERGE; into an empty table, append."""
        target = self._open(table)
        if not target.file_uris():
            reader = pa.RecordBatchReader.from_batches(_arrow(schema), _typed(rows.rows(), schema))
            with _conflicts():
                write_deltalake(target, reader, mode="append")
            return
        same = " AND ".join(
            f"loaded.{identifier(name)} = staged.{identifier(name)}" for name in schema.key
        )
        own = f"loaded.{identifier(WORKSPACE)} = {literal(workspace)}"
        with _conflicts():
            (
                target.merge(
                    _source(rows, schema),
                    f"staged.{_REMOVES} AND {own} AND {same}",
                    source_alias="staged",
                    target_alias="loaded",
                )
                .when_matched_delete()
                .when_not_matched_insert(
                    {name: f"staged.{identifier(name)}" for name in schema.columns},
                    predicate=f"NOT staged.{_REMOVES}",
                )
                .execute()
            )

    def rewrite(self, table: str, schema: TableSchema, batches: Iterable[pa.RecordBatch]) -> None:
        """Overwrite everything, the schema too."""
        reader = pa.RecordBatchReader.from_batches(_arrow(schema), _typed(batches, schema))
        with _conflicts():
            write_deltalake(self._open(table), reader, mode="overwrite", schema_mode="overwrite")

    def tidy(self, table: str) -> None:
        """Join small files into large ones, and delete those that no version of the last week names."""
        target = self._open(table)
        if len(target.file_uris()) > _MANY_FILES:
            with _conflicts():
                target.optimize.compact()
                target.vacuum(dry_run=False)

    def _open(self, table: str) -> DeltaTable:
        return DeltaTable(self._store.folder(table), storage_options=self._options)


@contextlib.contextmanager
def _conflicts() -> Iterator[None]:
    try:
        yield
    except CommitFailedError as error:
        raise Conflict from error
    except DeltaError as error:
        if "already exists" in str(error):
            raise Conflict from error
        raise


def _storage_options(store: Store) -> dict[str, str] | None:
    from dlt.common.libs.deltalake import deltalake_storage_options

    if store.is_local:
        return None
    options = deltalake_storage_options(store.configuration.credentials)
    return {name: str(value) for name, value in options.items()}


# -- schemas ------------------------------------------------------------------------------------


def _metadata(name: str, schema: TableSchema) -> dict[str, str | int]:
    column = schema.columns[name]
    ours: dict[str, Any] = {"data_type": column.data_type, "hints": dict(column.hints)}
    if name in schema.key:
        ours |= {"key": schema.key.index(name), "by_parent": schema.by_parent}
    if schema.is_declared:
        ours["declared"] = True
    return {_OURS: json.dumps(ours)}


def _arrow(schema: TableSchema) -> pa.Schema:
    return pa.schema(
        [
            pa.field(
                name,
                ARROW_TYPES[column.data_type],
                nullable=name not in schema.key or schema.is_declared,
                metadata=_metadata(name, schema),
            )
            for name, column in schema.columns.items()
        ]
    )


def _schema_of(table: DeltaTable) -> TableSchema | None:
    columns: dict[str, Column] = {}
    key: dict[int, str] = {}
    by_parent = is_declared = False
    for field in table.schema().fields:
        try:
            ours = json.loads(str(field.metadata[_OURS]))
        except (KeyError, ValueError):
            continue
        columns[field.name] = Column(ours["data_type"], ours["hints"])
        is_declared = is_declared or ours.get("declared", False)
        if "key" in ours:
            key[ours["key"]] = field.name
            by_parent = ours["by_parent"]
    if not key:
        return None
    return TableSchema(
        columns,
        tuple(key[place] for place in sorted(key)),
        by_parent=by_parent,
        is_declared=is_declared,
    )


# -- rows ---------------------------------------------------------------------------------------


def _typed(batches: Iterable[pa.RecordBatch], schema: TableSchema) -> Iterator[pa.RecordBatch]:
    arrow = _arrow(schema)
    for batch in batches:
        yield batch.cast(arrow)


def _source(rows: StagedReader, schema: TableSchema) -> pa.RecordBatchReader:
    """The changed keys, which remove, then the rows to insert."""
    fields = [field.with_nullable(True).remove_metadata() for field in _arrow(schema)]
    wanted = pa.schema([*fields, pa.field(_REMOVES, pa.bool_(), nullable=False)])

    def batches() -> Iterator[pa.RecordBatch]:
        for read, removes in ((rows.keys, True), (rows.rows, False)):
            for batch in read():
                count = batch.num_rows
                columns = [
                    batch[field.name]
                    if field.name in batch.schema.names
                    else pa.nulls(count, field.type)
                    for field in fields
                ]
                flags = pa.array([removes] * count)
                yield pa.record_batch([*columns, flags], schema=wanted)

    return pa.RecordBatchReader.from_batches(wanted, batches())
