"""Arrow to COPY and COPY to Arrow, and what PostgreSQL cannot store."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
from psycopg import sql

from oa_sync.load.table_schema import TableSchema

REPLACEMENT = "\ufffd"

_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair that is one character
    r"|(\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))"
    r"|\\."
)
_END_OF_DATA = ("\n\\.", "\r\\.")
_MAX_EXPONENT = 100_000
"""Largest power of ten in a `numeric`: PostgreSQL takes 131,072 digits before the decimal point."""
_MAX_DEPTH = 500
_BLOCK_BYTES = 64 << 20
"""Block size for reading back. Each row has to fit into one block."""
_CSV = csv.WriteOptions(include_header=False, quoting_style="needed")


def copy_in(
    connection: psycopg.Connection[Any],
    target: sql.Composed,
    batches: Iterable[pa.RecordBatch],
    schema: TableSchema,
    *,
    careful: bool = False,
) -> None:
    """COPY `batches` into `target` (table and columns, quoted), whose columns are those of `schema`.

    With `careful`, a JSON value that `jsonb` cannot hold (a number of 200,000 digits, a thousand
    brackets) is stored as a string of its text; that costs a look at each value.
    """
    as_csv = sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(target)
    as_text = sql.SQL("COPY {} FROM STDIN").format(target)
    with connection.cursor() as cursor:
        for arriving in batches:
            batch = _storable(arriving, schema, careful)
            if _looks_like_the_end(batch):
                with cursor.copy(as_text) as copy:
                    for row in batch.to_pylist():
                        copy.write_row(list(row.values()))
            else:
                with cursor.copy(as_csv) as copy:
                    copy.write(_csv_of(batch))


def _looks_like_the_end(batch: pa.RecordBatch) -> bool:
    """Whether the batch cannot be sent as CSV: before version 18, PostgreSQL takes a line `\\.` for the
    end of the data, even inside quotes."""
    return any(
        _any_contains(column, mark)
        for column in batch.columns
        if pa.types.is_string(column.type)
        for mark in _END_OF_DATA
    )


def _csv_of(batch: pa.RecordBatch) -> memoryview:
    sink = pa.BufferOutputStream()
    csv.write_csv(batch, sink, _CSV)
    return memoryview(sink.getvalue())


# -- what cannot be stored ----------------------------------------------------------------------


def _storable(batch: pa.RecordBatch, schema: TableSchema, careful: bool) -> pa.RecordBatch:
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if schema.columns[field.name].data_type == "json":
            column = storable_json(column)
            if careful:
                column = pa.array([_within_limits(text) for text in column.to_pylist()])
        elif pa.types.is_string(column.type):
            column = storable_text(column)
        columns.append(column)
    return pa.record_batch(columns, batch.schema.names)


def storable_text(column: Any) -> Any:
    """Texts with U+FFFD for NUL, which no text of PostgreSQL can hold."""
    if not _any_contains(column, "\0"):
        return column
    return pc.replace_substring(column, "\0", REPLACEMENT)


def storable_json(column: Any) -> Any:
    r"""JSON texts with U+FFFD for `\u0000` and for half a surrogate pair, which `jsonb` refuses."""
    if not _any_contains(column, "\\u"):
        return column
    return pa.array(
        [
            text if text is None or "\\u" not in text else _ESCAPE.sub(_replaced, text)
            for text in column.to_pylist()
        ],
        pa.string(),
    )


def _replaced(escape: re.Match[str]) -> str:
    return REPLACEMENT if escape[1] else escape[0]


def _within_limits(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        json.loads(text, parse_float=_checked_number, parse_int=_checked_number)
    except (ValueError, RecursionError):
        return json.dumps(text)
    return json.dumps(text) if _depth(text) > _MAX_DEPTH else text


def _checked_number(text: str) -> float:
    mantissa, _, exponent = text.lower().partition("e")
    if len(mantissa) > _MAX_EXPONENT or abs(int(exponent or 0)) > _MAX_EXPONENT:
        raise ValueError("out of range")
    return 0.0


def _depth(text: str) -> int:
    """How deep brackets are nested. An estimate: brackets inside strings count too."""
    deepest = depth = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _any_contains(column: Any, part: str) -> bool:
    return bool(pc.any(pc.match_substring(column, part)).as_py())


# -- reading ------------------------------------------------------------------------------------


def copy_out(
    connection: psycopg.Connection[Any], query: sql.Composed, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The result of `query`, whose columns are those of `schema`; JSON as text."""
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        stream = io.BufferedReader(_Stream(copy), 1 << 20)
        first = stream.peek(1)
        if not first:
            return
        reader = csv.open_csv(
            stream,
            csv.ReadOptions(column_names=schema.names, block_size=_BLOCK_BYTES),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                column_types={field.name: field.type for field in schema},
                true_values=["t"],
                false_values=["f"],
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        for batch in reader:
            yield batch.cast(schema)


class _Stream(io.RawIOBase):
    """The blocks of a COPY as a file."""

    def __init__(self, copy: psycopg.Copy) -> None:
        self._copy = copy
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(bytes(self._copy.read()))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
