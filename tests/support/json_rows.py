"""Batches of untidy JSON rows, and what a test needs to compare tables with them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from oa_sync.shape.exact import exact_parts
from oa_sync.shape.json_text import mended_lines
from oa_sync.shape.learned import LearnedSchema
from oa_sync.shape.naming import ELEMENT
from oa_sync.shape.shaper import Shaper
from oa_sync.shape.spec import ChildSpec, TableSpec
from oa_sync.shape.tables import assemble

Concrete = tuple[str | int, ...]

KEYS = [
    "a", "b", "c", "A", "fooBar", "foo_bar", "x", "y", "x__y", "id", "n", "position", "value",
    "_dlt_id", "_oa_version", "created_at", "", "é", "ключ", "two words", "items", "k" * 130, "[]",
]  # fmt: skip
STRINGS = [
    "", "text", "2024-01-31T10:00:00Z", "2024-01-31 10:00:00.25+02:00", "2024-01-31", "1", "é\u0000",
    "😀", "\ud800", '"quoted\\', "line\nbreak", "{}", "[1",
]  # fmt: skip
INTEGERS = [0, 1, -7, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63, 2**70]
FLOATS = [0.5, -1.25, 1e300, 9007199254740993.0, 1e-9]

keys = st.sampled_from(KEYS)
scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from(INTEGERS)
    | st.sampled_from(FLOATS)
    | st.sampled_from(STRINGS)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(st.dictionaries(keys, inner, max_size=3), max_size=3)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)
rows = st.dictionaries(keys, values, max_size=6)
flat_rows = st.dictionaries(keys, scalars, max_size=6)


def batches(row: st.SearchStrategy[Any]) -> st.SearchStrategy[list[list[Any]]]:
    """Some batches of some rows each."""
    return st.lists(st.lists(row, min_size=1, max_size=6), min_size=1, max_size=4)


SPEC = TableSpec(
    "things",
    key=("n",),
    columns={("declared",): "json", ("x", "y"): "timestamp"},
    children={
        ("items",): ChildSpec(
            "thing_items", ("thing_n",), children={("a",): ChildSpec("thing_item_as")}
        )
    },
    constants={"_oa_workspace": "default"},
)
"""Rows are told apart by `n`, a column from outside."""


def ndjson(batch: list[Any]) -> bytes:
    """One row a line; ASCII where a row has half a surrogate pair, as nothing else can hold it."""
    return b"".join(_line(row) + b"\n" for row in batch)


def _line(row: Any) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(row).encode()


def numbered(batch: list[Any], first: int = 0) -> dict[str, Any]:
    """The extras of a batch: `n`, counted from `first`."""
    return {"n": pa.array(range(first, first + len(batch)), pa.int64())}


def exact_tables(shaper: Shaper, batch: bytes, extras: Mapping[str, Any]) -> dict[str, Any]:
    """What the exact pass makes of a batch that `shaper` has already shaped."""
    schema = shaper._schema
    batch, _ = mended_lines(batch)
    return assemble(exact_parts(batch.split(b"\n")[:-1], schema), schema, extras)


def leaves(value: Any, path: Concrete = ()) -> Iterator[tuple[Concrete, Any]]:
    """Every scalar in `value` that is not null, with the keys and indices that lead to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    elif value is not None:
        yield path, value


class Cells:
    """The cells of a batch's tables, found again by the place in the row they came from."""

    def __init__(self, tables: Mapping[str, Any], learned: LearnedSchema) -> None:
        self._cells: dict[tuple[int, Concrete], tuple[Any, str]] = {}
        for name, table in tables.items():
            keys = [c for c in table.column_names if c in ("n", "thing_n") or "position" in c]
            keys = keys[: 1 + _depth(name, learned)]
            for row in table.to_pylist():
                number, *positions = (row[key] for key in keys)
                for column in learned.columns(name):
                    if column.kind != "position" and row.get(column.name) is not None:
                        place = _concrete(column.path, positions)
                        self._cells[number, place] = (row[column.name], column.data_type)

    def hold(self, number: int, path: Concrete, leaf: Any) -> bool:
        """Whether a cell of row `number` holds `leaf`, by itself or inside its JSON text."""
        for length in range(len(path) + 1):
            cell = self._cells.get((number, path[:length]))
            if cell is not None and _holds(*cell, path[length:], leaf):
                return True
        return False


def _depth(table: str, learned: LearnedSchema) -> int:
    own = [c.path for c in learned.columns(table) if c.kind == "position"]
    return own[0].count(ELEMENT) + 1 if own else 0


def _concrete(path: tuple[str, ...], positions: list[int]) -> Concrete:
    rest = iter(positions)
    depth = len(positions)
    # "[]" is also a legal key: only as many marks as there are positions stand for elements.
    marks = [place for place, part in enumerate(path) if part == ELEMENT and place > 0][:depth]
    return tuple(next(rest) if place in marks else part for place, part in enumerate(path))


def _holds(cell: Any, data_type: str, rest: Concrete, leaf: Any) -> bool:
    if isinstance(leaf, str):
        leaf = leaf.replace("\ud800", "\ufffd")
    if data_type == "json":
        value = json.loads(cell)
        for step in rest:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return False
        return type(value) is type(leaf) and bool(value == leaf)
    if rest:
        return False
    if isinstance(cell, dt.datetime):
        read = dt.datetime.fromisoformat(leaf)
        return cell == (read if read.tzinfo else read.replace(tzinfo=dt.UTC))
    if isinstance(leaf, bool) or isinstance(cell, bool):
        return cell is leaf
    return bool(cell == leaf)
