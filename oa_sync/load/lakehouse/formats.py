"""What a table format has to do for a lakehouse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from oa_sync.load.staging import StagedReader
from oa_sync.load.table_schema import TableSchema


class Conflict(Exception):
    """Another writer committed first: read the table again and repeat."""


class TableFormat(Protocol):
    """The tables of one dataset. Each writing method is one commit, or raises `Conflict`."""

    name: str
    """What the format is called."""

    def names(self) -> set[str]:
        """The names that are taken in the dataset, by tables of ours or of others."""

    def schemas(self) -> Mapping[str, TableSchema]:
        """Every table of ours."""

    def schema(self, table: str) -> TableSchema | None:
        """One table as it is now; None: there is no such table of ours."""

    def scan(self, table: str, columns: Sequence[str], workspace: str | None) -> Any:
        """Rows as something that DuckDB can read once; of one workspace, or all (None)."""

    def create(self, table: str, schema: TableSchema) -> None:
        """Make an empty table."""

    def recreate(self, table: str, schema: TableSchema) -> None:
        """Give a table that has no rows the columns of `schema` in the place of its own. If it has rows, raise
        `Conflict`."""

    def add_columns(self, table: str, schema: TableSchema, names: Sequence[str]) -> None:
        """Give the table the columns `names` of `schema`."""

    def replace(self, table: str, schema: TableSchema, rows: StagedReader, workspace: str) -> None:
        """Remove the rows that have one of the staged keys, and add the staged rows."""

    def rewrite(self, table: str, schema: TableSchema, batches: Iterable[pa.RecordBatch]) -> None:
        """Put `batches`, with the columns of `schema`, in the place of everything."""

    def tidy(self, table: str) -> None:
        """Join small files where the format can; once a sync."""
