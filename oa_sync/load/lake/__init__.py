"""Parquet files that anyone can simply read: each key once, at any instant.

`Lake` is the load target for `--destination parquet`; `export_table` writes a snapshot with the same
writer. How the promise is kept:

- **A key never moves.** A row (of a child table: all rows of one parent) stays in the file it was
  first written to. New keys go to the newest file while that is below `TARGET_BYTES`, else to new
  ones. So a table grows from one file to thousands without a moment in which a key is in two files or
  in none, which no re-hashing into more buckets could give to readers that only glob.
- **A file changes as a whole**: by rename on a disk, by one PUT on an object store. On a disk the new file
  also holds the pages of those before at their old places, for readers that have a footer of theirs
  already, for a grace time (see `kept`); that costs disk space, two to three times the rows' own, until
  the first sync after it.
- **A workspace has files of its own**, so that many may share a folder and load at the same time.
- **Each file says what it holds**: the table's schema is in its key-value metadata, hence written in the
  same instant as its rows. There is no other state.

Limits: keys that grow after they were first written make their file larger than `TARGET_BYTES`, for
they stay in it, and all child rows of one parent stand in one file. When a column appears or widens, the
other files of the table follow one by one (a wider type before the first row of it is written, a new
column at the end of the sync); within these moments readers need `union_by_name`. A reader that takes
longer than the grace time between its two opens of a file that is replaced twice meanwhile gets an error
and has to read again. So does one on an object store that is in the middle of an object while it is
replaced: the ETag has changed.
"""

from oa_sync.load.lake.export import export_table
from oa_sync.load.lake.lake import Lake

__all__ = ["Lake", "export_table"]
