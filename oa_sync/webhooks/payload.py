"""What a callback says, as far as this package acts on it: which agent run, in which status.

Little is documented (issue "Agent runs": run id in `run_id` or `id`, `status`, `result`), so the object
that describes the run may be the payload or stand inside it. A callback is only a hint: its body was
signed, but may be old or out of order. Only a request to the API tells how the run is now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.json_text import REPLACEMENT, decode

_RUN_OBJECTS = ("run", "session")
_ENVELOPE = "data"
_RUN_ID_FIELDS = ("run_id", "session_id")
_EVENT_FIELDS = ("event", "type")
_RUN_WORDS = {"run", "runs", "session", "sessions", "agent", "agents"}
# Objects with a bare `id` and one of these are query results and exports (the API's own answers).
_OTHER_KINDS = {"query_id", "export_id", "report_id", "columns", "rows", "download_url"}


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A run that a callback told about.

    `status` is the API's word, None where the callback has no status of the run. `payload` is the
    object that describes the run: the whole callback, or the part of it that holds the run's id.
    """

    run_id: str
    status: str | None
    payload: dict[str, Any]


def json_object(body: bytes) -> dict[str, Any] | None:
    """The object that `body` is in JSON; None for anything else."""
    try:
        value = decode(body)
    except InvalidJsonError:
        return None
    return value if isinstance(value, dict) else None


def run_event(body: bytes) -> RunEvent | None:
    """The agent run that the callback `body` is about; None where it is about something else.

    A `run_id` (or `session_id`) names a run wherever it stands. A bare `id` does where the object is
    called `run` or `session`, or where neither the event's name nor the object points to another kind
    (`report.completed`, `export.ready`, a query result).
    """
    payload = json_object(body)
    if payload is None:
        return None
    about_runs = _is_about_runs(payload)
    for name, candidate in _candidates(payload):
        by_id = name in _RUN_OBJECTS or (about_runs and not _OTHER_KINDS & candidate.keys())
        fields = (*_RUN_ID_FIELDS, "id") if by_id else _RUN_ID_FIELDS
        for field in fields:
            run_id = _identifier(candidate.get(field))
            if run_id is not None:
                status = candidate.get("status") if about_runs or name in _RUN_OBJECTS else None
                return RunEvent(run_id, _text(status), candidate)
    return None


def _candidates(payload: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects that may describe the run, with their names, the likeliest first.

    The inner ones come before the payload, whose own `id` may be that of the event.
    """
    data = payload.get(_ENVELOPE)
    for holder in (data, payload):
        if isinstance(holder, dict):
            for name in _RUN_OBJECTS:
                if isinstance(holder.get(name), dict):
                    yield name, holder[name]
    if isinstance(data, dict):
        yield _ENVELOPE, data
    yield "", payload


def _is_about_runs(payload: dict[str, Any]) -> bool:
    """False where the callback names an event and no word of that name stands for runs."""
    names = [payload[field] for field in _EVENT_FIELDS if isinstance(payload.get(field), str)]
    return not names or any(_RUN_WORDS & set(re.split(r"[^a-z]+", name.lower())) for name in names)


def _identifier(value: object) -> str | None:
    """`value` as an id; numbers count, blanks do not."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = _text(value)
    return text if text and text.strip() else None


def _text(value: object) -> str | None:
    """`value` if it is text as the API knows it: nothing in it was replaced."""
    return value if isinstance(value, str) and REPLACEMENT not in value else None
