"""A host of files behind URLs, over real HTTP: cuts, ranges, redirects as a test asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.client.scripted import Reply, Seen, reply


@dataclass
class FileHost:
    """Serves `content`. `cuts`: after how many bytes each of the next answers breaks off. `status`:
    answers to give instead of the file, one after the other."""

    content: bytes
    cuts: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: str | None = '"one"'

    def __call__(self, request: Seen) -> Reply:
        if self.status:
            return reply(b"<Error/>", status=self.status.pop(0))
        start, status, more = 0, 200, {}
        wanted = request.headers.get("range")
        fresh = request.headers.get("if-range", self.etag) == self.etag
        if wanted and self.ranges and fresh:
            start, status = int(wanted.removeprefix("bytes=").removesuffix("-")), 206
            if start >= len(self.content):
                return reply(b"", status=416)
            size = len(self.content)
            more["content_range"] = f"bytes {start}-{size - 1}/{size}"
        if self.etag:
            more["etag"] = self.etag
        part = self.content[start:]
        if self.cuts:
            return reply(part[: self.cuts.pop(0)], status, length=len(part), then="reset", **more)
        return reply(part, status, **more)


def redirect(to: str) -> Callable[[Seen], Reply]:
    return lambda _: reply(b"", status=302, location=to)
