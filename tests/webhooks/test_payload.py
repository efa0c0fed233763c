from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oa_sync.webhooks.payload import RunEvent, json_object, run_event

DONE = "agent.session.completed"


def told(payload: Any) -> tuple[str, str | None] | None:
    event = run_event(json.dumps(payload).encode())
    return None if event is None else (event.run_id, event.status)


@pytest.mark.parametrize(
    "payload",
    [
        {"run_id": "r1", "status": "failed"},
        {"id": "r1", "status": "failed", "result": None},
        {"event": DONE, "id": "r1", "status": "failed"},
        {"event": DONE, "session_id": "r1", "status": "failed"},
        {"event": DONE, "data": {"id": "r1", "status": "failed"}},
        {"event": DONE, "data": {"run_id": "r1", "id": "other", "status": "failed"}},
        {"run": {"id": "r1", "status": "failed"}},
        {"session": {"id": "r1", "status": "failed"}},
        {"type": DONE, "data": {"session": {"id": "r1", "status": "failed"}}},
        {"id": "evt_1", "type": DONE, "data": {"id": "r1", "status": "failed"}},
        {"id": "evt_1", "status": "sent", "run": {"id": "r1", "status": "failed"}},
        {"event": "report.completed", "run": {"id": "r1", "status": "failed"}},
        {"event": DONE, "type": "notification", "id": "r1", "status": "failed"},
    ],
)
def test_run_is_found_wherever_the_payload_names_it(payload: dict[str, Any]) -> None:
    assert told(payload) == ("r1", "failed")


@pytest.mark.parametrize(
    "payload",
    [
        {},
        [],
        "run_1",
        [{"run_id": "r1"}],
        {"event": "report.completed", "id": "rep_1", "status": "completed"},
        {"event": "report.completed", "data": {"id": "rep_1"}},
        {"event": "export.ready", "id": "exp_1", "status": "ready"},
        {"event": "query.completed", "query_id": "q1", "id": "q1", "status": "completed"},
        {"id": "q1", "status": "completed", "columns": [], "rows": []},
        {"id": "exp_1", "download_url": "https://files.example"},
        {"run_id": None},
        {"run_id": ""},
        {"run_id": "  "},
        {"run_id": True},
        {"run_id": {"id": "r1"}},
        {"run": "r1"},
        {"data": None},
    ],
)
def test_payload_about_something_else_is_no_run(payload: Any) -> None:
    assert told(payload) is None


def test_run_of_another_kind_of_event_is_known_without_its_status() -> None:
    event = {"event": "report.completed", "id": "rep_1", "run_id": "r1", "status": "ready"}
    assert told(event) == ("r1", None)


def test_unknown_statuses_pass_and_absent_or_odd_ones_are_none() -> None:
    assert told({"run_id": "r1", "status": "paused_for_review"}) == ("r1", "paused_for_review")
    assert told({"run_id": "r1"}) == ("r1", None)
    assert told({"run_id": "r1", "status": 3}) == ("r1", None)


def test_numeric_ids_become_text_with_every_digit() -> None:
    assert told({"run_id": 2**63 + 1}) == ("9223372036854775809", None)


def test_payload_is_the_object_that_describes_the_run() -> None:
    run = {"id": "r1", "status": "completed", "result": {"rows": 2**70}}
    body = json.dumps({"event": DONE, "data": run}).encode()
    assert run_event(body) == RunEvent("r1", "completed", run)


def test_id_that_could_not_be_sent_is_no_id() -> None:
    assert run_event(rb'{"run_id": "\ud800"}') is None
    assert run_event(rb'{"run_id": "r1", "status": "\ud800"}') == RunEvent(
        "r1", None, {"run_id": "r1", "status": "\ufffd"}
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b"\xff\xfe\xfd", b'{"a": NaNs}', b'{"a":' * 100_000, b"{} {}"],
)
def test_what_is_no_json_object_is_none(body: bytes) -> None:
    assert json_object(body) is None
    assert run_event(body) is None


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["id", "run_id", "run", "data", "event", "status"]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
@example(b'{"run_id": "run_1", "status": "completed"}')
@example(b'{"data": {"run_id": 7}, "run_id": " "}')
def test_no_body_raises(body: bytes) -> None:
    event, payload = run_event(body), json_object(body)
    assert event is None or (event.run_id and event.run_id.encode())
    named = (payload or {}).get("run_id")
    assert event is not None or not (isinstance(named, str) and named.strip())
    assert payload is not None or event is None
