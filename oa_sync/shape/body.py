"""A response body, in memory or in a file, and how to read it in chunks without holding all of it."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator

Body = bytes | memoryview
"""Bytes, or a read-only view of a mapped, unlinked file."""

MIB = 1024 * 1024
CHUNK_BYTES = 4 * MIB


def chunks(body: Body) -> Iterator[Body]:
    """`body` in chunks of at most `CHUNK_BYTES` bytes; each is released when the next one is asked for.

    What is read of a mapped file counts as memory of this process until the kernel takes it back. A
    released chunk stays in the file, and mostly in the kernel's cache.
    """
    if len(body) <= CHUNK_BYTES:
        yield body
        return
    view = memoryview(body)
    for start in range(0, len(view), CHUNK_BYTES):
        yield view[start : start + CHUNK_BYTES]
        if isinstance(view.obj, mmap.mmap):
            with contextlib.suppress(OSError, AttributeError):
                view.obj.madvise(mmap.MADV_DONTNEED)
