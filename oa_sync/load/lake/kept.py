"""Pages of older versions of a file, kept inside the newest version for a grace time.

Readers that only glob know a file by its name, so a new version must take the name of the old one. And
DuckDB and Arrow open a file twice: for its footer, then for its pages. A reader that holds an older footer
still finds that version's pages at their offsets while they are kept. A note right before the footer says
where they are and until when. No footer points to the note, so kept pages can be removed without changing
the footer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

KEPT_BYTES = 256 * 1024 * 1024
"""The most bytes that a file keeps of older versions. Of the last version it keeps all pages."""

_CHUNK_BYTES = 1024 * 1024
_MAGIC = b"oa_sync1"
_TAIL = 8
"""Bytes at the end of a Parquet file that give the length of its footer."""


@dataclass(frozen=True)
class Kept:
    """Bytes `start` to `end` of a file are pages of one version; they may go after `until` (Unix seconds)."""

    start: int
    end: int
    until: float


def to_keep(path: Path, now: float, grace: float) -> list[Kept]:
    """What a file that replaces the one at `path` at time `now` must keep of it for `grace` seconds.

    Newest first. An older version whose note names a time after `now + grace` is dropped: otherwise a clock
    that was wrong once would keep pages for ever.
    """
    live = _live(path)
    if grace <= 0:
        return []
    kept = [Kept(*live, now + grace)] if live else []
    room = KEPT_BYTES
    for older in sorted(noted(path), key=lambda one: one.until, reverse=True):
        room -= older.end - older.start
        if now < older.until <= now + grace and room >= 0:
            kept.append(older)
    return kept


def noted(path: Path) -> list[Kept]:
    """What the file at `path` says that it keeps."""
    with path.open("rb") as file:
        end = _footer_start(file) - len(_MAGIC) - 4
        if end < 0:
            return []
        file.seek(end)
        length = int.from_bytes(file.read(4), "little")
        if file.read(len(_MAGIC)) != _MAGIC or length > end:
            return []
        file.seek(end - length)
        return [Kept(**one) for one in json.loads(file.read(length))]


def note(kept: Sequence[Kept]) -> bytes:
    """What `noted` reads, to be written right before the footer."""
    text = json.dumps([asdict(one) for one in kept]).encode()
    return text + len(text).to_bytes(4, "little") + _MAGIC if kept else b""


def copy_kept(kept: Sequence[Kept], source: Path, sink: pa.NativeFile) -> None:
    """Copy the bytes of `kept` from `source` to the same offsets of `sink`, which must not be past them."""
    with source.open("rb") as file:
        for one in sorted(kept, key=lambda one: one.start):
            fill(sink, one.start)
            file.seek(one.start)
            left = one.end - one.start
            while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
                sink.write(chunk)
                left -= len(chunk)


def fill(sink: pa.NativeFile, end: int) -> None:
    """Zeros up to the offset `end`."""
    while (left := end - sink.tell()) > 0:
        sink.write(bytes(min(left, _CHUNK_BYTES)))


def is_over(path: Path, now: float) -> bool:
    """Whether the file keeps pages, and the time of all of them is over."""
    kept = noted(path)
    return bool(kept) and all(one.until <= now for one in kept)


def write_without_kept(path: Path, target: Path) -> None:
    """Write the file at `path` to `target` without kept pages: its own pages, at their offsets, and the
    footer.

    The room before its pages stays empty. Most file systems store that as a hole.
    """
    start, end = _live(path) or (4, 4)
    with path.open("rb") as file, target.open("wb") as sink:
        sink.write(file.read(4))
        for first, last in ((start, end), (_footer_start(file), os.fstat(file.fileno()).st_size)):
            file.seek(first)
            sink.seek(first if first == start else end)
            while first < last and (chunk := file.read(min(last - first, _CHUNK_BYTES))):
                sink.write(chunk)
                first += len(chunk)


def _footer_start(file: BinaryIO) -> int:
    size = os.fstat(file.fileno()).st_size
    file.seek(size - _TAIL)
    return size - _TAIL - int.from_bytes(file.read(4), "little")


def _live(path: Path) -> tuple[int, int] | None:
    """Where the pages are that the footer points to; None: the file has no rows."""
    metadata = pq.read_metadata(path)
    chunks = [
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    ]
    spans = [(_first_page(chunk), chunk.total_compressed_size) for chunk in chunks]
    if not spans:
        return None
    return min(start for start, _ in spans), max(start + size for start, size in spans)


def _first_page(chunk: pq.ColumnChunkMetaData) -> int:
    if chunk.has_dictionary_page:
        return min(int(chunk.dictionary_page_offset), int(chunk.data_page_offset))
    return int(chunk.data_page_offset)
