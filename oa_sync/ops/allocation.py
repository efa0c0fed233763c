"""Memory that is given back when it is no longer used.

A sync works through large short-lived buffers. Left to themselves, glibc raises the size from which a
buffer is a mapping of its own (up to 32 MB) and keeps an arena for each thread, and Arrow's own pool
keeps what it once had; the peak of a sync of a million rows is then a third higher (measured, see
tests/benchmarks/RESULTS.md).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MMAP_FROM = 256 * 1024
_TRIM_FROM = 1024 * 1024


def give_memory_back() -> None:
    """For this process: large buffers are mappings of their own, Arrow takes them from the system, and
    the garbage collector looks for cycles more seldom: decoded JSON is many containers and no cycle.

    Meant for the command line, not for a library call.
    """
    gc.freeze()
    gc.set_threshold(200_000, 50, 1_000)
    with contextlib.suppress(OSError, AttributeError):
        glibc = ctypes.CDLL("libc.so.6")
        glibc.mallopt(_M_ARENA_MAX, 2)
        glibc.mallopt(_M_MMAP_THRESHOLD, _MMAP_FROM)
        glibc.mallopt(_M_TRIM_THRESHOLD, _TRIM_FROM)
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())


def spare_sqlalchemy() -> None:
    """For this process: dlt spells addresses by its own copy of a few functions of SQLAlchemy, as it does
    where that is not installed. To import it takes a quarter of a second.

    Meant for the command line with a destination that is no business of SQLAlchemy's.
    """
    with contextlib.suppress(ImportError):
        from dlt.common.libs import sql_alchemy_shims

        sys.modules.setdefault("dlt.common.libs.sql_alchemy_compat", sql_alchemy_shims)
