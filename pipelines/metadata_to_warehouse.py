"""Datasets with their columns, and dashboards with their panels, into any destination of dlt: a catalogue
of what is in the workspace, without the report rows.

    DESTINATION__POSTGRES__CREDENTIALS=postgresql://loader:…@host/warehouse \\
        python metadata_to_warehouse.py postgres

The name is dlt's (`postgres`, `snowflake`, `bigquery`, `redshift`, `clickhouse` …); its driver comes with
`pip install "dlt[NAME]"`, its credentials from dlt's own variables or `.dlt/secrets.toml`.
"""

from __future__ import annotations

import sys

from oa_sync import OaSyncError, resolve_settings, sync

RESOURCES = ("datasets", "dashboards")
DATASET_NAME = "openanalyst_catalogue"


def main(destination: str) -> int:
    """Sync `RESOURCES` into `destination`; the exit code."""
    try:
        settings = resolve_settings({"destination": destination, "dataset_name": DATASET_NAME})
        report = sync(settings, RESOURCES)
    except OaSyncError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return error.exit_code
    for table, rows in sorted(report.rows.items()):
        print(f"{DATASET_NAME}.{table}: {rows} rows written")
    if report.error is not None:
        print(f"{report.status}: {report.error}", file=sys.stderr)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "duckdb"))
