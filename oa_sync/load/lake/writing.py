"""Arrow batches into Parquet files: row groups of a sensible size, cut into files between keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TARGET_BYTES = 64 * 1024 * 1024
"""Size from which a file takes no further keys."""

ROW_GROUP_ROWS = 131_072
ROW_GROUP_BYTES = 32 * 1024 * 1024
"""A row group ends at this many rows or bytes in memory, whichever comes first."""

_CHUNK_BYTES = 1024 * 1024
_ROOM_BEFORE = 1024
"""A file that keeps the pages of its predecessor has its own behind this offset, or at its start."""

_REWRITE_ROWS = 2_048


@dataclass(frozen=True)
class Live:
    """Where in the file at `path` the pages are that its footer points to: bytes `start` to `end`."""

    path: Path
    start: int
    end: int


def live_bytes(path: Path) -> Live | None:
    """The live bytes of a file of ours; None: it has no rows."""
    metadata = pq.read_metadata(path)
    chunks = [
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    ]
    spans = [(_first_page(chunk), chunk.total_compressed_size) for chunk in chunks]
    if not spans:
        return None
    return Live(path, min(start for start, _ in spans), max(start + size for start, size in spans))


def write_file(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    path: Path,
    key: Sequence[str],
    replaced: Live | None = None,
) -> None:
    """All `batches`, sorted by `key`, as one file at `path`; a valid file also without any row.

    The live bytes of the file that will be `replaced` stand at their old places in the new one. DuckDB
    (1.5, 2.0) and Arrow open a file twice, for its footer and for its pages; who comes between with the
    old footer finds the old pages, where he would find a "corrupted file" otherwise. The new pages go
    before them if there is room, else behind them with some room for the next time; so a file on a disk
    takes two to three times the room of its pages, and no more however often it is replaced.
    """
    if replaced is None or replaced.start < _ROOM_BEFORE:
        _write_behind(replaced, batches, schema, path, key)
    elif not _write_before(replaced, batches, schema, path, key):
        too_long = path.with_name(f"{path.name}.too_long.tmp")
        path.rename(too_long)
        with pq.ParquetFile(too_long) as file:
            _write_behind(replaced, file.iter_batches(_REWRITE_ROWS), schema, path, key)
        too_long.unlink()


def _write_behind(
    replaced: Live | None,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    path: Path,
    key: Sequence[str],
) -> None:
    with pa.OSFile(str(path), "wb") as sink, _writer(sink, schema, key) as writer:
        if replaced is not None:
            _copy(replaced, sink)
            _fill(sink, replaced.end + replaced.end // 4)
        for group in _row_groups(batches, schema):
            writer.write_table(group, row_group_size=len(group))


def _write_before(
    replaced: Live,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    path: Path,
    key: Sequence[str],
) -> bool:
    """False: the new pages take more than the room before the old ones."""
    with pa.OSFile(str(path), "wb") as sink, _writer(sink, schema, key) as writer:
        for group in _row_groups(batches, schema):
            writer.write_table(group, row_group_size=len(group))
        fits = bool(sink.tell() <= replaced.start)
        if fits:
            _copy(replaced, sink)
        return fits


def write_files(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    new_path: Callable[[], Path],
    key: Sequence[str],
    target_bytes: int = TARGET_BYTES,
) -> list[Path]:
    """`batches`, sorted by `key`, as files of `target_bytes` or more; rows of equal key stay together.

    No batches, no file.
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


def _first_page(chunk: pq.ColumnChunkMetaData) -> int:
    if chunk.has_dictionary_page:
        return min(int(chunk.dictionary_page_offset), int(chunk.data_page_offset))
    return int(chunk.data_page_offset)


def _copy(live: Live, sink: pa.NativeFile) -> None:
    """The live bytes, at the offset they have in their own file."""
    _fill(sink, live.start)
    with live.path.open("rb") as source:
        source.seek(live.start)
        left = live.end - live.start
        while left and (chunk := source.read(min(left, _CHUNK_BYTES))):
            sink.write(chunk)
            left -= len(chunk)


def _fill(sink: pa.NativeFile, end: int) -> None:
    """Zeros up to the offset `end`."""
    while (left := end - sink.tell()) > 0:
        sink.write(bytes(min(left, _CHUNK_BYTES)))


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
    """Bytes of a file that is being written; what its writer still holds back is less than a page."""
    return path.stat().st_size
