"""How a record looks in a list and alone, in either dialect and under every option."""

from __future__ import annotations

from typing import Any

from oa_sync.emulator.data import HEAVY, Record
from oa_sync.emulator.encoding import encode
from oa_sync.emulator.options import EmulatorOptions

LEAN = ("id", "name", "status", "dataset_id", "format", "created_at", "updated_at")
ANSWER_FIELDS = ("final_answer", "answer", "text", "output", "submission")


class Views:
    """Turns records into the JSON text that is served, and keeps it on the record where it can."""

    def __init__(self, options: EmulatorOptions) -> None:
        self._options = options

    def row(self, resource: str, record: Record) -> bytes:
        """The record as a list shows it."""
        if record.row is None:
            record.row = self._row(resource, record)
        return record.row

    def detail(self, resource: str, record: Record) -> bytes:
        """The body of the answer to a request for this record alone."""
        body = record.body if record.body is not None else self._body(resource, record)
        return b'{"data":' + body + b"}" if self._options.wrap_detail else body

    def _row(self, resource: str, record: Record) -> bytes:
        if self._options.full_lists:
            return self._body(resource, record)
        light = self._light(resource, record)
        if self._options.lean_lists:
            light = {name: light[name] for name in LEAN if name in light}
        elif resource == "agent_runs":
            light["steps"] = record.heavy_count
        return encode(light)

    def _body(self, resource: str, record: Record) -> bytes:
        as_stored = not self._options.no_updated_at and not self._is_session(resource)
        if as_stored and record.raw is not None:
            return record.raw
        key = HEAVY.get(resource, "")
        light = encode(self._light(resource, record))
        heavy = record.heavy_text(key)
        body = light if heavy is None else b'%b,"%b":%b}' % (light[:-1], key.encode(), heavy)
        # What a synthetic workspace makes on demand is not kept: it would fill the memory.
        if not callable(record.heavy):
            record.body = body
        return body

    def _light(self, resource: str, record: Record) -> dict[str, Any]:
        light = dict(record.light)
        if self._is_session(resource):
            light["prompt"] = light.get("task")
            light["final_answer"] = _answer(light.get("result"))
        if self._options.no_updated_at:
            light.pop("updated_at", None)
        return light

    def _is_session(self, resource: str) -> bool:
        return resource == "agent_runs" and self._options.dialect == "cursor"


def _answer(result: Any) -> str | None:
    """The text of a run's result, as sessions show it."""
    if isinstance(result, str):
        return result
    if isinstance(result, dict):
        texts = (result.get(name) for name in ANSWER_FIELDS)
        return next((text for text in texts if isinstance(text, str)), None)
    return None
