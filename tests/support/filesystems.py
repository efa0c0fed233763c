"""Filesystems of tests: small and read-only ones, mounted to hear what a full disk really answers; memory; locks."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

IN_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
"""Where a file costs no flush to a disk: for what is done a thousand times and looks at no power cut."""


@contextmanager
def filesystem(folder: Path, size: str) -> Iterator[Path]:
    """A filesystem of `size` (`1m`) in memory, at `folder`. The test is skipped where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_read_only(folder: Path) -> None:
    """Let the filesystem mounted at `folder` take no changes any more."""
    _mount("-o", "remount,ro", folder)


def fill(folder: Path, *, leaving: int = 0) -> Path:
    """Fill the filesystem but for `leaving` bytes; remove the returned file to make room again."""
    filler = folder / "filler"
    block = bytes(4096)
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(block)
        except OSError:
            file.truncate(max(0, file.tell() // 4096 * 4096 - leaving))
    return filler


def _mount(*arguments: object) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no filesystem can be mounted here")


def is_locked(path: Path) -> bool:
    """Whether another handle, of this process or not, has the lock of the file `path`."""
    with path.open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
