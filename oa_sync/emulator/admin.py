"""Requests under /_emulator, by which tests in another process control it: loopback only, never counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oa_sync.emulator.calls import Call
from oa_sync.emulator.data import RESOURCES
from oa_sync.emulator.replies import Refusal, Reply

if TYPE_CHECKING:
    from oa_sync.emulator.state import EmulatorState

PREFIX = "/_emulator/"
LOOPBACK = frozenset({"127.0.0.1", "::1"})


async def administer(call: Call) -> Reply:
    """Answer a request under /_emulator."""
    client = call.request.client
    if client is None or client.host not in LOOPBACK:
        raise Refusal(403, "only loopback may do this")
    action = (call.request.method, call.request.url.path.removeprefix(PREFIX))
    emulator = call.emulator
    match action:
        case ("GET", "counters"):
            injected = {"injected": dict(emulator.faults.injected)}
            return Reply.of(200, emulator.state.counters.as_json() | injected)
        case ("POST", "reset"):
            emulator.reset()
            return Reply.of(200, {})
        case ("POST", "faults"):
            return _set_faults(call, await call.json_object())
        case ("POST", "mutate"):
            return _mutate(call, await call.json_object())
        case _:
            raise Refusal(404, "known are: GET counters, POST reset, faults, mutate")


def _set_faults(call: Call, body: dict[str, Any]) -> Reply:
    try:
        call.emulator.faults.set(call.text(body, "spec"))
    except ValueError as error:
        raise call.invalid(str(error)) from error
    return Reply.of(200, {})


def _mutate(call: Call, body: dict[str, Any]) -> Reply:
    resource = call.text(body, "resource")
    if resource not in RESOURCES:
        raise call.invalid(f"resource must be one of {', '.join(RESOURCES)}, not {resource!r}")
    try:
        return Reply.of(200, {"ids": _changed(call, body, resource)})
    except KeyError as error:
        raise Refusal(404, f"no record has the id {error.args[0]!r}") from error
    except ValueError as error:
        raise call.invalid(str(error)) from error


def _changed(call: Call, body: dict[str, Any], resource: str) -> list[str]:
    state: EmulatorState = call.emulator.state
    fields = call.field(body, "fields", dict) or {}
    match body.get("op"):
        case "insert":
            front = body.get("position") == "front"
            return [state.insert(resource, fields, position="front" if front else "back")]
        case "update":
            record_id = call.text(body, "id")
            state.update(resource, record_id, fields)
            return [record_id]
        case "delete":
            record_id = call.text(body, "id")
            state.delete(resource, record_id)
            return [record_id]
        case "touch":
            return state.touch(call.positive(body, "count") or 1, resource)
        case unknown:
            raise ValueError(f"op must be one of insert, update, delete, touch, not {unknown!r}")
