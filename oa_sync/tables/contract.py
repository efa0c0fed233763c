"""What the tables of a resource may become: `schema_contract` of the definition, with dlt's meaning.

| | a change is |
|---|---|
| `tables` | a table that is neither loaded nor declared (an undeclared list of objects) |
| `columns` | a column that its table does not have |
| `data_type` | values that do not fit the type of their column |

`evolve` makes the change. `freeze` ends the loading of the resource for this sync. `discard_value` leaves
out the values, `discard_row` their rows. If a row of the resource itself is left out, so are its child
rows, but not the rows of a report: they are emitted before the row is shaped. As in dlt, a resource that
was never loaded is free.
"""

from __future__ import annotations

import contextlib
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from oa_sync.definitions.model import Resource
from oa_sync.definitions.paths import parse_path
from oa_sync.errors import SchemaContractError
from oa_sync.extract.lists.changes import identity
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.json_text import decode
from oa_sync.shape.shaper import Drift
from oa_sync.shape.tables import ARROW_TYPES
from oa_sync.tables.target import Target

_INT64 = range(-(2**63), 2**63)


class Contract:
    """Of one resource, or of none: then everything evolves. Remembers for this sync what it discards."""

    def __init__(self, target: Target, resource: Resource | None = None) -> None:
        self._target = target
        self._name = resource.name if resource else ""
        self._modes = dict(resource.schema_contract or {}) if resource else {}
        self._declared = set(resource.tables()) if resource else set()
        self._key = {parse_path(path) for path in identity(resource)} if resource else set()
        self._new: set[str] = set()
        self._without: dict[tuple[str, str], str] = {}
        self._narrow: dict[tuple[str, str], tuple[str, str]] = {}
        self._left_out: set[str] = set()

    def judge(self, change: Drift) -> str | None:
        """None if `change` is to be made; else the mode by which its values are discarded.

        Raises:
            SchemaContractError: it is frozen.
        """
        entity = self._entity(change)
        mode = self._modes.get(entity, "evolve") if entity else "evolve"
        place = (change.table, change.column)
        if mode == "freeze":
            raise SchemaContractError(_frozen(self._name, str(entity), change))
        if mode == "evolve":
            return None
        if mode == "discard_value" and change.path in self._key:
            mode = "discard_row"  # without its key, no row can be loaded
        if entity == "tables":
            self._left_out.add(change.table)
        elif change.before is None:
            self._without[place] = mode
        else:
            self._narrow[place] = (change.before, mode)
        return mode

    def _entity(self, change: Drift) -> Any:
        """What kind of change it is; None if no contract covers it: its table is new."""
        if change.before is not None:
            return "data_type"
        if change.table in self._left_out:
            return "tables"
        if change.table in self._new:
            return None
        if self._target.has_table(change.table):
            return "columns"
        if change.table in self._declared:
            self._new.add(change.table)
            return None
        if self._modes.get("tables", "evolve") == "evolve":
            self._new.add(change.table)
        return "tables"

    def leaves_out(self, table: str, column: str) -> bool:
        """Whether this column is not written."""
        return (table, column) in self._without

    def type_of(self, table: str, column: str, data_type: str) -> str:
        """The type in which the column is written, if its values need `data_type`."""
        return self._narrow.get((table, column), (data_type, ""))[0]

    def conforming(self, name: str, rows: pa.Table) -> pa.Table | None:
        """Which `rows` of the table `name` the contract accepts, as a mask; None: all of them."""
        mask = None
        for place, mode in self._without.items():
            if mode == "discard_row" and place[0] == name and place[1] in rows.column_names:
                mask = _both(mask, pc.is_null(rows[place[1]]))
        for place, (before, mode) in self._narrow.items():
            if mode == "discard_row" and place[0] == name and place[1] in rows.column_names:
                values = rows[place[1]]
                fits = pc.or_(pc.is_null(values), pc.is_valid(narrowed(values, before)))
                mask = _both(mask, fits)
        return None if mask is None or pc.all(mask).as_py() else mask

    def apply(self, name: str, rows: pa.Table) -> pa.Table:
        """`rows` of the table `name`, as they were shaped, without what the contract discards."""
        if name in self._left_out:
            return rows.slice(0, 0)
        mask = self.conforming(name, rows)
        if mask is not None:
            rows = rows.filter(mask)
        for table, column in self._without:
            if table == name and column in rows.column_names:
                rows = rows.drop_columns([column])
        for (table, column), (before, _) in self._narrow.items():
            index = rows.schema.get_field_index(column) if table == name else -1
            if index >= 0:
                rows = rows.set_column(index, column, narrowed(rows[column], before))
        return rows


def narrowed(values: Any, data_type: str) -> Any:
    """`values` of a wider type as an array of `data_type`; null where one does not fit."""
    kind = ARROW_TYPES[data_type]
    if values.type == kind and data_type != "text":
        return values
    return pa.array((_fitting(value, data_type) for value in values.to_pylist()), kind)


def _fitting(value: Any, data_type: str) -> Any:
    if isinstance(value, str):
        with contextlib.suppress(InvalidJsonError):  # then the column became text, not JSON
            value = decode(value.encode())
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match data_type:
        case "bigint" if number and whole and int(value) in _INT64:
            return int(value)
        case "double" if number:
            return float(value)
        case "bool" if isinstance(value, bool):
            return value
        case "text" if isinstance(value, str):
            return value
        case "timestamp" if isinstance(value, str):
            return _read(datetime.fromisoformat, value)
        case "date" if isinstance(value, str):
            return _read(date.fromisoformat, value)
        case _:
            return None


def _read(parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        return None


def _both(mask: Any, other: Any) -> Any:
    return other if mask is None else pc.and_(mask, other)


def _frozen(resource: str, entity: str, change: Drift) -> str:
    where = f"{change.table}.{change.column}"
    what = {
        "tables": f"table {change.table} is new",
        "columns": f"column {where} is new ({change.after})",
    }.get(entity, f"column {where} would change from {change.before} to {change.after}")
    return (
        f"{resource}: {what}, and schema_contract freezes {entity}; its rows are not loaded and stay"
        f" backlog. Set schema_contract.{entity} of {resource} to evolve, discard_value or"
        " discard_row in the definition, then run again"
    )
