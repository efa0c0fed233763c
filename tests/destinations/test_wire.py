"""Warehouses that cannot be had here, up to the wire: the statements that dlt would send for our tables.

The clients are dlt's own, with credentials that lead nowhere, and never connect.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from oa_sync.load.dlt.destinations import MERGE_STRATEGY
from oa_sync.tables.batches import DELETED_AT, WORKSPACE

WAREHOUSES: dict[str, str | dict[str, str]] = {
    "redshift": "redshift://user:unused@127.0.0.1:9/db",
    "snowflake": "snowflake://user:unused@account/db",
    "motherduck": "md:db?motherduck_token=unused",
    "bigquery": {
        "project_id": "project",
        "private_key": "unused",
        "client_email": "loader@project.iam.gserviceaccount.com",
    },
    "databricks": {
        "server_hostname": "127.0.0.1",
        "http_path": "/sql/1.0/warehouses/1",
        "catalog": "main",
        "access_token": "unused",
    },
    "clickhouse": "clickhouse://user:unused@127.0.0.1:9/db",
    "mssql": "mssql://user:unused@127.0.0.1:9/db?driver=ODBC+Driver+18+for+SQL+Server",
}
DRIVERS = {
    "snowflake": ("snowflake.connector",),
    "bigquery": ("google.cloud.bigquery",),
    "databricks": ("databricks.sql", "databricks.sdk"),
    "clickhouse": ("clickhouse_driver", "clickhouse_connect"),
    "mssql": ("pyodbc",),
}
JSON_TYPES = {
    "redshift": "super",
    "snowflake": "VARIANT",
    "motherduck": "JSON",
    "bigquery": "JSON",
    "databricks": "STRING",
    "clickhouse": "Nullable(String)",
    "mssql": "json",
}
TEXT = {"data_type": "text", "nullable": True}
INSTANT = {"data_type": "timestamp", "nullable": True}


@pytest.fixture(params=WAREHOUSES)
def warehouse(request: pytest.FixtureRequest) -> Any:
    """dlt's client, with a table that has a key of its own and one whose rows belong to a parent."""
    from dlt.common.destination.reference import Destination
    from dlt.common.schema import Schema

    for driver in DRIVERS.get(request.param, ()):
        pytest.importorskip(driver, exc_type=ImportError)
    schema = Schema("openanalyst")
    own = {"name": TEXT, DELETED_AT: INSTANT}
    rows = {"row": {"data_type": "json", "nullable": True}}
    schema.update_table(merged("reports", "primary_key", "id", own))
    schema.update_table(merged("report_rows", "merge_key", "report_id", rows))
    destination = Destination.from_reference(request.param, credentials=WAREHOUSES[request.param])
    config: Any = destination.spec()
    config._bind_dataset_name("openanalyst")
    return destination.client(schema, config)


def merged(table: str, kind: str, key: str, others: dict[str, dict[str, Any]]) -> Any:
    """dlt's schema of `table`, as `oa_sync.load.dlt.warehouse` has it made."""
    from dlt.common.schema.utils import new_table

    described = {WORKSPACE: {**TEXT, kind: True}, key: {**TEXT, kind: True}, **others}
    columns: Any = [{"name": name, **hints} for name, hints in described.items()]
    made = new_table(table, write_disposition="merge", columns=columns)
    return {**made, "x-merge-strategy": MERGE_STRATEGY}


def statements(warehouse: Any, table: str) -> list[str]:
    """The SQL of a merge of `table`, without quotes and in lower case."""
    [job] = warehouse._create_merge_followup_jobs([warehouse.prepare_load_table(table)])
    text = Path(job.new_file_path()).read_text(encoding="utf-8")
    lines = unquoted(text).lower().split("\n")
    return [" ".join(line.split()).rstrip(";") for line in lines if line.strip()]


def unquoted(text: str) -> str:
    """SQL without the quotes around names."""
    return re.sub(r'["`]', "", text)


def matched(delete: str) -> list[str]:
    """The columns by which a DELETE finds the rows that have new ones in the staging table."""
    if listed := re.search(r"where \((.*?)\) in \(select (.*?) from .*\)$", delete):
        assert listed[1] == listed[2]
        return listed[1].split(", ")
    condition = delete.partition("where exists")[2]
    pairs = re.findall(r"\.(\w+) = \S*\.(\w+)", condition)
    assert all(one == other for one, other in pairs)
    assert condition.count(" and ") == len(pairs) - 1
    assert " or " not in condition
    return [one for one, _ in pairs]


def test_all_rows_of_a_parent_are_deleted_and_the_living_inserted(warehouse: Any) -> None:
    delete, insert = statements(warehouse, "report_rows")
    assert delete.startswith("delete from ")
    assert re.search(r"openanalyst_staging(\.|___)report_rows", delete)
    assert matched(delete) == [WORKSPACE, "report_id"]
    assert insert.startswith("insert into ")
    assert DELETED_AT not in insert


def test_a_row_is_replaced_by_its_key_and_a_deleted_one_stays_with_its_mark(warehouse: Any) -> None:
    delete, insert = statements(warehouse, "reports")
    assert matched(delete) == [WORKSPACE, "id"]
    assert f"partition by {WORKSPACE}, id" in insert
    assert f"{DELETED_AT} is null" not in insert


def test_json_has_the_type_of_the_warehouse(warehouse: Any) -> None:
    columns = list(warehouse.schema.get_table_columns("report_rows").values())
    [made] = warehouse._get_table_update_sql("report_rows", columns, False)
    name = warehouse.config.destination_type.rpartition(".")[2]
    [line] = [line for line in unquoted(made).lower().splitlines() if line.startswith("row ")]
    assert line.split()[1].rstrip(",") == JSON_TYPES[name].lower()
