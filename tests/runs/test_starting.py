"""Starting a run: once, whatever happens, and never forgotten."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from oa_sync.clock import Clock
from oa_sync.commands.runs.list import list_runs
from oa_sync.commands.runs.start import RunRequest, StartedRun, start_run
from oa_sync.errors import (
    ApiError,
    BudgetExhausted,
    ConfigurationError,
    NotAuthorisedError,
    OaSyncError,
)
from oa_sync.workspace.announced import registered_folder
from tests.runs.following import DAY, Site, site
from tests.support.command import OA_SYNC as COMMAND
from tests.support.command import run
from tests.support.emulator import KEY, emulator
from tests.support.syncing import run_sync, settings_for

REQUEST = RunRequest("agent_1", "count rows", {"dataset_id": "ds_1"})
POST = ("POST", "/agents/run")


def posts(api: Site) -> int:
    return api.server.state.counters.by_route[POST]


def start(api: Site, request: RunRequest = REQUEST, **options: Any) -> StartedRun:
    return start_run(api.settings, request, clock=api.clock, **options)


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_a_started_run_is_followed_by_the_next_syncs(tmp_path: Path, dialect: str) -> None:
    with site(tmp_path, dialect=dialect) as api:
        started = start(api)
        assert (started.status, started.ended, started.requests) == ("queued", False, 1)
        api.clock.advance(DAY)
        for _ in range(3):
            api.sync()
            api.clock.advance(DAY)
        row = api.row(started.run_id)
        assert (row["status"], row["_oa_first_seen_by"]) == ("completed", "start")
        assert (row["task"], posts(api)) == ("count rows", 0)
        assert api.events(started.run_id)[0] == ("queued", "poll")
        assert api.events(started.run_id)[-1] == ("completed", "poll")


def test_what_the_answer_told_is_loaded_even_if_nothing_more_may_be_asked(tmp_path: Path) -> None:
    with site(tmp_path, changes={"max_requests": 1}) as api:
        started = start(api)
        api.sync()  # its one request finds out that there is no list
        row = api.row(started.run_id)
        assert (row["status"], row["_oa_detail_version"]) == ("queued", None)
        assert api.events(started.run_id) == [("queued", "poll")]


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_waiting_polls_to_the_end_and_the_sync_asks_no_more(tmp_path: Path, dialect: str) -> None:
    polls: list[tuple[int, str | None]] = []
    with site(tmp_path, dialect=dialect) as api:
        started = start(api, wait_seconds=600, polled=lambda *said: polls.append(said))
        assert (started.status, started.ended, started.requests) == ("completed", True, 3)
        assert polls == [(1, "running"), (2, "completed")]
        api.clock.advance(DAY)
        api.sync()
        assert not api.asked
        assert api.row(started.run_id)["status"] == "completed"
        assert api.events(started.run_id) == [
            ("queued", "poll"),
            ("running", "poll"),
            ("completed", "poll"),
        ]


def test_a_wait_that_is_too_short_leaves_the_run_to_the_sync(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        api.server.emulator.runs.polled = lambda run_id: None  # type: ignore[method-assign]
        with pytest.raises(ApiError, match=r"Run run_\w+ is registered: the next sync follows it"):
            start(api, wait_seconds=20)
        [line] = list_runs(api.settings, api.clock)
        assert (line.state, line.status) == ("registered", "queued")


@pytest.mark.parametrize("fault", ["500=1,paths=/agents/run", "reset=1,paths=/agents/run"])
def test_a_start_without_an_answer_is_not_repeated_and_says_so(tmp_path: Path, fault: str) -> None:
    with site(tmp_path) as api:
        api.server.emulator.faults.set(fault)
        with pytest.raises(ApiError, match="it may have been received: look before it is sent"):
            start(api)
        assert posts(api) == 1


def test_a_refused_start_registers_nothing(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        with pytest.raises(ConfigurationError, match="--task is empty"):
            start(api, RunRequest("agent_1", " "))
        with pytest.raises(ConfigurationError, match="not an https:// address"):
            start(api, RunRequest("agent_1", "x", webhook_url="http://hooks.example/x"))
        with pytest.raises(ConfigurationError, match="not an https:// address"):
            start(api, RunRequest("agent_1", "x", webhook_url="https://[bad"))
        api.server.emulator.faults.set("403=1")
        with pytest.raises(NotAuthorisedError, match=r"403(?!.*received)"):
            start(api)
        assert list_runs(api.settings, api.clock) == []


def test_a_spent_budget_sends_nothing(tmp_path: Path) -> None:
    with site(tmp_path, changes={"max_requests": 0}) as api:
        with pytest.raises(BudgetExhausted, match="that --max-requests allows are spent"):
            start(api)
        assert api.server.state.counters.total == 0


def test_a_run_that_cannot_be_registered_is_named(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        folder = registered_folder(api.settings)
        folder.parent.mkdir(parents=True)
        folder.write_text("in the way")
        with pytest.raises(OaSyncError, match=r"was started but .* `oa-sync runs add run_\w+`"):
            start(api)


def test_registrations_are_private(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        start(api)
        folder = registered_folder(api.settings)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "inbox.sqlite").stat().st_mode) == 0o600


def test_the_cursor_dialect_has_fields_of_its_own() -> None:
    context = {"dataset_ids": ["ds_1"], "model": "m", "max_steps": 3, "date_range": "2026"}
    request = RunRequest("agent_1", "count", context, "https://hooks.example/x")
    assert request.body("cursor") == {
        "prompt": "count",
        "agent_id": "agent_1",
        "dataset_ids": ["ds_1"],
        "model": "m",
        "max_steps": 3,
        "context": {"date_range": "2026"},
        "webhook_url": "https://hooks.example/x",
    }
    assert request.body("page") == {
        "agent_id": "agent_1",
        "task": "count",
        "context": context,
        "webhook_url": "https://hooks.example/x",
    }


def test_the_command_prints_the_id_or_one_object_and_refuses_a_bad_context(tmp_path: Path) -> None:
    with emulator(dialect="page") as server:
        flags = ("--agent", "a", "--task", "count", "--base-url", server.base_url, "--rpm", "0")

        def command(*more: str) -> Any:
            arguments = (*COMMAND, "runs", "start", *flags, *more)
            return run(*arguments, cwd=tmp_path, OPENANALYST_API_KEY=KEY, OA_SYNC_DIALECT="page")

        plain = command("--context", '{"dataset_id": "ds_1"}')
        assert (plain.returncode, plain.stderr) == (0, "")
        assert plain.stdout.strip() in server.state.ids("agent_runs")
        waited = json.loads(command("--wait", "--json").stdout)
        assert (waited["status"], waited["ended"]) == ("completed", True)
        for context in ("[1]", "{"):
            refused = command("--context", context)
            assert (refused.returncode, "--context" in refused.stderr) == (2, True)
        server.emulator.faults.set("500=1,paths=/agents/run")
        failed = command()
        assert failed.returncode == 1
        assert "it may have been received" in failed.stderr
        server.emulator.faults.set("off")
        settings = settings_for(server.base_url, tmp_path)
        assert len(list_runs(settings, Clock())) == 2
        run_sync(settings, "agent_runs")
        assert {line.first_seen_by for line in list_runs(settings, Clock())} == {"start"}
