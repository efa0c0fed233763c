"""Lists and details in both dialects."""

from __future__ import annotations

from typing import Any

from oa_sync.emulator.calls import Call, Endpoint
from oa_sync.emulator.encoding import encode
from oa_sync.emulator.order import CursorError
from oa_sync.emulator.replies import Refusal, Reply

NOUN = {"datasets": "dataset", "reports": "report", "dashboards": "dashboard", "agent_runs": "run"}


def list_of(resource: str) -> Endpoint:
    """The endpoint that lists `resource`."""

    async def endpoint(call: Call) -> Reply:
        page = call.emulator.options.dialect == "page"
        state = call.emulator.state
        with state.lock:
            return _numbered_page(call, resource) if page else _cursor_page(call, resource)

    return endpoint


def one_of(resource: str) -> Endpoint:
    """The endpoint that answers with one detail of `resource`, by id."""

    async def endpoint(call: Call) -> Reply:
        record_id = call.params["id"]
        if resource == "agent_runs":
            call.emulator.runs.polled(record_id)
        state = call.emulator.state
        with state.lock:
            record = state.record(resource, record_id)
            if record is None:
                raise not_found(call, resource, record_id)
            return Reply(200, state.views.detail(resource, record))

    return endpoint


def not_found(call: Call, resource: str, record_id: str) -> Refusal:
    """The refusal for an id that does not exist."""
    page_dataset = resource == "datasets" and call.emulator.options.dialect == "page"
    code = "DATASET_NOT_FOUND" if page_dataset else None
    return Refusal(404, f"no {NOUN[resource]} has the id {record_id!r}", code)


def _numbered_page(call: Call, resource: str) -> Reply:
    number = call.integer("page", 1)
    size = _capped(call, call.integer("per_page", 25, 100))
    state = call.emulator.state
    records = state.ordering(resource).records()
    rows = [state.views.row(resource, r) for r in records[(number - 1) * size : number * size]]
    total = len(records)
    meta = {"page": number, "per_page": size, "total": total, "total_pages": -(-total // size)}
    return _envelope(rows, "meta", meta)


def _cursor_page(call: Call, resource: str) -> Reply:
    size = _capped(call, call.integer("limit", 20, 100))
    state = call.emulator.state
    ordering = state.ordering(resource)
    records = ordering.records()
    start = 0
    cursors = call.request.query_params.getlist("after")
    if cursors:
        try:
            start = ordering.start_of(cursors[-1])
        except CursorError as error:
            raise call.invalid("after is not a cursor of this list") from error
    chosen = records[start : start + size]
    has_more = start + size < len(records)
    cursor = ordering.cursor_after(start + size - 1) if has_more else None
    rows = [state.views.row(resource, record) for record in chosen]
    pagination = {"cursor": cursor, "has_more": has_more, "total": len(records)}
    return _envelope(rows, "pagination", pagination)


def _capped(call: Call, size: int) -> int:
    return min(size, call.emulator.options.max_per_page or size)


def _envelope(rows: list[bytes], name: str, value: dict[str, Any]) -> Reply:
    return Reply(200, b'{"data":[%b],"%b":%b}' % (b",".join(rows), name.encode(), encode(value)))
