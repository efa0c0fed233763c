"""oa-sync: mirror an OpenAnalyst workspace into DuckDB, Parquet or a warehouse, within its quota."""

__version__ = "0.1.0"
