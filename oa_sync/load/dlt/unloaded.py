"""Tables that are there before their first row, for those who read them (see `oa_sync.tables.target.Target.declare`).

dlt's schema, from which we read what is loaded, knows nothing of them: they are in one of their own. When their
first rows come, they are dropped, so that dlt makes them as if there were none: it adds columns to a table, but
neither changes a type nor adds a column that is never null.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from oa_sync.tables.batches import WORKSPACE, Batch
from oa_sync.tables.false_marks import has_false_marks

if TYPE_CHECKING:
    import dlt

_Columns = Mapping[str, bool]
"""Columns, in small letters, and whether each may be null."""


class UnloadedTables:
    """The tables without a row in the dataset of `pipeline`, whose schema of all others is `loaded`."""

    def __init__(self, pipeline: dlt.Pipeline, loaded: str) -> None:
        self._pipeline, self._loaded = pipeline, loaded

    def make(self, batches: Iterable[Batch]) -> None:
        """Make the tables of `batches` that are not there, and again those that lack a column, or have one that
        earlier versions made (see `oa_sync.tables.false_marks`)."""
        tables = {batch.hints.name: _described(batch) for batch in batches}
        with self._pipeline.destination_client(self._loaded) as client:
            if not client.is_storage_initialized():
                client.initialize_storage()
            found = _found(client, tables)
            lacking = {
                name: columns
                for name, columns in found.items()
                if not {column.lower() for column in tables[name]["columns"]} <= columns.keys()
                or has_false_marks(columns)
            }
            dropped = _dropped(client, lacking)
        if new := [table for name, table in tables.items() if name not in found or name in dropped]:
            self._create(new)

    def drop(self, names: Collection[str]) -> None:
        """Drop those of `names` that `make` has made: their first rows come."""
        if names:
            with self._pipeline.destination_client(self._loaded) as client:
                if client.is_storage_initialized():
                    _dropped(client, _found(client, names))

    def _create(self, tables: Iterable[Any]) -> None:
        from dlt.common.schema import Schema

        schema = Schema(f"{self._loaded}_unloaded")
        names = [schema.version_table_name]
        for table in tables:
            schema.update_table(table)
            names.append(table["name"])
        schema = Schema.from_stored_schema(
            schema.to_dict()
        )  # dlt writes no schema that was changed
        with self._pipeline._get_destination_clients(schema)[0] as client:
            client.update_stored_schema(only_tables=names, force=True)


def _found(client: Any, names: Iterable[str]) -> dict[str, _Columns]:
    """Those of `names` that are there, whatever dlt's schema says."""
    return {
        name: {column.lower(): bool(c.get("nullable", True)) for column, c in columns.items()}
        for name, columns in client.get_storage_tables(sorted(names))
        if columns
    }


def _dropped(client: Any, tables: Mapping[str, _Columns]) -> list[str]:
    """Drop those of `tables` that `make` has made and that have no row; returns their names. In a table that a
    load has made, the workspace is never null."""
    dropped = []
    for name in (name for name, columns in tables.items() if columns.get(WORKSPACE)):
        table = client.sql_client.make_qualified_table_name(name)
        with client.sql_client.execute_query(f"SELECT count(*) FROM {table}") as cursor:
            [(count,)] = cursor.fetchall()
        if not count:
            client.sql_client.execute_sql(f"DROP TABLE {table}")
            dropped.append(name)
    return dropped


def _described(batch: Batch) -> Any:
    """dlt's description of the table of `batch`: columns alone."""
    from dlt.common.libs.pyarrow import py_arrow_to_table_schema_columns
    from dlt.common.schema.utils import new_table

    columns = py_arrow_to_table_schema_columns(batch.rows.schema)
    for name, hints in batch.hints.columns.items():
        if hints.get("data_type") == "json":
            columns[name] = {"name": name, "data_type": "json", "nullable": True}
    return new_table(batch.hints.name, columns=list(columns.values()))
