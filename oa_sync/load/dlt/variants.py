"""Columns that become wider where a destination cannot alter a column: a second column beside the first.

As in dlt, the wider values go to `<column>__v_<type>`, and the old ones stay where they are. Inside the
program both are one column of the wider type. Readers of the tables find the value in the column that is not
NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

import orjson

from oa_sync.load.table_schema import wider_key

VARIANT_OF = "x-oa-variant-of"
"""dlt column hint: the name of the column that this one continues."""

Columns = Mapping[str, Mapping[str, Any]]


def variant_name(column: str, data_type: str) -> str:
    """The column that takes the values of `column` once they are of `data_type`."""
    return f"{column}__v_{data_type}"


class LogicalColumns:
    """A table's columns as the rest of the program sees them. `stored`: what dlt's schema says is there;
    `pending`: variants that the next load will make. `types`: the widest type of each column."""

    def __init__(self, stored: Columns, pending: Columns | None = None) -> None:
        self._there = _forms(stored)
        self._forms = _forms({**stored, **(pending or {})})
        self.types = {name: forms[-1][1] for name, forms in self._forms.items()}

    def written(self, column: str) -> str:
        """Where values of `column` go from now on."""
        return self._forms[column][-1][0] if column in self._forms else column

    def is_plain(self, column: str) -> bool:
        """Whether the values of `column` are all in the column of that name."""
        return len(self._there.get(column, ())) < 2

    def read(self, columns: Iterable[str]) -> list[str]:
        """The columns to select for the values of `columns`; those that are not there are left out."""
        return [name for column in columns for name, _ in self._there.get(column, ())]

    def rows(
        self, columns: Sequence[str], selected: Iterable[Sequence[Any]]
    ) -> Iterator[tuple[Any, ...]]:
        """The values of `columns`, from rows of the columns that `read` named; None for a missing column."""
        for row in selected:
            values = iter(row)
            yield tuple(
                self._value(column, [next(values) for _ in self._there.get(column, ())])
                for column in columns
            )

    def _value(self, column: str, values: Sequence[Any]) -> Any:
        """The value of the widest form that has one, in the type of the column."""
        for (_, data_type), value in reversed(
            list(zip(self._there.get(column, ()), values, strict=True))
        ):
            if value is not None:
                return _converted(value, data_type, self.types[column])
        return None


def _forms(columns: Columns) -> dict[str, list[tuple[str, str]]]:
    """For each column: name and type of every stored column that holds its values, narrowest first. The
    narrowest is the column of that name."""
    forms: dict[str, list[tuple[str, str]]] = {}
    for name, column in columns.items():
        if "data_type" in column:
            of = str(column.get(VARIANT_OF, name))
            forms.setdefault(of, []).append((name, str(column["data_type"])))
    for of, found in forms.items():
        found.sort(key=cmp_to_key(_by_width))
        found.sort(key=lambda form: form[0] != of)
    return forms


def _by_width(one: tuple[str, str], other: tuple[str, str]) -> int:
    return -1 if wider_key(one[1], other[1]) == other[1] else 1


def _converted(value: Any, before: str, after: str) -> Any:
    """A value that a driver gave for a column of type `before`, in the type `after`."""
    value = _READ.get(before, _as_it_is)(value)
    if before == after:
        return value
    if isinstance(value, datetime) and after in ("text", "json"):
        value = value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if after == "json":
        return orjson.dumps(value, default=str).decode()
    return float(value) if after == "double" else str(value)


# -- drivers ------------------------------------------------------------------------------------


def _as_it_is(value: Any) -> Any:
    return value


def _json_text(value: Any) -> str:
    """Some drivers give JSON parsed."""
    if isinstance(value, str):
        if value[:1] in ("{", "[", '"'):
            return value
        try:
            orjson.loads(value)
        except ValueError:
            pass
        else:
            return value
    return orjson.dumps(value, default=str).decode()


def _instant(value: Any) -> Any:
    """Some drivers give no time zone, and mean UTC; SQLite's gives text."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _date(value: Any) -> Any:
    if isinstance(value, str):
        return date.fromisoformat(value)
    return value.date() if isinstance(value, datetime) else value


_READ: Mapping[str, Callable[[Any], Any]] = {
    "text": _as_it_is,
    "json": _json_text,
    "bigint": int,
    "double": float,
    "bool": bool,
    "timestamp": _instant,
    "date": _date,
    "decimal": lambda value: value if isinstance(value, Decimal) else Decimal(str(value)),
}
