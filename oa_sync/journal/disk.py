"""How files are written that must survive: the operating system's calls, in one place."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from oa_sync.private import open_private, private_folder, replace_file

TRIED_BYTES = 65_536
"""What is written where it is tried whether a disk takes anything. A full one may still make empty files."""


def require_writable(folder: Path, size: int = TRIED_BYTES) -> None:
    """Write a file of `size` bytes and without a name into `folder`.

    Raises:
        OSError: the disk has no room for it, or this user may not write there.
    """
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        content = memoryview(bytes(size))
        while content:
            content = content[file.write(content) :]


class Disk:
    """Writes files that are for their owner alone. Every method raises OSError where the disk refuses.

    What is written survives a killed process at once, and a power cut from the next `sync` of the file and
    `sync_folder` of its folder on.
    """

    def create(self, path: Path) -> int:
        """Create the file `path`, which must not be there, and open it for appending; its handle."""
        # O_APPEND: after the file was cut back, the next write goes to its new end.
        return open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL)

    def write(self, handle: int, data: bytes | bytearray | memoryview) -> None:
        """Append all of `data`. A failure may leave a part of it."""
        rest = memoryview(data)
        while len(rest):
            rest = rest[os.write(handle, rest) :]

    def cut(self, handle: int, size: int) -> None:
        """Cut the file back to `size` bytes."""
        os.ftruncate(handle, size)

    def sync(self, handle: int) -> None:
        """Make what was written to the file durable."""
        os.fsync(handle)

    def sync_folder(self, folder: Path) -> None:
        """Make the names of the files in `folder` durable."""
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def close(self, handle: int) -> None:
        """Close the file."""
        os.close(handle)

    def remove(self, path: Path) -> None:
        """Remove the file, if it is there."""
        path.unlink(missing_ok=True)

    def replace(self, path: Path, content: bytes) -> None:
        """Write the file `path` whole: a reader sees the old content or the new. Not made durable: for what
        may get lost."""
        private_folder(path.parent)
        replace_file(path, content)
