"""Delta Lake and Iceberg: one folder for many engines, and a merge in one commit.

Why not through dlt's `filesystem` destination with `table_format`: there it merges by `upsert` only, which
cannot replace the rows of a parent (a list that became shorter leaves rows behind), and commits file by file.

- **A load of one table is one commit**, so readers see the table before or after it, and a kill leaves
  nothing of it but files that no version names. Children are committed before their parents.
- **Delta**: a MERGE whose source holds the changed keys (matched: delete) and the new rows (never matched:
  insert). **Iceberg**: a transaction of delete and append.
- **Each table says what its columns are**: in the metadata of its fields (Delta), in the table property
  `oa_sync.schema` (Iceberg). There is no other state.
- **When a column becomes wider**, its table is rewritten in one commit: neither format can turn whole numbers
  into fractions or text in place.
- **Two writers of one table** (of two workspaces): the second to commit tries again on the newer version.
"""

from oa_sync.load.lakehouse.lakehouse import Lakehouse

__all__ = ["Lakehouse"]
