"""Every way in which a run becomes known, each remembered with its time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from oa_sync.emulator.data import SAMPLE, load_workspace
from oa_sync.errors import LockHeldError
from oa_sync.workspace.lock import sync_lock
from tests.runs.following import DAY, Site, site
from tests.support.command import OA_SYNC as COMMAND
from tests.support.command import run
from tests.support.emulator import KEY, emulator, workspace_of
from tests.support.syncing import query, rows_of, run_sync, settings_for

WORKSPACE = Path(__file__).parents[2].parent / "shared" / "workspace"
DATA = WORKSPACE if WORKSPACE.is_dir() else SAMPLE

REFERRING = """
name: shop
client: {auth: {type: bearer}, paginator: {type: page_number, base_page: 1, total_path: null,
  size_param: per_page, size: 100, total_rows_path: meta.total}}
resource_defaults:
  primary_key: id
  endpoint: {data_selector: data, incremental: {cursor_path: updated_at}}
resources:
  - name: reports
    endpoint: {path: reports}
    detail: {path: "reports/{id}"}
    children: {data: {table: report_rows, parent_key: report_id}}
    references: {config.made_by: agent_runs, sources.run: agent_runs}
  - name: agent_runs
    endpoint: {path: agents/runs, optional: true}
    detail: {path: "agents/runs/{id}"}
    status: {path: status, terminal: [completed, failed]}
"""


def oa_sync(api: Site, folder: Path, *arguments: str, stdin: str = "") -> Any:
    """The command in `folder`, with the site's settings; must exit 0."""
    script = folder / "in.txt"
    script.write_text(stdin)
    done = run(
        "sh",
        "-c",
        f'exec "$@" < {script}',
        "sh",
        *COMMAND,
        *arguments,
        cwd=folder,
        OPENANALYST_API_KEY=KEY,
        OPENANALYST_BASE_URL=api.settings.base_url,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ids_are_added_as_arguments_from_a_file_from_stdin_and_by_a_query(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        runs = [api.start() for _ in range(6)]
        api.hear(runs[0])
        api.move(runs[0], "completed")
        api.sync()
        with duckdb.connect(str(api.settings.database)) as connection:
            connection.execute("CREATE TABLE main.jobs (run_id VARCHAR)")
            connection.execute("INSERT INTO main.jobs VALUES (?), (NULL)", [runs[5]])
        (tmp_path / "ids.txt").write_text(f"{runs[2]}\n\n  {runs[3]}  \n")
        oa_sync(api, tmp_path, "runs", "add", runs[1], runs[1])
        oa_sync(api, tmp_path, "runs", "add", "--file", "ids.txt")
        oa_sync(api, tmp_path, "runs", "add", "-", stdin=f"{runs[4]}\n")
        told = oa_sync(
            api, tmp_path, "runs", "add", "--sql", "SELECT run_id FROM main.jobs", "--json"
        )
        assert json.loads(told) == {"registered": 1, "run_ids": [runs[5]]}
        listed = json.loads(oa_sync(api, tmp_path, "runs", "list", "--json"))["runs"]
        assert {line["run_id"] for line in listed} == set(runs)
        assert {line["state"] for line in listed} == {"registered", "ended"}
        assert api.server.state.counters.total == 2
        api.clock.advance(300 * DAY)  # beyond the time of this machine, at which they were added
        api.sync()
        assert set(api.asked) == set(runs[1:])
        by = {key: row["_oa_first_seen_by"] for key, row in api.rows().items()}
        assert by == {**dict.fromkeys(runs, "add"), runs[5]: "sql"}


def test_adding_does_not_wait_for_a_running_sync(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        settings = api.settings
        with sync_lock(settings.home / "locks", settings.fingerprint(), "here", api.clock):
            with pytest.raises(LockHeldError, match="another sync is running"):
                api.sync()
            told = oa_sync(api, tmp_path, "runs", "add", "run_1")
        assert told == "1 registered; the next sync of 'default' asks\n"


@pytest.mark.parametrize("text", ["..", "bad id!", "a\x07b", "x" * 600])
def test_an_id_that_cannot_be_asked_for_is_refused(tmp_path: Path, text: str) -> None:
    done = run(*COMMAND, "runs", "add", text, cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot be the id of a run" in done.stderr
    assert run(*COMMAND, "runs", "add", cwd=tmp_path).returncode == 2


def test_a_source_without_ids_registers_none(tmp_path: Path) -> None:
    """A nightly job that finds nothing new has not failed."""
    (tmp_path / "ids.txt").write_text("\n")
    done = run(*COMMAND, "runs", "add", "--file", "ids.txt", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (
        0,
        "0 registered; the next sync of 'default' asks\n",
    )


def test_a_query_is_asked_of_a_lake_too(tmp_path: Path) -> None:
    changes = {"destination": "parquet", "bucket_url": str(tmp_path / "lake")}
    with site(tmp_path, changes=changes) as api:
        api.hear("run_gone")
        api.sync()
        flags = ("--destination", "parquet", "--bucket-url", str(tmp_path / "lake"), "--json")
        sql = "SELECT id || '_2' FROM agent_runs"
        told = oa_sync(api, tmp_path, "runs", "add", "--sql", sql, *flags)
        assert json.loads(told)["run_ids"] == ["run_gone_2"]


def test_an_id_is_known_by_the_way_it_was_first_heard_of(tmp_path: Path) -> None:
    with site(tmp_path) as api:
        run_id, first = api.start(), api.clock.now()
        api.hear(run_id)
        api.clock.advance(60)
        api.hear(run_id, "webhook", status="queued")
        api.sync()
        api.clock.advance(DAY)
        api.hear(run_id, "sql")
        api.move(run_id, "completed")
        api.sync()
        row = api.row(run_id)
        assert (row["_oa_first_seen_at"], row["_oa_first_seen_by"]) == (first, "add")


def test_references_in_rows_lead_to_runs_in_the_same_sync(tmp_path: Path) -> None:
    definition = tmp_path / "shop.yaml"
    definition.write_text(REFERRING)
    runs = [{"id": f"run_{n}", "status": "completed", "steps": []} for n in range(4)]
    reports = [
        {"id": "r1", "name": "a", "config": {"made_by": "run_0"}, "data": []},
        {"id": "r2", "name": "b", "sources": [{"run": "run_1"}, {"run": "run_2"}], "data": []},
        {"id": "r3", "name": "c", "config": {"made_by": ".."}, "data": []},
    ]
    with emulator(workspace_of(reports=reports, agent_runs=runs)) as server:
        settings = settings_for(server.base_url, tmp_path, source=str(definition))
        first = run_sync(settings)
        assert first.status == "complete"
        found = query(settings, "SELECT id, _oa_first_seen_by FROM agent_runs ORDER BY id")
        assert found == [(f"run_{n}", "reference") for n in range(3)]
        server.state.counters.reset()
        run_sync(settings)
        assert not server.state.counters.details


def test_references_in_rows_that_are_loaded_already_are_found(tmp_path: Path) -> None:
    definition = tmp_path / "shop.yaml"
    definition.write_text(REFERRING.replace("    references:", "    # references:"))
    runs = [{"id": f"run_{n}", "status": "completed", "steps": []} for n in range(2)]
    reports = [
        {"id": "r1", "name": "a", "config": {"made_by": "run_0"}, "data": []},
        {"id": "r2", "name": "b", "sources": [{"run": "run_1"}], "data": []},
    ]
    with emulator(workspace_of(reports=reports, agent_runs=runs)) as server:
        settings = settings_for(server.base_url, tmp_path, source=str(definition))
        run_sync(settings)
        definition.write_text(REFERRING)
        run_sync(settings)
        assert {row["id"] for row in rows_of(settings, "agent_runs")} == {"run_0", "run_1"}


def test_a_run_whose_detail_shows_an_id_of_its_own_keeps_the_one_it_is_asked_by(
    tmp_path: Path,
) -> None:
    with site(tmp_path) as api:
        run_id = api.start()
        state = api.server.state
        record = state.record("agent_runs", run_id)
        assert record is not None
        record.light["id"], record.light["run_id"] = "internal_7", run_id
        record.changed()
        api.hear(run_id)
        for _ in range(2):
            api.sync()
            api.clock.advance(DAY)
        row = api.row(run_id)
        assert (row["id_in_detail"], row["run_id"]) == ("internal_7", run_id)
        assert api.rows().keys() == {run_id}


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_real_runs_arrive_with_every_step_and_tool_call(tmp_path: Path, dialect: str) -> None:
    lines = (DATA / "agent_runs.ndjson").read_text(encoding="utf-8").splitlines()
    records = {record["id"]: record for record in map(json.loads, lines)}
    with site(tmp_path, load_workspace(DATA), dialect=dialect) as api:
        if dialect == "page":
            for run_id in records:
                api.hear(run_id)
        api.sync()
        rows = api.rows()
        steps = rows_of(api.settings, "agent_run_steps")
        calls = rows_of(api.settings, "agent_run_tool_calls")
        assert rows.keys() == records.keys()
        expected_steps, expected_calls = {}, {}
        for run_id, record in records.items():
            assert rows[run_id]["status"] == record["status"]
            assert rows[run_id]["task"] == record["task"]
            for at, step in enumerate(record["steps"]):
                expected_steps[run_id, at] = (step.get("thought"), step.get("observation"))
                for place, call in enumerate(step.get("tool_calls") or ()):
                    expected_calls[run_id, at, place] = (call.get("name"), call.get("arguments"))
        found = {(s["run_id"], s["position"]): (s["thought"], s["observation"]) for s in steps}
        assert found == expected_steps
        assert {
            (c["run_id"], c["step_position"], c["position"]): (
                c["name"],
                None if c["arguments"] is None else json.loads(c["arguments"]),
            )
            for c in calls
        } == expected_calls
        assert {status for run_id in records for status in api.events(run_id)} == {
            (record["status"], "poll" if dialect == "page" else "list")
            for record in records.values()
        }
