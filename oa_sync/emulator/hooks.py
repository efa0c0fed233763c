"""The webhook registry of the cursor dialect."""

from __future__ import annotations

from typing import Any

from oa_sync.emulator.calls import Call
from oa_sync.emulator.encoding import encode
from oa_sync.emulator.order import CursorError, offset_of, sealed
from oa_sync.emulator.replies import Refusal, Reply
from oa_sync.emulator.webhooks import Hook


async def register(call: Call) -> Reply:
    """POST /webhooks. 409 for a URL that is registered for the same events."""
    body = await call.json_object()
    url = call.uri(body, "url", required=True)
    events = call.texts(body, "events", required=True)
    secret = call.field(body, "secret", str) or call.emulator.options.webhook_secret
    webhooks = call.emulator.webhooks
    hook = Hook(call.emulator.state.new_id("wh"), str(url), tuple(events or ()), secret)
    if any((other.url, other.events) == (hook.url, hook.events) for other in _all(call)):
        raise Refusal(409, f"{hook.url} is registered for these events already")
    webhooks.hooks[hook.id] = hook
    return Reply.of(201, hook.as_json())


async def listed(call: Call) -> Reply:
    """GET /webhooks."""
    size = call.integer("limit", 20, 100)
    cursors = call.request.query_params.getlist("after")
    try:
        start = offset_of(cursors[-1]) if cursors else 0
    except CursorError as error:
        raise call.invalid("after is not a cursor of this list") from error
    hooks = [hook.as_json() for hook in _all(call)]
    has_more = start + size < len(hooks)
    pagination: dict[str, Any] = {
        "cursor": sealed(start + size) if has_more else None,
        "has_more": has_more,
        "total": len(hooks),
    }
    return Reply(200, encode({"data": hooks[start : start + size], "pagination": pagination}))


async def forget(call: Call) -> Reply:
    """DELETE /webhooks/{id}."""
    if call.emulator.webhooks.hooks.pop(call.params["id"], None) is None:
        raise Refusal(404, f"no webhook has the id {call.params['id']!r}")
    return Reply(204, b"", ())


def _all(call: Call) -> list[Hook]:
    return list(call.emulator.webhooks.hooks.values())
