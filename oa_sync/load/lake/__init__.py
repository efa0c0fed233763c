"""Parquet files that anyone can simply read: each key once, at any instant.

`Lake` is the load target for `--destination parquet`; `export_table` writes a snapshot with the same
writer. How the promise is kept:

- **A key never moves.** A row (of a child table: all rows of one parent) stays in the file it was
  first written to. New keys go to the newest file while that is below `TARGET_BYTES`, else to new
  ones. So while a table grows from one file to thousands, no key is ever in two files or in none.
  Re-hashing into more buckets could not promise this to readers that only glob.
- **A file changes as a whole**: by rename on a disk, by one PUT on an object store. On a disk, the new file
  also keeps the pages of older versions at their old offsets for a grace time (see `kept`), for readers
  that already hold an older footer. Until the first sync after that time, this takes two to three times
  the disk space of the rows.
- **A workspace has files of its own**, so that many may share a folder and load at the same time.
- **Each file says what it holds**: the table's schema is in its key-value metadata, so it is written in
  the same instant as its rows. There is no other state.

Limits:

- A key stays in its file even when its rows grow, and all child rows of one parent are in one file. So a
  file can become larger than `TARGET_BYTES`.
- When a column appears or widens, the other files of the table are rewritten one by one: for a wider type
  before its first row is written, for a new column at the end of the sync. Until then readers need
  `union_by_name`.
- A reader opens a file twice. If the file is replaced twice in between, and that takes longer than the
  grace time, the reader gets an error and has to read again. On an object store, so does a reader that is
  in the middle of an object while it is replaced: the ETag has changed.
"""

from oa_sync.load.lake.export import export_table
from oa_sync.load.lake.lake import Lake

__all__ = ["Lake", "export_table"]
