"""Destinations that are written through dlt: DuckDB, and every warehouse without a writer of ours."""
