"""How this process takes memory, and gives it back.

A sync works through large short-lived buffers. Left to itself, glibc keeps an arena for each thread, and
Arrow's own pool keeps what it once had; the peak of a sync of a million rows is then a third higher. Where
every buffer of some hundred kilobytes is a mapping of its own, on the other hand, the kernel clears each of
its pages anew: a fifth of all CPU time (both measured, see tests/benchmarks/RESULTS.md).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MMAP_FROM = 16 * 1024 * 1024
_TRIM_FROM = 64 * 1024 * 1024
_COLLECT_AFTER = (200_000, 50, 1_000)


def start_lightly() -> None:
    """For this process, before anything large is imported: the garbage collector looks for cycles more
    seldom (modules and decoded JSON are many containers and no cycle), not at all when everything is over
    (a quarter of a second that frees what the kernel frees anyway), and NumPy keeps no threads for a linear
    algebra that nothing here needs. httpx leaves out its own command line, which brings Pygments with it: a
    tenth of a second.

    Meant for the command line, not for a library call.
    """
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    gc.set_threshold(*_COLLECT_AFTER)
    atexit.register(gc.freeze)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def give_memory_back() -> None:
    """For this process: two arenas, very large buffers are mappings of their own, Arrow takes its buffers
    from the system, and what is imported by now is never looked at by the garbage collector.

    Meant for the command line, not for a library call.
    """
    import ctypes

    gc.freeze()
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
