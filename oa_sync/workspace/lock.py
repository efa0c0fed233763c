"""One sync at a time for each workspace and destination.

The lock is an advisory lock of the operating system on a file (library: filelock; fasteners and
portalocker offer the same, filelock alone is maintained as a dependency of pip's own tools). The kernel
frees it when its holder dies, whatever the cause, so no lock is ever left behind. A file beside it says
who holds it, for the message only.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from oa_sync.clock import Clock, isoformat
from oa_sync.errors import ConfigurationError, LockHeldError


@contextmanager
def sync_lock(folder: Path, name: str, what: str, clock: Clock) -> Iterator[None]:
    """Hold the lock called `name` in `folder` for the `with` block.

    `folder` and its parent are made if missing, for their owner alone. `what` names the locked thing in
    the message.

    Raises:
        LockHeldError: another process holds it; says which one and since when.
        ConfigurationError: the folder cannot be written.
    """
    holder = folder / f"{name}.holder.json"
    lock = FileLock(folder / f"{name}.lock", timeout=0, mode=0o600)
    try:
        for private in (folder.parent, folder):
            private.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire()
    except Timeout:
        raise LockHeldError(
            f"{what}: another sync is running ({_describe(holder)}); wait for it, or end that process"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be written: {error.strerror}; choose another --home"
        ) from error
    try:
        holder.write_bytes(
            orjson.dumps(
                {"pid": os.getpid(), "host": socket.gethostname(), "since": isoformat(clock.now())}
            )
        )
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _describe(holder: Path) -> str:
    try:
        data = orjson.loads(holder.read_bytes())
        return f"process {data['pid']} on {data['host']} since {data['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its process is not known yet"
