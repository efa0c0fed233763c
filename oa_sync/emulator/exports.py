"""Exports of the cursor dialect, and the pre-signed URLs their files are fetched from."""

from __future__ import annotations

import asyncio
import io
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from oa_sync.clock import isoformat
from oa_sync.emulator.answers import Call, Refusal, Reply
from oa_sync.emulator.resources import not_found
from oa_sync.emulator.sandbox import rows_of, sandbox

if TYPE_CHECKING:
    import pyarrow as pa
    from starlette.requests import Request

# Documented: a download URL is valid for 15 minutes.
URL_LIVES = timedelta(minutes=15)
DOWNLOADS = "/downloads/"
MEDIA = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "json": "application/json",
}
RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


@dataclass(slots=True)
class Export:
    """A finished file, and how often it must be asked for before it is said to be ready."""

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


async def create(call: Call) -> Reply:
    """POST /exports: 202 with an id."""
    body = await call.json_object()
    dataset_id = call.text(body, "dataset_id")
    form = call.text(body, "format")
    wanted = call.field(body, "filter", dict) or {}
    if form not in (*MEDIA, "xlsx"):
        raise call.invalid(f"format must be one of parquet, csv, json, xlsx, not {form!r}")
    state = call.emulator.state
    if state.record("datasets", dataset_id) is None:
        raise not_found(call, "datasets", dataset_id)
    if form == "xlsx":
        raise Refusal(422, "xlsx is not available here; ask for parquet, csv or json")
    rows = rows_of(state, dataset_id)
    if rows is None:
        raise Refusal(422, f"the dataset {dataset_id!r} has no rows to export")
    content = await asyncio.to_thread(_write, rows, form, wanted)
    export_id = state.new_id("exp")
    polls = call.emulator.options.ready_after_polls
    call.emulator.exports.exports[export_id] = Export(form, content, polls)
    call.emulator.webhooks.announce("export.ready", {"id": export_id, "status": "ready"})
    return Reply.of(202, {"id": export_id, "status": "processing"})


async def download_of(call: Call) -> Reply:
    """GET /exports/{id}/download: 409 until the file is ready, then a pre-signed URL."""
    exports = call.emulator.exports
    export = exports.exports.get(call.params["id"])
    if export is None:
        raise Refusal(404, f"no export has the id {call.params['id']!r}")
    if export.polls_left > 0:
        export.polls_left -= 1
        raise Refusal(409, "the export is still processing")
    token = secrets.token_urlsafe(24)
    expires_at = call.now + URL_LIVES
    exports.tickets[token] = Ticket(export, expires_at)
    host, port = call.request.scope["server"]
    answer = {
        "download_url": f"http://{host}:{port}{DOWNLOADS}{token}",
        "expires_at": isoformat(expires_at),
        "size_bytes": len(export.content),
        "format": export.format,
    }
    return Reply.of(200, answer)


def _write(rows: bytes, form: str, wanted: dict[str, Any]) -> bytes:
    if form == "json" and not wanted:
        return rows
    with sandbox(rows) as connection:
        known = [column[0] for column in connection.execute("FROM data LIMIT 0").description]
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise Refusal(422, f"filter: no column {unknown[0]!r} in the dataset")
        tests = [f"{_quoted(name)}::VARCHAR IS NOT DISTINCT FROM ?" for name in wanted]
        condition = " AND ".join(tests) or "true"
        values = [None if value is None else str(value) for value in wanted.values()]
        found = connection.sql(f"FROM data WHERE {condition}", params=values)
        return _serialise(found.to_arrow_table(), form)


def _serialise(table: pa.Table, form: str) -> bytes:
    from pyarrow import csv, parquet

    if form == "json":
        from oa_sync.emulator.encoding import encode

        return encode(table.to_pylist())
    target = io.BytesIO()
    if form == "csv":
        csv.write_csv(_flat(table), target)
    else:
        parquet.write_table(table, target)
    return target.getvalue()


def _flat(table: pa.Table) -> pa.Table:
    """The table with nested columns as JSON text: CSV cells hold no structure."""
    import pyarrow as pa

    from oa_sync.emulator.encoding import encode

    for index, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            texts = [
                None if value is None else encode(value).decode()
                for value in table.column(index).to_pylist()
            ]
            table = table.set_column(index, field.name, pa.array(texts, pa.string()))
    return table


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


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
