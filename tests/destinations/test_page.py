"""docs/destinations.md says what dlt says, and its queries run."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from oa_sync.emulator.server import RunningEmulator
from oa_sync.load.dlt.destinations import MERGE_STRATEGY
from tests.destinations import scenario
from tests.destinations.places import DuckDB
from tests.support.emulator import emulator
from tests.support.syncing import run_sync

PAGE = Path(__file__).parents[2] / "docs" / "destinations.md"


def row_of(name: str) -> str:
    """The line of the page's table for dlt's destination `name`."""
    from dlt.common.destination.reference import Destination

    can = Destination.from_reference(name).capabilities()
    strategies = can.supported_merge_strategies or []
    formats = [f for f in can.supported_loader_file_formats or [] if f != "model"]
    staged = [f for f in can.supported_staging_file_formats or [] if f != "model"]
    cells = [
        f"`{name}`",
        "yes" if MERGE_STRATEGY in strategies else "refused",
        ", ".join(sorted(strategies)) or "none",
        "yes" if can.supports_nested_types else "no",
        ", ".join(sorted(formats)) or "by a bucket only",
        ", ".join(sorted(staged)) or "none",
    ]
    return f"| {' | '.join(cells)} |"


def known_to_dlt() -> list[str]:
    import dlt.destinations

    return sorted(set(dlt.destinations.__all__) - {"destination", "dummy"})


def test_the_table_of_capabilities_is_what_dlt_says() -> None:
    table = PAGE.read_text(encoding="utf-8").split("<!-- capabilities -->")[1].strip()
    assert table.splitlines()[2:] == [row_of(name) for name in known_to_dlt()]


@pytest.mark.parametrize("name", [name for name in known_to_dlt() if name != "duckdb"])
def test_each_that_can_be_loaded_has_its_settings_shown(name: str) -> None:
    if row_of(name).startswith(f"| `{name}` | yes |"):
        assert f"DESTINATION__{name.upper()}__" in PAGE.read_text(encoding="utf-8")


def queries() -> list[str]:
    return re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_what_a_report_looked_like_on_a_day_is_one_query(tmp_path: Path) -> None:
    place = DuckDB(tmp_path)
    with emulator(scenario.workspace(), dialect="page") as server:
        settings = place.settings(server.base_url)
        run_sync(settings, history=True)
        with duckdb.connect(str(settings.database)) as connection:
            [(day,)] = connection.sql(
                "SELECT CAST(max(_oa_valid_from) AS VARCHAR) FROM openanalyst.reports_history WHERE id = 'r03'"
            ).fetchall()
        change(server)
        run_sync(settings)
    with duckdb.connect(str(settings.database), read_only=True) as connection:
        row, rows = [
            connection.sql(query.replace("2026-03-01 00:00:00+00", day)).fetchall()
            for query in queries()
        ]
    assert [r[0] for r in row] == ["Report 3"]
    assert [position for position, _ in rows] == [0, 1, 2]


def change(server: RunningEmulator) -> None:
    server.state.update("reports", "r03", {"name": "Later", "data": [{"row": "later"}]})
