"""The rows of reports, in the three forms a user can ask for.

`json`: one table `report_rows` with each row as its exact text, never parsed. `typed`: one table
`report_rows` with a column for every key of every report. `tables`: a table `report__<slug>` for
each report. All are keyed by `report_id` and `position`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from oa_sync.shape.learned import LearnedSchema
from oa_sync.shape.naming import snake_case, tag
from oa_sync.shape.shaper import Shaped, Shaper
from oa_sync.shape.spec import Bounds, TableSpec

REPORT_ROWS = "report_rows"
KEY = ("report_id", "position")
_SLUG_LENGTH = 40


def rows_as_json(texts: Any, report_ids: Any, positions: Any, constants: Mapping[str, str]) -> Any:
    """The `pyarrow.Table` of mode `json`: report_id, position, row (JSON text), the constants.

    `texts`, `report_ids` and `positions` are Arrow arrays with one value a row.
    """
    columns = {"report_id": report_ids, "position": positions.cast(pa.int64()), "row": texts}
    for name, value in constants.items():
        columns[name] = pa.repeat(pa.scalar(value, pa.string()), len(texts))
    return pa.table(columns)


def report_rows_spec(
    constants: Mapping[str, str], table: str = REPORT_ROWS, bounds: Bounds | None = None
) -> TableSpec:
    """What the modes `typed` and `tables` declare; `report_id` and `position` come as extras."""
    return TableSpec(table, key=KEY, constants=dict(constants), bounds=bounds or Bounds())


class ReportTables:
    """Mode `tables`: one shaper and one table for each report.

    A report keeps its first table, even if the report gets another name later: `names` (table by
    report id) is read back from the tables themselves, which hold the report id. The second report
    with the same name gets six hex digits of its id's hash after the slug.
    """

    def __init__(
        self,
        constants: Mapping[str, str],
        names: Mapping[str, str] | None = None,
        learned: LearnedSchema | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self.names: dict[str, str] = dict(names or {})
        self._taken = set(self.names.values())
        self._constants, self._bounds = constants, bounds
        self._learned = learned or LearnedSchema()
        self._shapers: dict[str, Shaper] = {}

    def shape(self, report_id: str, report_name: str, ndjson: bytes, positions: Any) -> Shaped:
        """The tables of some rows of one report; `positions` has one integer for each line."""
        shaper = self.shaper(report_id, report_name)
        report_ids = pa.repeat(pa.scalar(report_id, pa.string()), len(positions))
        return shaper.shape(ndjson, {"report_id": report_ids, "position": positions})

    def shaper(self, report_id: str, report_name: str) -> Shaper:
        """The report's shaper; its table gets a name now if it has none yet."""
        if report_id not in self.names:
            self.names[report_id] = self._new_name(report_id, report_name)
            self._taken.add(self.names[report_id])
        table = self.names[report_id]
        if table not in self._shapers:
            spec = report_rows_spec(self._constants, table, self._bounds)
            self._shapers[table] = Shaper(spec, self._learned_of(table))
        return self._shapers[table]

    @property
    def learned(self) -> LearnedSchema:
        """Every column known so far, of all reports."""
        tables = dict(self._learned.tables)
        for shaper in self._shapers.values():
            tables.update(shaper.learned.tables)
        return LearnedSchema(tables)

    def _learned_of(self, table: str) -> LearnedSchema:
        # A slug never holds two underscores in a row, so this prefix is the report's alone.
        return LearnedSchema(
            {
                name: columns
                for name, columns in self._learned.tables.items()
                if name == table or name.startswith(f"{table}__")
            }
        )

    def _new_name(self, report_id: str, report_name: str) -> str:
        digits = tag((report_id,))[:6]
        slug = snake_case(report_name).replace("__", "_")[:_SLUG_LENGTH].strip("_")
        name = f"report__{slug or digits}"
        return f"{name}_{digits}" if name in self._taken else name
