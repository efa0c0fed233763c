"""The long list of a body that is too large for memory: blocks of rows, cut again each time they are read.

The body is a view of a mapped file (see `oa_sync.client.body`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from oa_sync.shape.body import chunks
from oa_sync.shape.cutting.cut import Cutter
from oa_sync.shape.cutting.head import Path
from oa_sync.shape.cutting.spans import Rows

_BLOCK = 4 << 20


@dataclass(frozen=True, eq=False)
class SpooledRows:
    """The elements of the list at `path` of `body`: `count` of them, `nbytes` bytes together.

    The same as `Rows`, for a list that is not in memory: only one block of it is at a time.
    """

    body: memoryview
    path: Path
    count: int
    nbytes: int

    def __len__(self) -> int:
        return self.count

    def pieces(self, max_bytes: int, until: int | None = None) -> Iterator[tuple[int, Rows]]:
        """The elements before position `until` (None: all) in pieces of at most about `max_bytes`,
        each piece with the position of its first element."""
        start, end = 0, self.count if until is None else until
        for block in _blocks(Cutter(self.path, max_bytes), self.body):
            if start >= end:
                return
            block = block.slice(0, end - start)
            for place, piece in block.pieces(max_bytes):
                yield start + place, piece
            start += len(block)


def cut_spooled(body: memoryview, path: Path) -> tuple[bytes, SpooledRows | None]:
    """The rest of `body` around the list at `path`, with `[]` in its place, and the list.

    The list is None if there is none at `path`; the whole body was read for nothing then.

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
    for chunk in chunks(body):
        yield from cutter.feed(chunk)
