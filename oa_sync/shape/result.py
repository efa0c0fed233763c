"""The rows of one large JSON answer or file, which can be read more than once.

A query's result may have millions of rows. Its body is then in a mapped file (see
`oa_sync.client.body`), and neither the whole body nor all its rows are ever in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oa_sync.shape.body import Body, chunks
from oa_sync.shape.cutting.cut import Cutter
from oa_sync.shape.cutting.spans import Rows
from oa_sync.shape.json_text import decode

Path = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class JsonResult:
    """A JSON document and the list of rows in it.

    `head` is the rest of the document (a document that is a list has an empty one), `count` the
    number of rows. Without a list `path` and `count` are None.
    """

    body: Body = field(repr=False)
    path: Path | None
    head: Mapping[str, Any]
    count: int | None

    def blocks(self) -> Iterator[Rows]:
        """The rows, some megabytes at a time; may be called again."""
        if self.path is None:
            return
        cutter = Cutter(self.path)
        for chunk in chunks(self.body):
            yield from cutter.feed(chunk)
        cutter.finish()


def json_rows(body: Body, paths: Sequence[Path]) -> JsonResult:
    """Find the rows of `body`: the list at the first of `paths` (keys from the outside in) that leads
    to one, and how many there are.

    Raises InvalidJsonError if `body` is not one whole JSON document.
    """
    path = _path_of_list(body, paths)
    if path is None:
        return JsonResult(body, None, _head(bytes(body)), None)
    cutter = Cutter(path)
    count = sum(len(rows) for chunk in chunks(body) for rows in cutter.feed(chunk))
    return JsonResult(body, path, _head(cutter.finish()), count)


def _path_of_list(body: Body, paths: Sequence[Path]) -> Path | None:
    cutters = [Cutter(path) for path in paths]
    for chunk in chunks(body):
        for cutter in cutters:
            cutter.feed(chunk)
        found = next((cutter.path for cutter in cutters if cutter.found), None)
        if found is not None:
            return found
    return None


def _head(text: bytes) -> Mapping[str, Any]:
    head = decode(text)
    return head if isinstance(head, dict) else {}
