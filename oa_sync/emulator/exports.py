"""Exports of the cursor dialect: made at once, but reported as ready only after some polls."""

from __future__ import annotations

import asyncio
import io
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from oa_sync.clock import isoformat
from oa_sync.emulator.calls import Call
from oa_sync.emulator.downloads import DOWNLOADS, MEDIA, Export, Ticket
from oa_sync.emulator.replies import Refusal, Reply
from oa_sync.emulator.resources import not_found
from oa_sync.emulator.sandbox import rows_of, sandbox

if TYPE_CHECKING:
    import pyarrow as pa

# Documented: a download URL is valid for 15 minutes.
URL_LIVES = timedelta(minutes=15)


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


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
