"""The rows of an exported file (Parquet, CSV or JSON), which can be read more than once.

DuckDB reads Parquet and CSV, streaming and in bounded memory, and writes each row as JSON. So an export
is shaped like everything else that the API sends: the same names, child tables and learned types. Types
that the file itself knows are passed on as declared types.

CSV knows none. A column gets a type only if *every* value of the file fits it and comes back unchanged:
`01234` stays text, where the inference of DuckDB and of Arrow would make 1234 of it.
"""

from __future__ import annotations

import logging
import mmap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa

from oa_sync.errors import InvalidResponseError
from oa_sync.shape.body import Body
from oa_sync.shape.cutting.spans import Rows, trimmed
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.json_text import decode
from oa_sync.shape.naming import Path
from oa_sync.shape.result import JsonResult, json_rows

logger = logging.getLogger(__name__)

_BATCH_ROWS = 16_384
_BLOCK_BYTES = 4 << 20
_FIRST_LINE = 64 << 20
_LISTS = ((), ("data",), ("rows",), ("data", "rows"))

_TEXTS = ("VARCHAR", "UUID", "ENUM", "TIME", "INTERVAL", "BIT")
_NESTED = ("STRUCT", "MAP", "UNION", "JSON", "VARIANT")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")


@dataclass(frozen=True, eq=False)
class ExportFile:
    """Rows and what the file says of their types, as dlt data types by path."""

    source: JsonResult | _File | _Lines
    types: Mapping[Path, str] = field(default_factory=dict)

    def blocks(self) -> Iterator[Rows]:
        """All rows, some megabytes at a time; may be called again.

        Raises:
            InvalidResponseError: the file is broken.
        """
        yield from self.source.blocks()


def export_rows(path: File, form: Literal["parquet", "csv", "json"]) -> ExportFile:
    """The rows of the file at `path`; it is read here only as far as is needed to know the types.

    Raises:
        InvalidResponseError: the file is not of that form.
    """
    try:
        if form == "json":
            return _json(path)
        return _parquet(path) if form == "parquet" else _csv(path)
    except InvalidJsonError as error:
        raise InvalidResponseError(f"the export is {error}; run again") from None


# --- JSON -------------------------------------------------------------------------------------


def _json(path: File) -> ExportFile:
    """One document with a list of rows, or (JSON Lines) one row a line."""
    with path.open("rb") as file:
        body: Body = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    if _is_lines(body):
        return ExportFile(_Lines(body))
    rows = json_rows(body, _LISTS)
    if rows.path is None:
        raise InvalidResponseError("the export is JSON without a list of rows; tell the vendor")
    return ExportFile(rows)


def _is_lines(body: Body) -> bool:
    """Whether the first line is an object by itself, and not the only one."""
    first, newline, rest = bytes(body[:_FIRST_LINE]).lstrip(b"\xef\xbb\xbf \t\r\n").partition(b"\n")
    if not first.startswith(b"{") or not newline or not rest.strip():
        return False
    try:
        decode(first)
    except InvalidJsonError:
        return False
    return True


class _Lines:
    """JSON Lines; empty lines are skipped."""

    def __init__(self, body: Body) -> None:
        self._body = body

    def blocks(self) -> Iterator[Rows]:
        begin = 3 if bytes(self._body[:3]) == b"\xef\xbb\xbf" else 0
        while begin < len(self._body):
            size = _BLOCK_BYTES
            while True:
                block = bytes(self._body[begin : begin + size])
                whole = begin + len(block) == len(self._body)
                end = len(block) if whole else block.rfind(b"\n") + 1
                if end:
                    break
                size *= 2
            yield _lines(block[:end], begin)
            begin += end


def _lines(block: bytes, base: int) -> Rows:
    data = np.frombuffer(block, np.uint8)
    breaks = np.flatnonzero(data == ord("\n"))
    starts = np.concatenate(([0], breaks + 1)).astype(np.int64)
    ends = np.concatenate((breaks, [len(block)])).astype(np.int64)
    starts, ends = trimmed(data, starts, ends)
    filled = ends > starts
    return Rows(block, starts[filled], ends[filled], base)


# --- Parquet and CSV --------------------------------------------------------------------------


class _File:
    """The columns `expressions` (SQL by name) of the relation `relation` as JSON objects."""

    def __init__(self, relation: str, expressions: Mapping[str, str]) -> None:
        self._relation = relation
        members = (f"{_literal(name)}, {sql}" for name, sql in expressions.items())
        # The line break separates the rows in Arrow's buffer, as a comma does in a list.
        self._row = f"CAST(json_object({', '.join(members)}) AS VARCHAR) || chr(10)"

    def blocks(self) -> Iterator[Rows]:
        with _duckdb() as connection:
            found = connection.sql(f"SELECT {self._row} AS row FROM {self._relation}")
            with found.to_arrow_reader(_BATCH_ROWS) as reader:
                for batch in reader:
                    if batch.num_rows:
                        yield _rows(batch.column(0).cast(pa.string()))


def _rows(texts: Any) -> Rows:
    """An Arrow string array, each text with a line break at its end, as rows."""
    _, offsets, data = texts.buffers()
    at = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    ends = at[1:].astype(np.int64) - 1
    return Rows(memoryview(data), at[:-1].astype(np.int64), ends)


def _parquet(path: File) -> ExportFile:
    relation = f"read_parquet({_literal(str(path))})"
    expressions: dict[str, str] = {}
    types: dict[Path, str] = {}
    floats: list[str] = []
    with _duckdb() as connection:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        for name, kind, *_ in described:
            expressions[name], data_type = _column(_identifier(name), kind)
            if data_type:
                types[(name,)] = data_type
            if kind in ("FLOAT", "DOUBLE"):
                floats.append(name)
        _warn_of_lost_numbers(connection, relation, floats)
    return ExportFile(_File(relation, expressions), types)


def _column(column: str, kind: str) -> tuple[str, str | None]:
    """SQL that gives exact JSON, and the dlt data type (None: learned from the rows)."""
    base = kind.split("(")[0]
    if kind.endswith("]") or base in _NESTED or base.lstrip("U") in _INTEGERS or base == "BOOLEAN":
        return column, None
    if base in ("FLOAT", "DOUBLE"):
        return f"CASE WHEN isfinite({column}) THEN CAST({column} AS DOUBLE) END", "double"
    if base == "DECIMAL":
        precision, scale = (int(part) for part in kind[8:-1].split(","))
        return column, "decimal" if scale <= 9 and precision - scale <= 29 else None
    if base == "BLOB":
        return f"base64({column})", "text"
    text = f"CAST({column} AS VARCHAR)"
    if base == "DATE":
        return text, "date"
    return text, "timestamp" if base.startswith("TIMESTAMP") else "text"


def _warn_of_lost_numbers(connection: Any, relation: str, floats: list[str]) -> None:
    """JSON has no NaN and no infinity: they become NULL, with a warning."""
    if not floats:
        return
    counts = ", ".join(f"count_if(NOT isfinite({_identifier(name)}))" for name in floats)
    [found] = connection.execute(f"SELECT {counts} FROM {relation}").fetchall()
    for name, count in zip(floats, found, strict=True):
        if count:
            logger.warning("%s: %s values that are NaN or infinite become NULL", name, f"{count:,}")


_CSV_TYPES = {
    "bigint": "regexp_full_match({c}, '0|-?[1-9][0-9]{{0,18}}')"
    " AND TRY_CAST({c} AS BIGINT) IS NOT NULL",
    "double": "regexp_full_match({c}, '-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]+)?')"
    " AND isfinite(TRY_CAST({c} AS DOUBLE))"
    " AND (length(regexp_replace(split_part(lower({c}), 'e', 1), '[^0-9]', '', 'g')) <= 15"
    " OR CAST(TRY_CAST({c} AS DOUBLE) AS VARCHAR) = {c})",
    "bool": "{c} IN ('true', 'false')",
    "date": "regexp_full_match({c}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}')"
    " AND TRY_CAST({c} AS DATE) IS NOT NULL",
    "timestamp": "regexp_full_match({c}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ][0-9]{{2}}:[0-9]{{2}}"
    ":[0-9]{{2}}([.][0-9]{{1,6}})?(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)?')"
    " AND TRY_CAST({c} AS TIMESTAMPTZ) IS NOT NULL",
}
"""SQL tests: a value is of the type and comes back from it unchanged; narrower types first."""

_TOGETHER = 50
"""Columns that one query tests. DuckDB plans a query in more than linear time: 400 columns together take six
times as long as 100."""

_CSV_CASTS = {"bigint": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN"}


def _csv(path: File) -> ExportFile:
    relation = (
        f"read_csv({_literal(str(path))}, all_varchar = true, header = true, delim = ',',"
        " quote = '\"', escape = '\"', allow_quoted_nulls = false, max_line_size = 33554432)"
    )
    with _duckdb() as connection:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        names = [name for name, *_ in described]
        if len(names) > _TOGETHER:  # a text is read whole for each query, a table by its columns
            connection.execute(f"CREATE TEMP TABLE wide AS SELECT * FROM {relation}")
        found: list[bool] = []
        for start in range(0, len(names), _TOGETHER):
            some = names[start : start + _TOGETHER]
            tests = [
                f"count({c}) > 0 AND count_if({c} IS NOT NULL AND NOT {test.format(c=c)}) = 0"
                for c in map(_identifier, some)
                for test in (f"coalesce({test}, false)" for test in _CSV_TYPES.values())
            ]
            source = "wide" if len(names) > _TOGETHER else relation
            [held] = connection.execute(f"SELECT {', '.join(tests)} FROM {source}").fetchall()
            found += held
    expressions: dict[str, str] = {}
    types: dict[Path, str] = {}
    for number, name in enumerate(names):
        own = found[number * len(_CSV_TYPES) : (number + 1) * len(_CSV_TYPES)]
        data_type = next((t for t, holds in zip(_CSV_TYPES, own, strict=True) if holds), "text")
        column = _identifier(name)
        cast = _CSV_CASTS.get(data_type)
        expressions[name] = f"CAST({column} AS {cast})" if cast else column
        types[(name,)] = data_type
    return ExportFile(_File(relation, expressions), types)


@contextmanager
def _duckdb() -> Iterator[Any]:
    """A small DuckDB; its errors about a broken file become ours.

    Raises:
        InvalidResponseError: for any error of DuckDB.
    """
    try:
        with duckdb.connect(":memory:", config={"memory_limit": "1GB", "threads": "2"}) as found:
            found.execute("SET TimeZone = 'UTC'")
            yield found
    except duckdb.Error as error:
        text = " ".join(str(error).split())[:300]
        raise InvalidResponseError(
            f"the export cannot be read: {text}; run again, or choose another --format"
        ) from None


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
