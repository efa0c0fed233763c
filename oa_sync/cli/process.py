"""How this process takes memory and gives it back, and how it writes its output.

A sync uses large, short-lived buffers. By default glibc keeps an arena for each thread, and Arrow's own pool
keeps memory that it has freed: the peak of a sync of a million rows is then a third higher. But if every
buffer of some hundred kilobytes is a mapping of its own, the kernel clears each of its pages every time: a
fifth of all CPU time (both measured, see tests/benchmarks/RESULTS.md).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import sys
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MMAP_FROM = 16 * 1024 * 1024
_TRIM_FROM = 64 * 1024 * 1024
_COLLECT_AFTER = (200_000, 50, 1_000)


def start_lightly() -> None:
    """Save time at start and exit. Call it before anything large is imported.

    The garbage collector looks for cycles less often: modules and decoded JSON are many containers without
    cycles. At exit it does nothing (saves 0.25 s; the kernel frees the memory anyway). NumPy starts no
    threads for linear algebra, which nothing here needs. httpx does not import its own command line, which
    would import Pygments (saves 0.1 s).

    Meant for the command line, not for a library call.
    """
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    gc.set_threshold(*_COLLECT_AFTER)
    atexit.register(gc.freeze)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def report_to_nobody() -> None:
    """Keep dlt from telling anybody of what this process does: its files may name a place (Sentry, Slack, its own
    beacon), also those of the current folder, and it sends the text of errors there, before a pipeline of ours is
    open. The environment goes before them.

    Meant for the command line: in a library call, dlt is configured by the program around it.
    """
    for name in ("SENTRY_DSN", "SLACK_INCOMING_HOOK", "DLTHUB_DSN"):
        os.environ[f"RUNTIME__{name}"] = ""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"


def give_memory_back() -> None:
    """Keep the peak of memory low: two arenas, only very large buffers as mappings of their own, and Arrow's
    buffers from the system. The garbage collector also skips everything imported so far.

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
    """Stop dlt from importing SQLAlchemy in this process (saves 0.25 s). For addresses, dlt then uses its own
    copies of a few functions, as it does where SQLAlchemy is not installed.

    Meant for the command line, with a destination that does not need SQLAlchemy.
    """
    with contextlib.suppress(ImportError):
        from dlt.common.libs import sql_alchemy_shims

        sys.modules.setdefault("dlt.common.libs.sql_alchemy_compat", sql_alchemy_shims)


def open_closed_streams() -> None:
    """Read nothing from, and write nothing to, a standard stream that was closed (`>&-`).

    Python has None for it, which cannot be written to; and a database opened later would get its number, which
    libraries write their last words to.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if (
            getattr(sys, name) is None
        ):  # the lowest number that is free is that of the first of them
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for good


def print_whatever_the_encoding() -> None:
    """Write characters that the encoding of stdout or stderr lacks as `\\xe9`, and never fail of them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Drop what is still to be written to stdout, which cannot be written. Python would try again at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
