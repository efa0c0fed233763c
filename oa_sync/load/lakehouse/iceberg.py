"""Apache Iceberg, by the library pyiceberg."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, EqualTo, In
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    LongType,
    StringType,
    TimestamptzType,
)

from oa_sync.errors import ConfigurationError
from oa_sync.load.lakehouse.formats import Conflict
from oa_sync.load.staging import StagedReader
from oa_sync.load.store import Store
from oa_sync.load.table_schema import TableSchema, schema_of_text
from oa_sync.settings import Settings
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.batches import WORKSPACE

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

CATALOG = "oa_sync"
"""The name of the catalog, in `.pyiceberg.yaml` and in `PYICEBERG_CATALOG__OA_SYNC__…`."""

CATALOG_FILE = "iceberg_catalog.db"
"""The SQLite catalog in a local folder, where no other is configured."""

_OURS = "oa_sync.schema"
_PROPERTIES = {
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
    "write.parquet.compression-codec": "zstd",
}
_TYPES: dict[str, IcebergType] = {
    "text": StringType(),
    "json": StringType(),
    "bigint": LongType(),
    "double": DoubleType(),
    "bool": BooleanType(),
    "timestamp": TimestamptzType(),
    "date": DateType(),
    "decimal": DecimalType(38, 9),
}
_SEARCHABLE = frozenset({"text", "bigint"})


class Iceberg:
    """Iceberg tables in a namespace that is called like the dataset."""

    name = "iceberg"

    def __init__(self, settings: Settings, store: Store) -> None:
        self._namespace = settings.dataset_name
        self._store = store
        self._catalog = _catalog(store, settings)

    def names(self) -> set[str]:
        """Every table in the namespace."""
        if not self._catalog.namespace_exists(self._namespace):
            return set()
        return {table for *_, table in self._catalog.list_tables(self._namespace)}

    def schemas(self) -> Mapping[str, TableSchema]:
        """Every table of ours."""
        found = {table: self.schema(table) for table in self.names()}
        return {table: schema for table, schema in found.items() if schema is not None}

    def schema(self, table: str) -> TableSchema | None:
        """One table as it is now."""
        try:
            text = self._open(table).properties.get(_OURS, "")
        except NoSuchTableError:
            return None
        return schema_of_text(text)

    def scan(self, table: str, columns: Sequence[str], workspace: str | None) -> Any:
        """Rows as a reader."""
        return (
            self._open(table)
            .scan(row_filter=_own(workspace), selected_fields=tuple(columns))
            .to_arrow_batch_reader()
        )

    def create(self, table: str, schema: TableSchema) -> None:
        """Make an empty table, and the namespace where it is not there."""
        self._catalog.create_namespace_if_not_exists(self._namespace)
        with _conflicts():
            self._catalog.create_table(
                (self._namespace, table),
                _arrow(schema),
                properties={**_PROPERTIES, _OURS: schema.text()},
            )

    def recreate(self, table: str, schema: TableSchema) -> None:
        """Drop it and make it again: a column that is never null cannot be added."""
        if self._open(table).current_snapshot() is not None:
            raise Conflict
        self._catalog.drop_table((self._namespace, table))
        self.create(table, schema)

    def add_columns(self, table: str, schema: TableSchema, names: Sequence[str]) -> None:
        """Give the table the columns `names` of `schema`."""
        with _conflicts(), self._open(table).transaction() as transaction:
            with transaction.update_schema() as update:
                for name in names:
                    update.add_column(name, _TYPES[schema.columns[name].data_type])
            transaction.set_properties({_OURS: schema.text()})

    def replace(self, table: str, schema: TableSchema, rows: StagedReader, workspace: str) -> None:
        """Delete and append in one transaction."""
        target = self._open(table)
        with _conflicts(), target.transaction() as transaction:
            if target.current_snapshot() is not None:
                keys = rows.keys().read_all()
                scope = _scope(keys, schema, workspace)
                kept = _kept(target, scope, keys, schema)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # it warns of every delete that finds nothing
                    transaction.delete(scope)
                if len(kept):
                    transaction.append(_reader(kept.to_batches(), schema))
            transaction.append(_reader(rows.rows(), schema))

    def rewrite(self, table: str, schema: TableSchema, batches: Iterable[pa.RecordBatch]) -> None:
        """Drop the columns that are no more, make those again whose type changed, and write all rows, in one
        transaction."""
        target = self._open(table)
        before = self.schema(table) or schema
        changed = [
            name
            for name, column in schema.columns.items()
            if name in before.columns and before.columns[name].data_type != column.data_type
        ]
        with _conflicts(), target.transaction() as transaction:
            with transaction.update_schema(allow_incompatible_changes=True) as update:
                for name in [*changed, *(n for n in before.columns if n not in schema.columns)]:
                    update.delete_column(name)
            with transaction.update_schema() as update:
                for name in changed:
                    update.add_column(name, _TYPES[schema.columns[name].data_type])
            transaction.set_properties({_OURS: schema.text()})
            transaction.overwrite(_reader(batches, schema))

    def tidy(self, table: str) -> None:
        """Nothing: pyiceberg cannot join files yet, and deletes old metadata by the table's properties."""

    def _open(self, table: str) -> Table:
        return self._catalog.load_table((self._namespace, table))


@contextlib.contextmanager
def _conflicts() -> Iterator[None]:
    try:
        yield
    except (CommitFailedException, TableAlreadyExistsError) as error:
        raise Conflict from error


def _catalog(store: Store, settings: Settings) -> Catalog:
    """The catalog that pyiceberg's own configuration names `oa_sync`, else a SQLite file in the folder.

    Raises:
        ConfigurationError: there is none, and the tables are not on a disk.
    """
    from pyiceberg.catalog import load_catalog
    from pyiceberg.utils.config import Config

    bucket = str(settings.bucket_url)
    if Config().get_catalog_config(CATALOG) is not None:
        return load_catalog(CATALOG, **{"warehouse": bucket, **_file_io(store)})
    if not store.is_local:
        raise ConfigurationError(
            f"destination iceberg in {store.shown}: a catalog is needed; name it {CATALOG!r} in"
            f" .pyiceberg.yaml, or set PYICEBERG_CATALOG__{CATALOG.upper()}__TYPE and …__URI"
        )
    root = Path(store.folder("x")).parents[1]
    root.mkdir(parents=True, exist_ok=True)
    return load_catalog(
        CATALOG, type="sql", uri=f"sqlite:///{root / CATALOG_FILE}", warehouse=root.as_uri()
    )


def _file_io(store: Store) -> dict[str, str]:
    from dlt.common.configuration.specs.mixins import WithPyicebergConfig

    credentials = store.configuration.credentials
    if not isinstance(credentials, WithPyicebergConfig):
        return {}
    found = credentials.to_pyiceberg_fileio_config()
    return {name: str(value) for name, value in found.items() if value is not None}


# -- which rows ---------------------------------------------------------------------------------


def _own(workspace: str | None) -> BooleanExpression:
    return AlwaysTrue() if workspace is None else EqualTo(WORKSPACE, workspace)  # type: ignore[arg-type, call-arg]


def _scope(keys: pa.Table, schema: TableSchema, workspace: str) -> BooleanExpression:
    """A condition that holds for every row with one of `keys`, and for few others."""
    for name in _first_searchable(schema):
        return And(_own(workspace), In(name, set(keys[name].to_pylist())))  # type: ignore[arg-type, call-arg]
    return _own(workspace)


def _kept(target: Table, scope: BooleanExpression, keys: pa.Table, schema: TableSchema) -> pa.Table:
    """The rows that `scope` holds for and whose key is not one of `keys`."""
    arrow = _arrow(schema)
    if set(schema.key) <= {WORKSPACE, *_first_searchable(schema)}:
        return arrow.empty_table()
    found = target.scan(row_filter=scope).to_arrow().select(arrow.names).cast(arrow)
    return found.join(keys, list(schema.key), join_type="left anti")


def _first_searchable(schema: TableSchema) -> list[str]:
    names = [n for n in schema.key if n != WORKSPACE and schema.columns[n].data_type in _SEARCHABLE]
    return names[:1]


# -- Arrow --------------------------------------------------------------------------------------


def _arrow(schema: TableSchema) -> pa.Schema:
    return pa.schema(
        [
            pa.field(
                name,
                ARROW_TYPES[column.data_type],
                nullable=name not in schema.key or schema.is_declared,
            )
            for name, column in schema.columns.items()
        ]
    )


def _reader(batches: Iterable[pa.RecordBatch], schema: TableSchema) -> pa.RecordBatchReader:
    arrow = _arrow(schema)
    return pa.RecordBatchReader.from_batches(arrow, (batch.cast(arrow) for batch in batches))
