"""Which disk refused: that of the home folder, or that of the destination."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from oa_sync.errors import DiskError, causes, disk_number
from oa_sync.settings import IN_A_BUCKET, Settings


def disk_error(error: BaseException, settings: Settings) -> DiskError | None:
    """`error` as the fault of a disk, with its place; None if it is something else."""
    if isinstance(error, DiskError):
        return error
    number = disk_number(error)
    if number is None:
        return None
    if _is_of_home(error, settings):
        where = f"the home folder {settings.home} cannot be written, where rows wait to be loaded"
        return DiskError(where, number)
    return DiskError(f"the destination {settings.place} cannot be written", number)


def _is_of_home(error: BaseException, settings: Settings) -> bool:
    """Whether home is at fault. An error seldom names a file: then the one disk with less room is, and
    where the destination is no folder of this machine, home."""
    home, other = str(settings.home), _folder(settings)
    told = " ".join(_texts(error))
    named = [place for place in (home, str(other or settings.place)) if place in told]
    if named:
        return max(named, key=len) == home  # one may lie in the other
    if other is None:
        return any(isinstance(one, OSError) for one in causes(error))
    return _room(settings.home) <= _room(other)


def _texts(error: BaseException) -> list[str]:
    found = []
    for one in causes(error):
        found.append(str(one))
        if isinstance(one, OSError):
            found += [str(one.filename or ""), str(one.filename2 or "")]
    return found


def _folder(settings: Settings) -> Path | None:
    """The folder of a destination on this machine."""
    if settings.destination == "duckdb":
        return settings.database.parent
    if settings.destination not in IN_A_BUCKET:
        return None
    parts = urlsplit(str(settings.bucket_url))
    return Path(parts.path) if parts.scheme in ("", "file") else None


def _room(folder: Path) -> int:
    """Bytes that this user may still write on the disk of `folder`."""
    while not folder.exists():
        folder = folder.parent
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
