"""What tables need of a destination, whichever it is (see `oa_sync.load.opening`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa

from oa_sync.extract.lists.changes import Known
from oa_sync.tables.batches import Batch, LoadedColumn, TableHints
from oa_sync.tables.counts import Counts


class Target(Protocol):
    """One workspace's tables in one place. A context manager, for one thread.

    Every method raises `DestinationError` if the destination does not answer as it must.
    """

    def __enter__(self) -> Self:
        """Open it."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it; may be called without having been opened."""

    def held_open(self) -> AbstractContextManager[None]:
        """For several steps in a row that wait for nothing in between: a destination that is otherwise opened
        for each step is opened once."""

    def columns(self) -> list[LoadedColumn]:
        """Every column of every table of ours."""

    def has_table(self, table: str) -> bool:
        """Whether rows have ever been loaded into `table`; it may be there for those who read it (`declare`)."""

    def hints(self, table: str) -> TableHints:
        """How rows of `table` are loaded: its keys, and the type and path of each column."""

    def known(self, table: str, key_columns: Sequence[str]) -> Mapping[tuple[Any, ...], Known]:
        """What is loaded of this workspace in `table`, by the values of `key_columns`."""

    def current_rows(
        self,
        table: str,
        key_columns: Sequence[str],
        keys: Sequence[tuple[Any, ...]],
        *,
        null: str | None = None,
    ) -> list[dict[str, Any]]:
        """This workspace's loaded rows with `keys`, whole; JSON columns as text. With `null`, only the
        rows in which that column is NULL."""

    def distinct(self, table: str, column: str) -> set[Any]:
        """The values of `column` in this workspace's rows of `table`."""

    def largest(self, table: str, column: str) -> Any:
        """The largest value of `column` in this workspace's rows of `table`; None: there is none."""

    def select(
        self, table: str, columns: Sequence[str], *, null: str | None = None
    ) -> list[tuple[Any, ...]]:
        """`columns` of this workspace's rows of `table`; a column that it does not have is None. With
        `null`, only the rows in which that column is NULL."""

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query that a person wrote; it can name our tables without a schema."""

    def batches(self, table: str) -> Iterator[pa.RecordBatch]:
        """All rows of `table`, of every workspace."""

    def counts(self, table: str) -> Counts:
        """This workspace's rows in `table`, counted."""

    def recent(
        self, table: str, columns: Sequence[str], by: str, count: int
    ) -> list[dict[str, Any]]:
        """The `count` rows of this workspace with the largest `by`, largest first; columns that the
        table does not have are None."""

    def load(self, batches: Iterable[Batch]) -> dict[str, int]:
        """Merge `batches` as one package; returns the rows written by table. Safe to repeat."""

    def declare(self, batches: Iterable[Batch]) -> None:
        """Make the tables of `batches`, which have no rows, for those who read them. Nothing may have been
        loaded into them yet.

        For everything else they are not there: the first load makes the table as if there were none, with its
        own columns and types. Tables that have these columns already stay as they are.
        """

    @property
    def widens_keys(self) -> bool:
        """Whether `widen` can change a column by which rows are merged."""

    def widen(self, table: str, column: str, data_type: str) -> None:
        """Change the type of a loaded column to a wider one, keeping its values."""

    def drop_column(self, table: str, column: str) -> None:
        """Remove a loaded column, with its values, which is no part of a key. May be repeated."""

    def require(self, tables: Collection[str]) -> None:
        """Make sure, without changing a table, that rows may be written, and that those of `tables` that are
        there are ours. It is asked before the first request of every sync, so it is cheap.

        Raises:
            UnusableDestinationError: a right is missing, or tables are somebody else's.
        """

    def probe(self) -> str:
        """Try what a load needs, and remove the traces. Returns one line: where this is, that it can be
        written, and how rows are merged."""
