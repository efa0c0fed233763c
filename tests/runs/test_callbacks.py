"""Callbacks as hints: each status once, however often and in whatever order they come."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands import sync as sync_module
from oa_sync.errors import DestinationError
from oa_sync.load.loader import Loader
from oa_sync.webhooks.inbox import Inbox, inbox_folder
from tests.runs.following import DAY, HOUR, Site, site
from tests.support.syncing import rows_of
from tests.webhooks.receiving import OLD_SECRET, receiving, sign


@contextmanager
def inbox_of(api: Site) -> Iterator[Inbox]:
    folder = inbox_folder(api.settings.home, api.settings.workspace)
    with closing(Inbox(folder, api.clock)) as inbox:
        yield inbox


def call_back(api: Site, run_id: str, status: str | None = None, **fields: Any) -> None:
    """A callback arrives now."""
    said = {"event": "agent.session.changed", "run_id": run_id, **fields}
    if status is not None:
        said["status"] = status
    with inbox_of(api) as inbox:
        inbox.append(json.dumps(said).encode(), api.clock.now())


def waiting(api: Site) -> int:
    with inbox_of(api) as inbox:
        return inbox.depth()


def test_a_signed_callback_gives_one_event_though_delivered_twice_and_a_forged_one_none(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.hear(run_id)
        api.sync()
        api.clock.advance(HOUR)
        api.move(run_id, "completed")
        body = json.dumps({"run_id": run_id, "status": "completed", "result": None}).encode()
        forged = json.dumps({"run_id": "run_forged", "status": "failed"}).encode()
        with receiving(inbox_folder(api.settings.home, "default")) as receiver:
            assert receiver.post(body).status_code == 200
            assert receiver.post(body).json() == {"status": "duplicate"}
            assert receiver.post(forged, signature=sign(forged, OLD_SECRET)).status_code == 401
            assert receiver.post(body, signature="0" * 64).status_code == 401
        # The receiver's clock is the machine's, which is ahead of the one of this site.
        for _ in range(3):
            api.sync()
            with receiving(inbox_folder(api.settings.home, "default")) as receiver:
                assert receiver.post(body).json() == {"status": "duplicate"}
            api.clock.advance(DAY)
        assert sorted(api.events(run_id)) == [("completed", "webhook"), ("queued", "poll")]
        assert api.rows().keys() == {run_id}
        assert api.row(run_id)["status"] == "completed"


def test_a_run_heard_of_by_callback_is_asked_for_once_and_its_end_is_final(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.move(run_id, "completed")
        call_back(api, run_id, "completed", result={"text": "42"})
        api.clock.advance(HOUR)
        api.sync()
        assert api.asked == {run_id: 1}
        row = api.row(run_id)
        assert (row["status"], row["_oa_first_seen_by"]) == ("completed", "webhook")
        assert row["_oa_first_seen_at"] == api.event_times(run_id)[0]
        assert len(rows_of(api.settings, "agent_run_steps")) == 1
        assert api.events(run_id) == [("completed", "webhook")]
        api.clock.advance(DAY)
        api.sync()
        assert not api.asked
        assert waiting(api) == 0


def test_a_callback_that_says_nothing_new_costs_no_request(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.move(run_id, "running")
        api.hear(run_id)
        api.sync()
        api.clock.advance(30)
        call_back(api, run_id, "running", note="a second body")
        api.sync()
        assert not api.asked
        assert api.events(run_id) == [("running", "poll")]


def test_a_late_callback_adds_its_event_and_changes_nothing(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.move(run_id, "completed")
        api.hear(run_id)
        api.clock.advance(HOUR)
        api.sync()
        before = api.row(run_id)
        call_back(api, run_id, "running", result={"text": "not yet"})
        api.clock.advance(HOUR)
        api.sync()
        assert not api.asked
        assert api.row(run_id) == before
        assert sorted(api.events(run_id)) == [("completed", "poll"), ("running", "webhook")]


def test_a_callback_received_before_the_last_answer_does_not_overwrite_it(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.hear(run_id)
        api.clock.advance(HOUR)
        api.move(run_id, "running")
        body = json.dumps({"run_id": run_id, "status": "queued", "note": "old"}).encode()
        received = api.clock.now()
        api.clock.advance(HOUR)
        api.sync()
        with inbox_of(api) as inbox:
            inbox.append(body, received)
        api.settings = replace(api.settings, max_requests=0)
        api.sync()
        assert api.row(run_id)["status"] == "running"
        assert "note" not in api.row(run_id)
        assert api.events(run_id) == [("queued", "webhook"), ("running", "poll")]


def test_where_nothing_may_be_asked_the_callback_itself_fills_the_row(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        known, other, unknown = api.start(), api.start(), api.start()
        for run_id in (known, other):
            api.move(run_id, "running")
            api.server.state.update("agent_runs", run_id, {"result": {"text": "so far"}})
            api.hear(run_id)
        api.sync()
        api.clock.advance(HOUR)
        for run_id in (known, unknown):
            api.move(run_id, "completed")
        call_back(api, known, "completed", result={"text": "first"})
        call_back(api, other, "thinking")
        call_back(api, unknown, "completed")
        budget, api.settings = api.settings, replace(api.settings, max_requests=0)
        report = api.sync()
        assert (report.status, report.tallies["agent_runs"].backlog) == ("partial", 3)
        rows = api.rows()
        assert rows[known]["status"] == rows[unknown]["status"] == "completed"
        assert json.loads(rows[known]["result"]) == {"text": "first"}
        # What only the detail brought stays.
        assert rows[known]["agent_id"] == "agent_1"
        assert (rows[other]["status"], rows[other]["_oa_detail_version"]) == (
            "thinking",
            rows[other]["updated_at"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        assert json.loads(rows[other]["result"]) == {"text": "so far"}
        assert len(rows_of(api.settings, "agent_run_steps")) == 2
        # The final details are fetched as soon as they may be, once.
        api.settings = budget
        api.sync()
        assert api.asked == {known: 1, other: 1, unknown: 1}
        api.sync()
        assert not api.asked
        assert api.events(known) == [("running", "poll"), ("completed", "webhook")]
        assert api.events(unknown) == [("completed", "webhook")]


def test_a_sync_that_fails_to_load_gets_the_same_callbacks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.move(run_id, "completed")
        call_back(api, run_id, "completed")

        def fail(*_: object) -> None:
            raise DestinationError("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(Loader, "_load", fail)
            report = sync_module.sync(api.settings, ("agent_runs",), clock=api.clock)
        assert report.status == "failed"
        assert waiting(api) == 1
        api.clock.advance(HOUR)
        api.sync()
        assert waiting(api) == 0
        assert api.events(run_id) == [("completed", "webhook")]
        assert api.row(run_id)["status"] == "completed"


def test_a_crash_between_load_and_acknowledgement_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.move(run_id, "completed")
        call_back(api, run_id, "running")
        api.clock.advance(1)
        call_back(api, run_id, "completed")
        api.clock.advance(1)
        with monkeypatch.context() as patched:
            patched.setattr(Inbox, "acknowledge", lambda *_: None)
            api.sync()
        assert waiting(api) == 2
        before, events = api.row(run_id), api.events(run_id)
        api.clock.advance(HOUR)
        api.sync()
        assert not api.asked
        assert waiting(api) == 0
        assert api.row(run_id) == before
        assert api.events(run_id) == events == [("running", "webhook"), ("completed", "webhook")]


def test_callbacks_wait_while_a_sync_does_not_take_the_runs(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        call_back(api, run_id, "running")
        api.sync("datasets")
        assert waiting(api) == 1
        api.sync()
        assert waiting(api) == 0


@pytest.mark.parametrize(
    "said",
    [
        {"event": "report.completed", "id": "rpt_1", "status": "completed"},
        {"run_id": "..", "status": "completed"},
        {"run_id": "a\nb", "status": "completed"},
        {"run_id": "x" * 5000},
        {"nothing": True},
    ],
)
def test_callbacks_about_no_run_are_done_with(tmp_path: Path, said: dict[str, Any]) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        api.hear(run_id)
        with inbox_of(api) as inbox:
            inbox.append(json.dumps(said).encode(), api.clock.now())
        report = api.sync()
        assert report.status == "complete"
        assert api.rows().keys() == {run_id}
        assert waiting(api) == 0


def test_listed_runs_take_events_from_callbacks_and_rows_from_the_list(tmp_path: Path) -> None:
    with site(tmp_path, dialect="cursor") as api:
        run_id = api.start()
        api.clock.advance(5)
        api.sync()
        api.clock.advance(HOUR)
        api.move(run_id, "completed")
        call_back(api, run_id, "running")
        api.clock.advance(5)
        call_back(api, run_id, "completed")
        api.clock.advance(5)
        api.sync()
        assert api.asked == {run_id: 1}
        assert api.row(run_id)["status"] == "completed"
        assert api.events(run_id) == [
            ("queued", "list"),
            ("running", "webhook"),
            ("completed", "webhook"),
        ]


def test_any_order_of_callbacks_ends_with_the_end(tmp_path: Path) -> None:
    statuses = ["queued", "running", "thinking", "completed"]
    with site(tmp_path) as api:
        shuffler = random.Random(7)
        runs = {api.start(): shuffler.sample(statuses, 4) for _ in range(12)}
        for place in range(4):
            for run_id, order in runs.items():
                call_back(api, run_id, order[place])
                call_back(api, run_id, order[place], again=True)
            api.clock.advance(1)
        api.settings = replace(api.settings, max_requests=1)
        api.sync()  # finds out that there is no list, and is spent
        for run_id, order in runs.items():
            assert api.row(run_id)["status"] == "completed"
            found = [status for status, _ in api.events(run_id)]
            assert set(found) == set(order)
