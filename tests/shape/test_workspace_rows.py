"""Real rows, where the folder with them is there: nothing lost, one row each, the fast path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from oa_sync.shape.report_rows import report_rows_spec
from oa_sync.shape.shaper import Shaper
from oa_sync.shape.spec import ChildSpec, TableSpec
from tests.support import json_rows

WORKSPACE = Path(__file__).parents[3] / "shared" / "workspace"
pytestmark = pytest.mark.skipif(not WORKSPACE.is_dir(), reason="no workspace with real rows")

CHILDREN = {
    "datasets": {("columns",): ChildSpec("dataset_columns", ("n",))},
    "dashboards": {("panels",): ChildSpec("dashboard_panels", ("n",))},
    "agent_runs": {
        ("steps",): ChildSpec(
            "agent_run_steps",
            ("n",),
            children={("tool_calls",): ChildSpec("agent_run_tool_calls", ("n",))},
        )
    },
}


def rows_of(name: str) -> list[Any]:
    return [json.loads(line) for line in (WORKSPACE / f"{name}.ndjson").read_bytes().splitlines()]


@pytest.mark.parametrize("name", CHILDREN)
def test_every_value_of_a_list_is_in_its_tables(name: str) -> None:
    shaper = Shaper(TableSpec(name, key=("n",), children=CHILDREN[name]))
    rows = rows_of(name)
    ndjson = (WORKSPACE / f"{name}.ndjson").read_bytes()
    tables = shaper.shape(ndjson, json_rows.numbered(rows)).tables
    cells = json_rows.Cells(tables, shaper.learned)
    for number, row in enumerate(rows):
        for path, leaf in json_rows.leaves(row):
            assert cells.hold(number, path, leaf), (number, path, leaf)
    assert shaper.stats.exact == 0


def test_the_rows_of_all_reports_fit_one_typed_table() -> None:
    shaper = Shaper(report_rows_spec({}))
    for report in rows_of("reports"):
        rows = report["data"]
        if not rows:
            continue
        extras = {
            "report_id": pa.repeat(report["id"], len(rows)),
            "position": pa.array(range(len(rows))),
        }
        ndjson = "".join(json.dumps(row) + "\n" for row in rows).encode()
        table = shaper.shape(ndjson, extras).tables["report_rows"]
        assert table.num_rows == len(rows)
        exact = json_rows.exact_tables(shaper, ndjson, extras)["report_rows"]
        assert table.equals(exact)
    assert shaper.stats.exact == 0
