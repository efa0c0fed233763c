"""Queries in both dialects: run at once; the result is in the answer, or asked for by id."""

from __future__ import annotations

import asyncio
from typing import Any

from oa_sync.clock import isoformat
from oa_sync.emulator.calls import Call
from oa_sync.emulator.encoding import encode
from oa_sync.emulator.replies import Refusal, Reply
from oa_sync.emulator.resources import not_found
from oa_sync.emulator.sandbox import QueryError, Stored, Table, rows_of, run

KEPT_RESULTS = 200


async def run_page(call: Call) -> Reply:
    """POST /queries of the page dialect: 200 with the rows, or 202 with an id when slow."""
    body = await call.json_object()
    table = await _run(call, body, call.text(body, "query", minimum=1), None)
    url = call.uri(body, "webhook_url")
    query_id = call.emulator.state.new_id("qry")
    if not call.emulator.options.slow_queries:
        return _page_results(query_id, table)
    _keep(call, query_id, table)
    if url is not None:
        call.emulator.webhooks.announce(
            "query.completed", {"id": query_id, "status": "completed"}, url
        )
    return Reply.of(202, {"id": query_id, "status": "running"})


async def run_cursor(call: Call) -> Reply:
    """POST /queries/run of the cursor dialect: 202 with an id."""
    body = await call.json_object()
    sql = call.text(body, "sql", minimum=1)
    table = await _run(call, body, sql, call.positive(body, "timeout"))
    query_id = call.emulator.state.new_id("qry")
    _keep(call, query_id, table)
    created = isoformat(call.now)
    return Reply.of(202, {"id": query_id, "status": "queued", "created_at": created})


async def results(call: Call) -> Reply:
    """GET /queries/{id}/results in either dialect."""
    query_id = call.params["id"]
    stored = call.emulator.results.get(query_id)
    if stored is None:
        raise Refusal(404, f"no query has the id {query_id!r}")
    if stored.polls_left > 0:
        stored.polls_left -= 1
        return Reply.of(200, {"id": query_id, "status": "running"})
    table = stored.table
    if call.emulator.options.dialect == "page":
        return _page_results(query_id, table)
    head = _head(query_id, table)
    tail = {"row_count": table.row_count, "execution_time_ms": table.milliseconds}
    return Reply(200, b'%b,"rows":%b,%b' % (head[:-1], table.rows, encode(tail)[1:]))


async def _run(call: Call, body: dict[str, Any], sql: str, timeout: int | None) -> Table:
    dataset_id = call.text(body, "dataset_id")
    state = call.emulator.state
    if state.record("datasets", dataset_id) is None:
        raise not_found(call, "datasets", dataset_id)
    try:
        return await asyncio.to_thread(run, sql, rows_of(state, dataset_id), timeout)
    except QueryError as error:
        raise Refusal(422, f"the query failed: {error}") from error


def _keep(call: Call, query_id: str, table: Table) -> None:
    kept = call.emulator.results
    kept[query_id] = Stored(table, call.emulator.options.ready_after_polls)
    while len(kept) > KEPT_RESULTS:
        del kept[next(iter(kept))]


def _page_results(query_id: str, table: Table) -> Reply:
    return Reply(200, b'%b,"data":%b}' % (_head(query_id, table)[:-1], table.rows))


def _head(query_id: str, table: Table) -> bytes:
    return encode({"id": query_id, "status": "completed", "columns": table.columns})
