"""What was learned about a resource's columns, as it is kept between syncs.

There is no state file: every column's path is stored with the column itself, in the dlt hint `HINT`,
and is read back from the destination's schema. So a lost home folder costs nothing, and what was
learned always matches the data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from oa_sync.shape.naming import Path

HINT = "x-oa-path"

Kind = Literal["value", "large", "rest", "empty", "position"]
"""What a column holds for its path.

`value`: the value itself. `large`: the same, with numbers beyond 2**53 among them, where a double
no longer holds every integer: a bigint that cannot become double, or a double read from its texts.
`rest`: what does not fit the path's own form: values that are no object at a flattened path (or no
list at that of a child table), and whole objects with keys that have no column; for `(…, "[]")` the
elements that are no objects. `empty`: only `{}` and `[]` so far. `position`: the position column of
the child table made of the list at this path.
"""


@dataclass(frozen=True, slots=True)
class LearnedColumn:
    """One column: where in the row it comes from, its final name and its dlt data type."""

    path: Path
    name: str
    data_type: str
    kind: Kind = "value"

    def hint(self) -> str:
        """Path and kind as ASCII text for the dlt column hint `HINT`."""
        return json.dumps([self.kind, *self.path])


class LearnedSchema:
    """All learned columns of a resource's tables, in the order they were learned."""

    def __init__(self, tables: Mapping[str, Mapping[Path, LearnedColumn]] | None = None) -> None:
        self.tables = {name: dict(columns) for name, columns in (tables or {}).items()}

    @classmethod
    def from_columns(cls, columns: Iterable[tuple[str, str, str, str | None]]) -> LearnedSchema:
        """Rebuild from `(table, column, dlt data type, hint or None)`, in the destination's order.

        Columns without a hint, or with one that this version cannot read, are taken for columns
        from outside the rows and skipped.
        """
        learned = cls()
        for table, name, data_type, hint in columns:
            read = _read_hint(hint)
            if read is not None:
                kind, path = read
                column = LearnedColumn(path, name, data_type, kind)
                learned.tables.setdefault(table, {})[path] = column
        return learned

    def columns(self, table: str) -> list[LearnedColumn]:
        """The learned columns of `table`; keys, extras and constants are not among them."""
        return list(self.tables.get(table, {}).values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LearnedSchema) and self.tables == other.tables

    __hash__ = None  # type: ignore[assignment]


def _read_hint(hint: str | None) -> tuple[Kind, Path] | None:
    try:
        parts = json.loads(hint or "")
    except ValueError:
        return None
    if not isinstance(parts, list) or not parts or not all(isinstance(p, str) for p in parts):
        return None
    if parts[0] not in get_args(Kind):
        return None
    return cast(Kind, parts[0]), tuple(parts[1:])
