"""A disk that loses what was not synced when the power is cut, and that can be full.

Files are real, in a folder in memory; what a power cut may still take back is written down here.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

from oa_sync.journal.disk import Disk


class SimulatedDisk(Disk):
    """As `Disk`, with `step` called before each operation: whoever kills raises there.

    `room` bytes may still be written (None: any number).
    """

    def __init__(self, shadow: Path, step: Callable[[str], None], now: Callable[[], float]) -> None:
        self._shadow, self._step, self._now = shadow, step, now
        self.room: int | None = None
        self.full_at: float | None = None
        """When the running sync was first refused a write for want of room."""
        self.closed_at: dict[Path, float] = {}
        """When the running sync last closed a segment of a journal, which is durable from then on, by its folder."""
        self.synced: dict[Path, int] = {}
        """Bytes of each open or unsynced file that a power cut leaves."""
        self.unnamed: set[Path] = set()
        """Files whose name a power cut may take away."""
        self.removed: dict[Path, Path] = {}
        """Files that a power cut may bring back, and where their content is kept."""
        self.replaced: dict[Path, bytes | None] = {}
        """Files whose content a power cut may turn back (None: to not being there), or cut short."""
        self._paths: dict[int, Path] = {}
        self._kept = 0

    def create(self, path: Path) -> int:
        self._step(f"create {path.name}")
        handle = super().create(path)
        self._paths[handle] = path
        self.synced[path] = 0
        self.unnamed.add(path)
        return handle

    def write(self, handle: int, data: bytes | bytearray | memoryview) -> None:
        path = self._paths[handle]
        self._step(f"write {path.name}")
        if self.room is not None:
            fits = min(self.room, len(data))
            self.room -= fits
            if fits < len(data):
                super().write(handle, memoryview(data)[:fits])
                self.full_at = self._now() if self.full_at is None else self.full_at
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(handle, data)

    def cut(self, handle: int, size: int) -> None:
        self._step("cut")
        super().cut(handle, size)

    def sync(self, handle: int) -> None:
        path = self._paths[handle]
        self._step(f"sync {path.name}")
        super().sync(handle)
        self.synced[path] = os.fstat(handle).st_size

    def sync_folder(self, folder: Path) -> None:
        self._step(f"sync {folder.name}/")
        super().sync_folder(folder)
        self.unnamed = {path for path in self.unnamed if path.parent != folder}
        for path in [path for path in self.removed if path.parent == folder]:
            self.removed.pop(path).unlink(missing_ok=True)

    def close(self, handle: int) -> None:
        super().close(handle)
        path = self._paths.pop(handle)
        if path.parent.name != "unfinished":
            self.closed_at[path.parent] = self._now()

    def remove(self, path: Path) -> None:
        self._step(f"remove {path.name}")
        if path.exists():
            self._kept += 1
            kept = self._shadow / f"removed-{self._kept}"
            os.link(path, kept)
            self.removed[path] = kept
        super().remove(path)

    def replace(self, path: Path, content: bytes) -> None:
        self._step(f"replace {path.name}")
        if self.room is not None and self.room < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if path not in self.replaced:
            self.replaced[path] = path.read_bytes() if path.exists() else None
        super().replace(path, content)

    def process_ended(self) -> None:
        """Whatever the process had open is closed; the kernel still has all that was written."""
        for handle in self._paths:
            super().close(handle)
        self._paths.clear()

    def process_begins(self) -> None:
        """A new sync: what the one before met is over."""
        self.full_at = None
        self.closed_at = {}

    def power_cut(self, chance: random.Random) -> None:
        """Lose what was not synced, or a part of it, as the seed says."""
        self.process_ended()
        for path, size in self.synced.items():
            if not path.exists():
                continue
            if path in self.unnamed and chance.random() < 0.5:
                path.unlink()
                continue
            written = path.stat().st_size
            if written > size and chance.random() < 0.7:
                _lose(path, size, written, chance)
        for path, kept in self.removed.items():
            if not path.exists() and chance.random() < 0.5:
                os.link(kept, path)
        for path, before in self.replaced.items():
            how = chance.random()
            if how < 0.4 and before is None:
                path.unlink(missing_ok=True)
            elif how < 0.4 and before is not None:
                path.write_bytes(before)
            elif how < 0.6 and path.exists():
                content = path.read_bytes()
                path.write_bytes(content[: chance.randrange(len(content) + 1)])
        self.settled()

    def freeze(self) -> None:
        """Remember what a power cut may take back now: a killed process did no more."""
        self._frozen = (
            dict(self.synced),
            set(self.unnamed),
            dict(self.removed),
            dict(self.replaced),
            dict(self.closed_at),
        )

    def thaw(self) -> None:
        """Forget what came after `freeze`."""
        self.synced, self.unnamed, self.removed, self.replaced, self.closed_at = self._frozen

    def forget(self) -> None:
        """The files are gone, whatever became of them."""
        self.synced.clear()
        self.unnamed.clear()
        self.removed.clear()
        self.replaced.clear()

    def settled(self) -> None:
        """So much later that all of it is on the disk."""
        self.synced = {p: p.stat().st_size for p in self._paths.values() if p.exists()}
        self.unnamed.clear()
        self.replaced.clear()
        for kept in self.removed.values():
            kept.unlink(missing_ok=True)
        self.removed.clear()


def _lose(path: Path, size: int, written: int, chance: random.Random) -> None:
    """The tail behind `size` is gone, cut anywhere, or has zeros in it where a block was not written."""
    content = bytearray(path.read_bytes())
    match chance.randrange(3):
        case 0:
            del content[size:]
        case 1:
            del content[chance.randrange(size, written) :]
        case _:
            start = chance.randrange(size, written)
            stop = min(written, start + 1 + chance.randrange(4096))
            content[start:stop] = bytes(stop - start)
    path.write_bytes(content)
