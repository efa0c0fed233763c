"""PostgreSQL, written with COPY and one transaction a load.

dlt only gives the credentials here. Why it does not load: its COPY of CSV reads empty strings as NULL
(`FORCE_NULL`), its way for Parquet (ADBC) turns `jsonb` columns into `json`, and both commit a load table by
table, through a staging schema that all workspaces of a dataset share.

- **One load is one transaction**: a kill leaves all of it or nothing, and readers never see half of it.
- **A merge** is a DELETE of the changed keys and a COPY of the new rows into the final table.
- **Workspaces load beside each other**: a shared advisory lock while rows are written, an exclusive one
  while tables are made, extended or widened.
- **`_oa_schemas`** in the dataset holds the schema of each table (JSON): keys, types, `x-oa-path` hints.
- **Indexes** on the key are made after the first load of a table.
"""

from oa_sync.load.postgres.postgres import Postgres

__all__ = ["Postgres"]
