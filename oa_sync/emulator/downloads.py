"""Files of exports, and the pre-signed URLs they are fetched from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from oa_sync.emulator.replies import Refusal, Reply

if TYPE_CHECKING:
    from starlette.requests import Request

DOWNLOADS = "/downloads/"
MEDIA = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "json": "application/json",
}
RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


@dataclass(slots=True)
class Export:
    """A finished file, and how many more requests for it are told that it is not ready."""

    format: str
    content: bytes
    polls_left: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a pre-signed URL stands for."""

    export: Export
    expires_at: datetime


class Exports:
    """Exports by id, and tickets by the token in their URL."""

    def __init__(self) -> None:
        self.exports: dict[str, Export] = {}
        self.tickets: dict[str, Ticket] = {}

    def download(self, request: Request, now: datetime) -> Reply:
        """Serve a pre-signed URL, whole or by range.

        It carries its own permission: a request that also sends a key is refused with 400, as
        object stores do.
        """
        if request.method not in ("GET", "HEAD"):
            raise Refusal(405, "a download is fetched with GET")
        if "authorization" in request.headers:
            raise Refusal(400, "a pre-signed URL must be fetched without an Authorization header")
        ticket = self.tickets.get(request.url.path.removeprefix(DOWNLOADS))
        if ticket is None:
            raise Refusal(404, "no such download")
        if now >= ticket.expires_at:
            raise Refusal(403, "the download URL has expired; ask for the export's download again")
        return _file(ticket.export, request.headers.get("range"))


def _file(export: Export, wanted: str | None) -> Reply:
    size = len(export.content)
    headers = (("content-type", MEDIA[export.format]), ("accept-ranges", "bytes"))
    span = _span(wanted, size)
    if span is None:
        return Reply(200, export.content, headers)
    start, end = span
    if start >= min(end, size):
        return Reply(416, b"", (*headers, ("content-range", f"bytes */{size}")))
    part = export.content[start:end]
    shown = f"bytes {start}-{start + len(part) - 1}/{size}"
    return Reply(206, part, (*headers, ("content-range", shown)))


def _span(wanted: str | None, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of a single byte range; None where RFC 9110 lets us ignore it."""
    found = RANGE.fullmatch(wanted or "")
    if not found or found.group(0) == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size
