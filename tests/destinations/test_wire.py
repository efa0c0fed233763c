"""Warehouses that cannot be had here, up to the wire: the statements that dlt would send for our tables.

The clients are dlt's own, with credentials that lead nowhere, and never connect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oa_sync.load.destinations import MERGE_STRATEGY
from oa_sync.load.tables import DELETED_AT, WORKSPACE

WAREHOUSES = {
    "redshift": "redshift://user:unused@127.0.0.1:9/db",
    "snowflake": "snowflake://user:unused@account/db",
    "motherduck": "md:db?motherduck_token=unused",
}
JSON_TYPES = {"redshift": "super", "snowflake": "VARIANT", "motherduck": "JSON"}
TEXT = {"data_type": "text", "nullable": True}
INSTANT = {"data_type": "timestamp", "nullable": True}


@pytest.fixture(params=WAREHOUSES)
def warehouse(request: pytest.FixtureRequest) -> Any:
    """dlt's client, with a table that has a key of its own and one whose rows belong to a parent."""
    from dlt.common.destination.reference import Destination
    from dlt.common.schema import Schema

    if request.param == "snowflake":
        pytest.importorskip("snowflake.connector")
    schema = Schema("openanalyst")
    own = {"name": TEXT, DELETED_AT: INSTANT}
    rows = {
        "row": {"data_type": "json", "nullable": True},
        DELETED_AT: {**INSTANT, "hard_delete": True},
    }
    schema.update_table(merged("reports", "primary_key", "id", own))
    schema.update_table(merged("report_rows", "merge_key", "report_id", rows))
    destination = Destination.from_reference(request.param, credentials=WAREHOUSES[request.param])
    config: Any = destination.spec()
    config._bind_dataset_name("openanalyst")
    return destination.client(schema, config)


def merged(table: str, kind: str, key: str, others: dict[str, dict[str, Any]]) -> Any:
    """dlt's schema of `table`, as `oa_sync.load.warehouse` has it made."""
    from dlt.common.schema.utils import new_table

    described = {WORKSPACE: {**TEXT, kind: True}, key: {**TEXT, kind: True}, **others}
    columns: Any = [{"name": name, **hints} for name, hints in described.items()]
    made = new_table(table, write_disposition="merge", columns=columns)
    return {**made, "x-merge-strategy": MERGE_STRATEGY}


def statements(warehouse: Any, table: str) -> list[str]:
    """The SQL of a merge of `table`, without quotes and in lower case."""
    [job] = warehouse._create_merge_followup_jobs([warehouse.prepare_load_table(table)])
    text = Path(job.new_file_path()).read_text(encoding="utf-8")
    lines = text.replace('"', "").lower().split("\n")
    return [" ".join(line.split()).rstrip(";") for line in lines if line.strip()]


def test_all_rows_of_a_parent_are_deleted_and_the_living_inserted(warehouse: Any) -> None:
    delete, insert = statements(warehouse, "report_rows")
    assert delete.startswith("delete from ")
    assert "openanalyst_staging.report_rows" in delete
    condition = delete.partition("where exists")[2]
    assert f".{WORKSPACE} = " in condition
    assert ".report_id = " in condition
    assert "position" not in condition
    assert insert.startswith("insert into ")
    assert insert.endswith(f"where {DELETED_AT} is null")


def test_a_row_is_replaced_by_its_key_and_a_deleted_one_stays_with_its_mark(warehouse: Any) -> None:
    delete, insert = statements(warehouse, "reports")
    assert ".id = " in delete
    assert f".{WORKSPACE} = " in delete
    assert f"partition by {WORKSPACE}, id" in insert
    assert f"{DELETED_AT} is null" not in insert


def test_json_has_the_type_of_the_warehouse(warehouse: Any) -> None:
    columns = list(warehouse.schema.get_table_columns("report_rows").values())
    [made] = warehouse._get_table_update_sql("report_rows", columns, False)
    name = warehouse.config.destination_type.rpartition(".")[2]
    [line] = [line for line in made.lower().splitlines() if line.startswith('"row"')]
    assert line.split()[1] == JSON_TYPES[name].lower()
