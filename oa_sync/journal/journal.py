"""The journal: everything fetched and not yet known to be loaded, on disk, in the order it came.

Why it exists: a killed dlt extract loses all that it held (dlt-hub/dlt#215), and with 500 requests a
day that is a lost day. An item is appended here before anything else happens to it. Loading is
idempotent (delete-insert by key), so after a crash the next sync simply loads the remaining segments
again, oldest first, and spends no request on them. dlt's own working folder is therefore
disposable: a package left in it cannot double rows or block a load (see docs/recovery.md).

Format of a segment file: records, each `<magic><crc32><three lengths><header><row><body>`, numbers in
little-endian. The magic tells how the key in the header is written (see `key_of_earlier`). A torn record at the end of a file (a kill during a write) ends the reading of that
file; nothing after it can have been acknowledged. Files are private (0600): they hold customer data
in clear. What is written survives `kill -9` at once (page cache), and power loss after the next
`rotate()`, which calls fsync on the file and on its folder.

A write that fails (a full disk) can leave half a record, and nothing appended after it could be read.
So the file is at once cut back to the end of its last whole record.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from oa_sync.errors import DiskError, OaSyncError, disk_number
from oa_sync.journal.disk import Disk
from oa_sync.journal.items import Item, Kind, Sighting, key_of_earlier
from oa_sync.private import private_folder
from oa_sync.shape.body import chunks

_MAGIC, _FIRST_FORMAT = b"OAJ2", b"OAJ1"
_HEAD = struct.Struct("<4sIIQQ")  # magic, crc32, header length, row length, body length
_NO_BODY = 2**64 - 1
_BEGUN, _FAILED = b"b", b"x"  # marks beside a segment: a load that began, one that failed
MAPPED_BYTES = 32 * 1024 * 1024
"""A body of at least this size is read back as a view of the segment's file."""
BUFFER_BYTES = 1 << 18
"""Bytes held in memory before they are written, of items that are no details."""


class Journal:
    """An append-only queue of `Item`s in numbered segment files under `folder`.

    One writer at a time (the sync lock guarantees it). `append` writes to the open segment,
    `rotate` closes it and names it; `segments` lists the closed ones, oldest first; `read` yields a
    segment's items; `done` deletes a segment once its items are loaded.
    """

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder, self._disk = folder, disk or Disk()
        try:
            private_folder(folder, above=1)
        except OSError as error:
            raise self._failed(error) from error
        self._handle: int | None = None
        self._path: Path | None = None
        self._held = bytearray()
        self._written = 0

    def append(self, item: Item) -> None:
        """Write `item` to the open segment. What cost a request of its own is in the file when this returns:
        a detail, and a row that a 404 showed to be gone. Any other item may still be in memory and get lost
        in a crash: the next sync learns it again from the list.

        Raises:
            OaSyncError: the disk does not take it. What was written before is kept.
        """
        if self._handle is None:
            self._open()
        header = orjson.dumps(_header(item))
        body = b"" if item.body is None else item.body
        body_length = _NO_BODY if item.body is None else len(body)
        crc = _crc(header, item.row, body)
        self._held += _HEAD.pack(_MAGIC, crc, len(header), len(item.row), body_length)
        self._held += header
        self._held += item.row
        if item.kind in (Kind.DETAIL, Kind.GONE) or len(self._held) >= BUFFER_BYTES:
            self._write(body)
        else:
            self._held += body

    def rotate(self) -> Path | None:
        """Close the open segment durably and return its path; None when nothing was appended.

        Raises:
            OaSyncError: the disk does not take it. What was written is kept for the next sync.
        """
        if self._handle is None:
            return None
        self._write(b"")
        handle, path = self._handle, self._path
        self._handle = self._path = None
        try:
            self._disk.sync(handle)
            self._disk.sync_folder(self._folder)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._disk.close(handle)
        return path

    def segments(self) -> list[Path]:
        """All segment files but the open one, oldest first."""
        return sorted(path for path in self._folder.glob("[0-9]*.oaj") if path != self._path)

    def read(self, segment: Path) -> Iterator[Item]:
        """The items of `segment` in order; a torn record at its end is ignored.

        Raises:
            OaSyncError: a record is intact, but this version cannot read it.
        """
        with segment.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                magic, crc, header_length, row_length, body_length = _HEAD.unpack(head)
                has_body = body_length != _NO_BODY
                length = header_length + row_length + (body_length if has_body else 0)
                # Before anything is read: a damaged length may be more than the memory holds.
                if magic not in (_MAGIC, _FIRST_FORMAT) or file.tell() + length > size:
                    return
                header = file.read(header_length)
                row = file.read(row_length)
                body = _body(file, body_length) if has_body else None
                if _crc(header, row, body or b"") != crc:
                    return
                try:
                    item = _item(orjson.loads(header), row, body)
                except (ValueError, KeyError, TypeError):
                    raise OaSyncError(
                        f"{segment} was written by another version of oa-sync; run that version once,"
                        " or delete the file: what it holds is then fetched again"
                    ) from None
                if magic == _FIRST_FORMAT and item.kind is not Kind.EVENTS:
                    item = replace(item, key=key_of_earlier(item.key))
                yield item

    def done(self, segment: Path) -> None:
        """Delete `segment`: all its items are loaded."""
        self._disk.remove(segment)
        self._disk.remove(_failures(segment))

    # -- segments that cannot be loaded ---------------------------------------------------------

    def begin(self, segment: Path) -> None:
        """Note that a load of `segment` begins. If the process is killed before the load ends, the note stays
        and counts as a failure."""
        with contextlib.suppress(OSError):  # without a note, this death is not counted
            self._disk.replace(_failures(segment), _marks(segment) + _BEGUN)

    def ended(self, segment: Path) -> None:
        """Note that the load ended in order, though `segment` is not loaded and is not at fault."""
        marks = _marks(segment)
        if marks.endswith(_BEGUN):
            with contextlib.suppress(OSError):
                self._disk.replace(_failures(segment), marks.removesuffix(_BEGUN))

    def failed(self, segment: Path) -> int:
        """Note that `segment` is at fault for the load that `begin` noted; returns how often it has been."""
        marks = _marks(segment).removesuffix(_BEGUN) + _FAILED
        self._disk.replace(_failures(segment), marks)
        return len(marks)

    def failures(self, segment: Path) -> int:
        """In how many loads `segment` failed, or the process was killed."""
        return len(_marks(segment))

    def set_aside(self, segment: Path) -> Path:
        """Move `segment` to where no sync loads it by itself, and return where it is now."""
        private_folder(self._aside)
        kept = self._aside / f"{self._next(self._aside):08d}.oaj"
        segment.replace(kept)
        self._disk.remove(_failures(segment))
        return kept

    def aside(self) -> list[Path]:
        """The segments that were set aside, oldest first."""
        return sorted(self._aside.glob("[0-9]*.oaj"))

    def take_back(self) -> None:
        """Put the segments that were set aside behind the others, to be loaded once more."""
        for segment in self.aside():
            segment.replace(self._folder / f"{self._next(self._folder):08d}.oaj")

    @property
    def _aside(self) -> Path:
        return self._folder / "aside"

    @staticmethod
    def _next(folder: Path) -> int:
        return max((int(path.stem) for path in folder.glob("[0-9]*.oaj")), default=0) + 1

    def close(self) -> None:
        """Close the open segment; its items stay for the next sync."""
        self.rotate()

    def _open(self) -> None:
        self._path = self._folder / f"{self._next(self._folder):08d}.oaj"
        try:
            self._handle = self._disk.create(self._path)
        except OSError as error:
            raise self._failed(error) from error
        self._written = 0

    def _write(self, last: bytes | memoryview) -> None:
        """Write what is held in memory, then `last`, which ends a record."""
        assert self._handle is not None
        held, self._held = self._held, bytearray()
        try:
            for part in chain((memoryview(held),), chunks(last)):
                self._disk.write(self._handle, part)
        except OSError as error:
            self._disk.cut(self._handle, self._written)
            raise self._failed(error) from error
        self._written += len(held) + len(last)

    def _failed(self, error: OSError) -> OaSyncError:
        number = disk_number(error)
        if number is not None:
            where = f"the journal in {self._folder} cannot be written"
            return DiskError(
                where, number, "nothing more was asked for, and what was fetched before is kept"
            )
        return OaSyncError(
            f"the journal in {self._folder} cannot be written ({error.strerror}); nothing more was"
            " asked for, and what was fetched before is kept. Make room there, then run again"
        )


def _failures(segment: Path) -> Path:
    """The file with a mark for each load of `segment` that failed, or that did not end."""
    return segment.with_suffix(".failed")


def _marks(segment: Path) -> bytes:
    note = _failures(segment)
    return note.read_bytes() if note.exists() else b""


def _header(item: Item) -> dict[str, Any]:
    return {
        "kind": item.kind.value,
        "resource": item.resource,
        "key": item.key,
        "observed_at": item.observed_at,
        "version": item.version,
        "row_hash": item.row_hash,
        "detail_version": item.detail_version,
        "list_keys": item.list_keys,
        "whole": item.full,  # the name that files of earlier versions have
        "replaces": item.replaces,
        "first_seen": _sighting_header(item.first_seen),
        "deleted": item.deleted,
    }


def _sighting_header(sighting: Sighting | None) -> list[Any] | None:
    return None if sighting is None else [sighting.at, sighting.how]


def _sighting(header: list[str] | None) -> Sighting | None:
    return None if header is None else Sighting(datetime.fromisoformat(header[0]), header[1])


def _crc(header: bytes, row: bytes, body: bytes | memoryview) -> int:
    crc = zlib.crc32(row, zlib.crc32(header))
    for chunk in chunks(body):
        crc = zlib.crc32(chunk, crc)
    return crc


def _body(file: BinaryIO, length: int) -> bytes | memoryview:
    """The next `length` bytes of `file`; a large body stays in the file."""
    if length < MAPPED_BYTES:
        return file.read(length)
    start = file.tell()
    mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    file.seek(start + length)
    return mapped[start : start + length]


def _item(header: dict[str, Any], row: bytes, body: bytes | memoryview | None) -> Item:
    return Item(
        kind=Kind(header["kind"]),
        resource=header["resource"],
        key=header["key"],
        observed_at=datetime.fromisoformat(header["observed_at"]),
        version=header["version"],
        row_hash=header["row_hash"],
        detail_version=header["detail_version"],
        row=row,
        body=body,
        list_keys=tuple(header["list_keys"]),
        full=header["whole"],
        replaces=header["replaces"],
        first_seen=_sighting(header.get("first_seen")),
        deleted=header.get("deleted", False),
    )
