"""A whole body, in memory or in a file, and reading it without holding it."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator

Body = bytes | memoryview
"""Bytes, or a read-only view of a mapped, unlinked file."""

MIB = 1024 * 1024
STRETCH = 4 * MIB


def stretches(body: Body) -> Iterator[Body]:
    """`body` in stretches of at most `STRETCH` bytes, each let go of when the next one is asked for.

    What is read of a mapped file counts as this process's memory until the kernel wants it back. A
    stretch that is let go of stays in the file, and mostly in the kernel's cache.
    """
    if len(body) <= STRETCH:
        yield body
        return
    view = memoryview(body)
    for start in range(0, len(view), STRETCH):
        yield view[start : start + STRETCH]
        if isinstance(view.obj, mmap.mmap):
            with contextlib.suppress(OSError, AttributeError):
                view.obj.madvise(mmap.MADV_DONTNEED)
