"""A disk that refuses in the middle of a sync is told once, by its name, and never taken for a row's fault."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from oa_sync.commands.status import status
from oa_sync.commands.sync import sync
from oa_sync.emulator.synthetic import synthetic_workspace
from oa_sync.errors import DestinationError, DiskError, disk_number
from oa_sync.load.disk_errors import disk_error
from oa_sync.settings import Settings
from tests.support.emulator import emulator
from tests.support.filesystems import filesystem, fill
from tests.support.syncing import run_sync, settings_for

LARGE = "reports=20,datasets=3,dashboards=2,runs=0,rows=3000,columns=3,panels=2"
FULL = [
    ("home", "duckdb", 0),  # not even the lock
    ("home", "duckdb", 8_192),
    ("home", "duckdb", 57_344),  # for the ledger, and not for the index of its log
    ("home", "duckdb", 100_000),
    ("home", "duckdb", 400_000),  # for the ledger, and no details
    ("home", "duckdb", 3_000_000),  # in the middle of a load
    ("home", "parquet", 1_200_000),
    ("destination", "duckdb", 1_000_000),
    ("destination", "parquet", 100_000),
]


def places(full: str, kind: str, disk: Path, other: Path) -> dict[str, Any]:
    home, destination = (disk, other) if full == "home" else (other, disk)
    places: dict[str, Any] = {"home": home / "home", "database": destination / "oa_sync.duckdb"}
    if kind == "parquet":
        places |= {"destination": "parquet", "bucket_url": str(destination / "lake")}
    return places


@pytest.mark.parametrize(("full", "kind", "room"), FULL)
def test_a_full_disk_is_told_once_by_its_name(
    full: str, kind: str, room: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        emulator(synthetic_workspace(LARGE)) as server,
        filesystem(tmp_path / "disk", "16m") as disk,
    ):
        settings = settings_for(server.base_url, tmp_path, **places(full, kind, disk, tmp_path))
        filler = fill(disk, leaving=room)
        for _ in range(4 if room < 1024 * 1024 else 1):  # more often than a segment may fail
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                report = sync(settings)
            assert report.exit_code == 1
            assert isinstance(report.error, DiskError)
            assert report.error.retry
            assert "No space left on device" in str(report.error)
            assert str(disk) in str(report.error)
            assert ("home" in str(report.error)) == (full == "home")
            assert "row at fault" not in caplog.text
            assert "never retrieved" not in caplog.text
            assert "Traceback" not in caplog.text
            assert not any(tally.set_aside for tally in report.tallies.values())
        asked = server.state.counters
        assert asked.total == 0 or full == "destination" or room > 1024 * 1024
        filler.unlink()
        run_sync(settings)
        assert not status(settings).segments_set_aside
        assert full == "home" or max(asked.details.values()) == 1, "what was fetched is kept"


def test_what_quotes_a_value_is_never_taken_for_a_disk() -> None:
    full = os.strerror(errno.ENOSPC)
    for error in (
        duckdb.ConversionException(f"Conversion Error: Could not convert string '{full}'"),
        pa.ArrowInvalid(f"Could not convert '{full}' with type str"),
        DestinationError(f"the value {full!r} does not fit"),
        ValueError(full),
    ):
        assert disk_number(error) is None


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("SQLITE_FULL", errno.ENOSPC),
        ("SQLITE_IOERR_SHMSIZE", errno.ENOSPC),
        ("SQLITE_IOERR_READ", errno.EIO),
        ("SQLITE_IOERR_WRITE", errno.EIO),
        ("SQLITE_IOERR_FSYNC", errno.EIO),
        # These are about a file system that SQLite cannot work on, as one of a network.
        ("SQLITE_IOERR_LOCK", None),
        ("SQLITE_IOERR_SHMMAP", None),
        ("SQLITE_BUSY", None),
    ],
)
def test_what_sqlite_says_of_a_disk_is_known_by_its_code(name: str, number: int | None) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    assert disk_number(error) == number


@pytest.mark.parametrize(
    "error",
    [
        duckdb.IOException(f'Could not write file "x": {os.strerror(errno.EROFS)}'),
        sqlite3.OperationalError("database or disk is full"),
        OSError(f"[Errno 5] Error writing bytes to file. Detail: {os.strerror(errno.EIO)}"),
        PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
    ],
)
def test_libraries_tell_of_a_disk_in_many_ways(error: Exception, tmp_path: Path) -> None:
    try:
        raise DestinationError("it failed") from error
    except DestinationError as wrapped:
        told = disk_error(wrapped, Settings(home=tmp_path))
    assert told is not None
    assert told.retry == (told.number in (errno.ENOSPC, errno.EIO))
