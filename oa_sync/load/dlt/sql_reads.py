"""Reading back through a dlt SQL client, in SQL that every warehouse knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from oa_sync.extract.lists.changes import Known
from oa_sync.load.dlt.variants import LogicalColumns
from oa_sync.settings import Settings
from oa_sync.shape.learned import HINT
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.batches import DELETED_AT, WORKSPACE, LoadedColumn, TableHints
from oa_sync.tables.counts import Counts, count_columns, counts_of

if TYPE_CHECKING:
    from dlt.common.schema import Schema

KEYS_PER_QUERY = 500
ROWS_PER_FETCH = 50_000
_TIMES_AS_TEXTS = frozenset({"sqlalchemy", "clickhouse"})
_COMPARED = ("_oa_version", "_oa_row_hash", "_oa_detail_version", DELETED_AT)


class SqlReads(ABC):
    """The reading half of a target that dlt loads: a subclass has the schema and runs the queries."""

    _settings: Settings
    _schema: Schema
    _pending: dict[str, dict[str, dict[str, Any]]]
    """By table: columns that the next load will make (see `oa_sync.load.dlt.variants`)."""

    @abstractmethod
    def _query(self, sql: str, *parameters: Any, most: int | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query, at most `most` of them."""

    @abstractmethod
    def _chunks(self, sql: str, size: int) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a query, `size` at a time."""

    @abstractmethod
    def _qualified(self, table: str) -> str:
        """A table, quoted, with its dataset."""

    @abstractmethod
    def _quoted(self, names: Sequence[str]) -> str:
        """Columns, quoted, with commas."""

    def columns(self) -> list[LoadedColumn]:
        """Every column of every table of ours, as the destination's stored schema has it."""
        return [
            LoadedColumn(table, name, data_type, self._stored(table)[name].get(HINT))
            for table in self._schema.tables
            if not table.startswith("_dlt")
            for name, data_type in self._logical(table).types.items()
        ]

    def has_table(self, table: str) -> bool:
        """Whether `table` has ever been loaded into."""
        return bool(self._stored(table))

    def hints(self, table: str) -> TableHints:
        """How rows of `table` are loaded: its keys, and the type and path of each column."""
        stored = self._stored(table)
        keys = {
            kind: tuple(sorted((n for n, c in stored.items() if c.get(kind)), key=_workspace_first))
            for kind in ("primary_key", "merge_key")
        }
        columns = {
            name: {"data_type": data_type, **_paths(stored[name])}
            for name, data_type in self._logical(table).types.items()
        }
        return TableHints(table, **keys, columns=columns)

    def known(self, table: str, key_columns: Sequence[str]) -> dict[tuple[Any, ...], Known]:
        """What is loaded of this workspace in `table`, by the values of `key_columns`."""
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
        names = list(self._logical(table).types)
        also = f" AND {self._quoted([null])} IS NULL" if null is not None else ""
        found: list[dict[str, Any]] = []
        for condition, values in self._by_keys(key_columns, keys):
            rows = self._select(table, names, f" AND {condition}{also}", values)
            found.extend(dict(zip(names, row, strict=True)) for row in rows)
        return found

    def _by_keys(
        self, columns: Sequence[str], keys: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[str, list[Any]]]:
        """Conditions that together find the rows with `keys`, each with its parameters."""
        for start in range(0, len(keys), KEYS_PER_QUERY):
            part = keys[start : start + KEYS_PER_QUERY]
            if len(columns) == 1:
                marks = ", ".join(["%s"] * len(part))
                condition = f"{self._quoted(columns)} IN ({marks})"
            elif self._settings.destination == "duckdb":
                # Not all destinations know rows of values. DuckDB compares each row of the table with every other
                # form, which takes 40 times as long.
                one = "(" + ", ".join(["%s"] * len(columns)) + ")"
                condition = f"({self._quoted(columns)}) IN ({', '.join([one] * len(part))})"
            else:
                one = "(" + " AND ".join(f"{self._quoted([c])} = %s" for c in columns) + ")"
                condition = "(" + " OR ".join([one] * len(part)) + ")"
            yield condition, [self._parameter(value) for key in part for value in key]

    def distinct(self, table: str, column: str) -> set[Any]:
        """The values of `column` in this workspace's rows of `table`."""
        if not self._logical(table).is_plain(column):
            return {value for (value,) in self.select(table, [column])}
        return {value for (value,) in self._aggregate(table, f"DISTINCT {self._quoted([column])}")}

    def largest(self, table: str, column: str) -> Any:
        """The largest value of `column` in this workspace's rows of `table`; None: there is none."""
        if not self.has_table(table):
            return None
        if not self._logical(table).is_plain(column):
            values = [value for (value,) in self.select(table, [column]) if value is not None]
            return max(values, default=None)
        [(value,)] = self._aggregate(table, f"max({self._quoted([column])})")
        return value

    def select(
        self, table: str, columns: Sequence[str], *, null: str | None = None
    ) -> list[tuple[Any, ...]]:
        """`columns` of this workspace's rows of `table`; a column that it does not have is None. With
        `null`, only the rows in which that column is NULL."""
        rest = f" AND {self._quoted([null])} IS NULL" if null is not None else ""
        return self._select(table, columns, rest) if self.has_table(table) else []

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of `sql`, in the dialect of the destination."""
        return self._query(sql)

    def counts(self, table: str) -> Counts:
        """This workspace's rows in `table`, counted."""
        counted = count_columns(self._stored(table), lambda name: self._quoted([name]))
        [row] = self._aggregate(table, counted)
        return counts_of(row)

    def recent(
        self, table: str, columns: Sequence[str], by: str, count: int
    ) -> list[dict[str, Any]]:
        """The `count` rows of this workspace with the largest `by`, largest first."""
        if not self.has_table(table):
            return []
        # Not every warehouse knows LIMIT, so `most` bounds the fetch instead.
        rows = self._select(table, columns, f" ORDER BY {self._quoted([by])} DESC", most=count)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of `table`, of every workspace, with each column's type as field metadata."""
        logical = self._logical(table)
        names = list(logical.types)
        schema = pa.schema(
            [
                pa.field(name, ARROW_TYPES[kind], metadata={"data_type": kind})
                for name, kind in logical.types.items()
            ]
        )
        sql = f"SELECT {self._quoted(logical.read(names))} FROM {self._qualified(table)}"
        for chunk in self._chunks(sql, ROWS_PER_FETCH):
            columns = list(zip(*logical.rows(names, chunk), strict=True))
            arrays = [
                pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)
            ]
            yield pa.record_batch(arrays, schema=schema)

    def _select(
        self,
        table: str,
        columns: Sequence[str],
        rest: str = "",
        parameters: Sequence[Any] = (),
        most: int | None = None,
    ) -> list[tuple[Any, ...]]:
        logical = self._logical(table)
        read = logical.read(columns)
        if not read:
            return []
        rows = self._aggregate(table, self._quoted(read), rest, parameters, most)
        return list(logical.rows(columns, rows))

    def _aggregate(
        self,
        table: str,
        expression: str,
        rest: str = "",
        parameters: Sequence[Any] = (),
        most: int | None = None,
    ) -> list[tuple[Any, ...]]:
        """`expression` over this workspace's rows; no rows if there is no such table."""
        if not self.has_table(table):
            return []
        return self._query(
            f"SELECT {expression} FROM {self._qualified(table)}"
            f" WHERE {self._quoted([WORKSPACE])} = %s{rest}",
            self._settings.workspace,
            *parameters,
            most=most,
        )

    def _parameter(self, value: Any) -> Any:
        """`value` as it is compared in a query. SQLAlchemy stores times as texts in SQLite: in UTC, without a
        zone, and always with six digits after the second. ClickHouse's driver would leave out these digits."""
        if isinstance(value, datetime) and self._settings.destination in _TIMES_AS_TEXTS:
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        return value

    def _stored(self, table: str) -> Mapping[str, Mapping[str, Any]]:
        """Our columns in dlt's schema, without dlt's own and the variants that dlt made itself."""
        columns: Mapping[str, Any] = self._schema.tables.get(table, {}).get("columns", {})
        return {
            name: column
            for name, column in columns.items()
            if "data_type" in column and not name.startswith("_dlt") and not column.get("variant")
        }

    def _logical(self, table: str) -> LogicalColumns:
        return LogicalColumns(self._stored(table), self._pending.get(table))


def _workspace_first(name: str) -> bool:
    return name != WORKSPACE


def _paths(column: Mapping[str, Any]) -> dict[str, Any]:
    return {HINT: column[HINT]} if HINT in column else {}
