"""A body that was too large for the memory: its long list in blocks, cut again whenever they are asked for.

The body is a view of a mapped file (see `oa_sync.client.body`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from oa_sync.shape.body import stretches
from oa_sync.shape.cutting.cut import Cutter
from oa_sync.shape.cutting.head import Path
from oa_sync.shape.cutting.spans import Rows

_BLOCK = 4 << 20


@dataclass(frozen=True, eq=False)
class SpooledRows:
    """The elements of the list at `path` of `body`: `count` of them, `nbytes` bytes together.

    What `Rows` is for a list in memory; only a block of it is ever there.
    """

    body: memoryview
    path: Path
    count: int
    nbytes: int

    def __len__(self) -> int:
        return self.count

    def pieces(self, max_bytes: int, until: int | None = None) -> Iterator[tuple[int, Rows]]:
        """The elements before the one at `until` (None: all) in pieces of at most about `max_bytes`,
        each with the position of its first element."""
        start, end = 0, self.count if until is None else until
        for block in _blocks(Cutter(self.path, max_bytes), self.body):
            if start >= end:
                return
            block = block.slice(0, end - start)
            for place, piece in block.pieces(max_bytes):
                yield start + place, piece
            start += len(block)


def cut_spooled(body: memoryview, path: Path) -> tuple[bytes, SpooledRows | None]:
    """What stands around the list at `path` of `body`, with `[]` in its place, and the list.

    None where there is no such list: then everything has been read for nothing.

    Raises:
        InvalidJsonError: as `oa_sync.shape.cutting.cut.Cutter`.
    """
    cutter = Cutter(path, _BLOCK)
    count = nbytes = 0
    for block in _blocks(cutter, body):
        count += len(block)
        nbytes += block.nbytes
    head = cutter.finish()
    return head, SpooledRows(body, path, count, nbytes) if cutter.found else None


def _blocks(cutter: Cutter, body: memoryview) -> Iterator[Rows]:
    for stretch in stretches(body):
        yield from cutter.feed(stretch)
