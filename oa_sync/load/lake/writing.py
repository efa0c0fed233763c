"""Writes Arrow batches as Parquet files: row groups of a sensible size, a new file only between two keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oa_sync.load.lake.kept import Kept, copy_kept, fill, note

TARGET_BYTES = 64 * 1024 * 1024
"""Size from which a file takes no further keys."""

ROW_GROUP_ROWS = 131_072
ROW_GROUP_BYTES = 32 * 1024 * 1024
"""A row group ends at this many rows or bytes in memory, whichever comes first."""

_ROOM_BEFORE = 1024
"""Kept pages that begin before this offset leave no room before them: new pages go behind them."""

_REWRITE_ROWS = 2_048


@dataclass(frozen=True)
class Replaced:
    """The file that a new one replaces, and which of its pages the new one keeps."""

    path: Path
    kept: Sequence[Kept] = ()

    @property
    def start(self) -> int:
        """The first byte that is kept."""
        return min(one.start for one in self.kept)

    @property
    def behind(self) -> int:
        """Offset for new pages: behind all that is kept, plus some room for the version after the next."""
        newest = self.kept[0]
        return max(one.end for one in self.kept) + (newest.end - newest.start) // 4


def write_file(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    path: Path,
    key: Sequence[str],
    replaced: Replaced | None = None,
) -> None:
    """Write all `batches`, sorted by `key`, as one file at `path`; it is valid also without any row.

    Pages kept of the `replaced` file stay at their old offsets (see `kept`). New pages go before them if
    they fit, else behind them with some room. So a file that is replaced now and then takes two to three
    times the room of its pages, however often it is replaced.
    """
    if replaced is None or not replaced.kept:
        with _writer(path, schema, key) as writer:
            _write_groups(batches, schema, writer)
    elif replaced.start < _ROOM_BEFORE:
        _write_behind(replaced, batches, schema, path, key)
    elif not _write_before(replaced, batches, schema, path, key):
        too_long = path.with_name(f"{path.name}.too_long.tmp")
        path.rename(too_long)
        with pq.ParquetFile(too_long) as file:
            _write_behind(replaced, file.iter_batches(_REWRITE_ROWS), schema, path, key)
        too_long.unlink()


def _write_behind(
    replaced: Replaced,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    path: Path,
    key: Sequence[str],
) -> None:
    with pa.OSFile(str(path), "wb") as sink, _writer(sink, schema, key) as writer:
        copy_kept(replaced.kept, replaced.path, sink)
        fill(sink, replaced.behind)
        _write_groups(batches, schema, writer)
        sink.write(note(replaced.kept))


def _write_before(
    replaced: Replaced,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    path: Path,
    key: Sequence[str],
) -> bool:
    """False: the new pages take more than the room before the old ones."""
    with pa.OSFile(str(path), "wb") as sink, _writer(sink, schema, key) as writer:
        _write_groups(batches, schema, writer)
        fits = bool(sink.tell() <= replaced.start)
        if fits:
            copy_kept(replaced.kept, replaced.path, sink)
            sink.write(note(replaced.kept))
        return fits


def _write_groups(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, writer: pq.ParquetWriter
) -> None:
    for group in _row_groups(batches, schema):
        writer.write_table(group, row_group_size=len(group))


def write_files(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    new_path: Callable[[], Path],
    key: Sequence[str],
    target_bytes: int = TARGET_BYTES,
) -> list[Path]:
    """Write `batches`, sorted by `key`, as files of `target_bytes` or more; rows of equal key stay together.

    Without any batch, no file is written.
    """
    paths: list[Path] = []
    writer: pq.ParquetWriter | None = None
    last: pa.Table | None = None
    try:
        for group in _row_groups(batches, schema):
            if writer is not None and last is not None and _size(paths[-1]) >= target_bytes:
                same = _rows_like(last, group, key)
                if same:
                    writer.write_table(group.slice(0, same), row_group_size=same)
                group = group.slice(same)
                if not len(group):
                    continue
                writer.close()
                writer = None
            if writer is None:
                paths.append(new_path())
                writer = _writer(paths[-1], schema, key)
            writer.write_table(group, row_group_size=len(group))
            last = group.slice(len(group) - 1)
    finally:
        if writer is not None:
            writer.close()
    return paths


def _writer(place: Path | pa.NativeFile, schema: pa.Schema, key: Sequence[str]) -> pq.ParquetWriter:
    sorting = [pq.SortingColumn(schema.get_field_index(name)) for name in key]
    return pq.ParquetWriter(
        place,
        schema,
        compression="zstd",
        compression_level=3,
        write_statistics=True,
        sorting_columns=sorting or None,
    )


def _row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    rows = nbytes = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        waiting.append(batch.cast(schema))
        rows += batch.num_rows
        nbytes += batch.nbytes
        if rows >= ROW_GROUP_ROWS or nbytes >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(waiting, schema)
            waiting, rows, nbytes = [], 0, 0
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


def _rows_like(last: pa.Table, group: pa.Table, key: Sequence[str]) -> int:
    """How many rows at the start of `group` have the key of the one row of `last`."""
    if not key:
        return 0
    equal = pc.equal(group[key[0]], last[key[0]][0])
    for name in key[1:]:
        equal = pc.and_(equal, pc.equal(group[name], last[name][0]))
    first_other = pc.index(equal, False).as_py()
    return len(group) if first_other < 0 else int(first_other)


def _size(path: Path) -> int:
    """Bytes of a file that is being written, up to a page less than its writer was given."""
    return path.stat().st_size
