"""What `oa-sync plan` says, held against what the sync then does and what the server counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.cli import cli
from oa_sync.commands.plan import Plan, plan
from oa_sync.commands.sync import sync
from oa_sync.definitions.model import Detail, Endpoint, Incremental, Resource
from oa_sync.emulator.data import Workspace
from oa_sync.emulator.synthetic import synthetic_workspace
from oa_sync.errors import BudgetExhausted, DestinationError, LockHeldError, NotAuthorisedError
from oa_sync.extract.cost import cost_of
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.scan import Scan
from oa_sync.load.dlt.warehouse import Warehouse
from oa_sync.tables.batches import Batch
from oa_sync.workspace.lock import sync_lock
from tests.support.clock import ManualClock
from tests.support.emulator import KEY, emulator, workspace_of
from tests.support.json_api import json_api
from tests.support.syncing import run_sync, settings_for

SIZE = "reports=25,datasets=4,dashboards=2,runs=0,rows=1"


def small() -> Workspace:
    return synthetic_workspace(SIZE)


def costs(plan: Plan) -> dict[str, tuple[int, int]]:
    """(list requests, details) of each resource that the API has."""
    return {r.name: (r.cost.lists, r.cost.details) for r in plan.resources if not r.missing}


def test_a_first_plan_is_what_the_first_sync_takes(tmp_path: Path) -> None:
    with emulator(small(), max_per_page=10) as server:
        settings = settings_for(server.base_url, tmp_path)
        planned = plan(settings)
        assert planned.made == server.state.counters.total == 4
        assert costs(planned) == {"datasets": (1, 4), "reports": (3, 25), "dashboards": (1, 0)}
        assert [r.cost.estimated for r in planned.resources] == [False, True, False, False]
        server.state.counters.reset()
        run_sync(settings)
        # The plan found out that there are no agent runs, so the sync need not.
        assert server.state.counters.total == planned.cost.requests == 34


def test_a_plan_changes_nothing(tmp_path: Path) -> None:
    with emulator(small()) as server:
        settings = settings_for(server.base_url, tmp_path)
        plan(settings)
        assert not settings.database.exists()
        run_sync(settings)
        before = settings.database.read_bytes()
        plan(settings)
        assert settings.database.read_bytes() == before
        assert not list((settings.home / "dlt").glob("*"))


def test_a_plan_of_an_unchanged_workspace_costs_its_lists(tmp_path: Path) -> None:
    with emulator(small(), max_per_page=10) as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings)
        planned = plan(settings)
    assert costs(planned) == {"datasets": (1, 0), "reports": (3, 0), "dashboards": (1, 0)}
    reports = planned.resources[1]
    assert (reports.total, reports.loaded) == (25, 25)


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_a_plan_asks_each_list_once_whatever_the_dialect(dialect: str, tmp_path: Path) -> None:
    with emulator(small(), dialect=dialect, max_per_page=10) as server:
        planned = plan(settings_for(server.base_url, tmp_path, dialect="auto"))
        asked = server.state.counters.by_route
    assert planned.dialect == dialect
    assert set(asked.values()) == {1}
    assert len(asked) == planned.made == 4
    assert costs(planned)["reports"] == (3, 25)


@dataclass
class FirstPage:
    """As much of a page as a scan takes in."""

    rows: list[dict[str, Any]]
    total: int | None

    def raw_rows(self) -> list[bytes]:
        return [orjson.dumps(row) for row in self.rows]


KEYS = [f"r{number:02d}" for number in range(20)]
VERSIONS = st.sampled_from(["1", "2"])


@given(
    rows=st.dictionaries(st.sampled_from(KEYS), VERSIONS, min_size=1),
    loaded=st.dictionaries(st.sampled_from(KEYS), st.tuples(VERSIONS, st.none() | VERSIONS)),
    deleted=st.sets(st.sampled_from(KEYS)),
    page=st.integers(1, 25),
)
def test_on_one_page_a_plan_is_exact_and_beyond_it_off_by_the_unseen_changes_at_most(
    rows: dict[str, str],
    loaded: dict[str, tuple[str, str | None]],
    deleted: set[str],
    page: int,
) -> None:
    resource = Resource(
        name="reports",
        endpoint=Endpoint(path="reports", incremental=Incremental(cursor_path="updated_at")),
        primary_key=("id",),
        detail=Detail(path="reports/{id}", fields=("data",)),
    )
    known = {
        key: Known(version, "", detail, key in deleted) for key, (version, detail) in loaded.items()
    }
    listed = [{"id": key, "updated_at": version} for key, version in rows.items()]
    scan = Scan(resource, known)
    scan.add(FirstPage(listed[:page], len(listed)))  # type: ignore[arg-type]
    scan.finished = page >= len(listed)
    cost = cost_of(scan)
    needed = sum(1 for key in rows if key not in loaded or loaded[key][1] != rows[key])
    assert cost.lists == -(-len(listed) // page)
    if scan.finished:
        assert (cost.details, cost.estimated) == (needed, False)
        return
    unseen = {row["id"] for row in listed[page:]}
    surprises = sum(
        1
        for key, versions in loaded.items()
        if key not in scan.seen
        and (key not in unseen or key in deleted or versions[0] != rows[key])
    )
    assert cost.details_estimated
    assert abs(cost.details - needed) <= surprises


def test_the_backlog_of_pages_that_are_not_asked_for_is_in_the_plan(tmp_path: Path) -> None:
    with emulator(small(), max_per_page=5) as server:
        run_sync(settings_for(server.base_url, tmp_path, max_requests=1 + 5 + 3), "reports")
        planned = plan(settings_for(server.base_url, tmp_path))
        reports = next(r for r in planned.resources if r.name == "reports")
        assert (reports.loaded, reports.cost.details) == (25, 25 - 3)
        server.state.counters.reset()
        run_sync(settings_for(server.base_url, tmp_path), "reports")
        assert server.state.counters.total == reports.cost.requests


def test_what_an_interrupted_run_fetched_is_not_planned_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose destination fails keeps what it fetched in the journal."""

    def refuse(target: Warehouse, batches: Iterable[Batch]) -> dict[str, int]:
        list(batches)
        raise DestinationError("no space left")

    with emulator(small()) as server:
        settings = settings_for(server.base_url, tmp_path, max_requests=5 + 10)
        with monkeypatch.context() as broken:
            broken.setattr(Warehouse, "load", refuse)
            assert sync(settings).exit_code == 1
        fetched = len(server.state.counters.details)
        assert fetched > 0
        planned = plan(settings)
        assert planned.cost.details == 29 - fetched
        server.state.counters.reset()
        assert run_sync(settings_for(server.base_url, tmp_path)).exit_code == 0
        assert server.state.counters.total == planned.cost.requests


def test_a_list_that_shows_the_latest_change_first_is_planned_as_it_is_read(tmp_path: Path) -> None:
    clock = ManualClock()
    with emulator(small(), clock=clock, order="updated_desc", max_per_page=5) as server:
        settings = settings_for(server.base_url, tmp_path)
        run_sync(settings, clock=clock)
        clock.advance(3_600)
        planned = plan(settings, clock)
        server.state.counters.reset()
        report = run_sync(settings, clock=clock)
        assert costs(planned)["reports"] == (1, 0)
        assert report.requests.made == planned.cost.requests == 3


BLOG = """
name: blog
client: {paginator: single_page}
resource_defaults: {primary_key: id}
resources:
  - name: posts
    endpoint: {path: posts}
  - name: comments
    detail: {path: "comments/{id}"}
    endpoint:
      path: "posts/{post_id}/comments"
      params:
        post_id: {type: resolve, resource: posts, field: id}
"""


def test_lists_by_parent_cost_one_request_for_each_and_none_to_plan(tmp_path: Path) -> None:
    source = tmp_path / "blog.yaml"
    source.write_text(BLOG)
    posts = [{"id": number} for number in range(3)]
    routes: dict[str, Callable[[dict[str, str]], Any]] = {
        "/posts": lambda query: posts,
        **{f"/posts/{n}/comments": lambda query, n=n: [{"id": 10 + n}] for n in range(3)},
        **{f"/comments/{10 + n}": lambda query, n=n: {"id": 10 + n, "text": ""} for n in range(3)},
    }
    with json_api(routes) as api:
        settings = settings_for(api.base_url, tmp_path, source=str(source))
        first = plan(settings)
        assert [path for path, _ in api.asked] == ["/posts"]
        assert costs(first) == {"posts": (1, 0), "comments": (3, 0)}
        api.asked.clear()
        report = run_sync(settings)
        assert report.requests.made == len(api.asked) == 1 + 3 + 3
        again = plan(settings)
        assert again.cost.requests == run_sync(settings).requests.made == 1 + 3


def test_a_declared_query_is_in_the_plan(tmp_path: Path) -> None:
    source = tmp_path / "mine.yaml"
    query = "{name: sales, dataset_id: d0, sql: SELECT 1}"
    source.write_text(f"name: mine\nextends: page\nqueries: [{query}]\n")
    with emulator(small()) as server:
        settings = settings_for(server.base_url, tmp_path, source=str(source), dialect="page")
        planned = plan(settings)
        sent = server.state.counters.by_route
    assert planned.resources[-1].name == "sales"
    assert planned.resources[-1].cost.requests == 1
    assert {method for method, _ in sent} == {"GET"}


# -- the quota ------------------------------------------------------------------------------------


def test_a_plan_says_how_many_days_a_sync_takes_and_when_to_come_back(tmp_path: Path) -> None:
    clock = ManualClock()
    with emulator(small(), clock=clock, rpd=20) as server:
        settings = settings_for(server.base_url, tmp_path, rpd=20, reserve=0.1)
        planned = plan(settings, clock)
        # Of 20, the plan spent 4 and 2 are kept; a run sends 3 lists and 11 details, then 15 a day.
        assert (planned.quota.left_today, planned.reserved, planned.budget) == (16, 2, 14)
        assert (planned.days_to_complete, planned.starts_now) == (3, True)
        day = timedelta(seconds=86_402)
        assert planned.come_back_at == (clock.now() + day).replace(microsecond=0)
        reports = [run_sync(settings, clock=clock)]
        assert reports[0].requests.made == planned.budget
        spent = plan(settings, clock)
        assert (spent.made, spent.budget, spent.starts_now) == (0, 0, False)
        assert spent.days_to_complete == 2
        assert spent.cost.requests == 3 + 29 - 11
        while reports[-1].next is not None:
            wait = reports[-1].next.come_back_at - clock.now()
            clock.advance(wait.total_seconds())
            reports.append(run_sync(settings, clock=clock))
        assert [report.exit_code for report in reports] == [3, 3, 0]
        assert server.state.counters.over_limit == 0


def test_max_requests_bounds_each_run_of_the_forecast(tmp_path: Path) -> None:
    with emulator(small()) as server:
        planned = plan(settings_for(server.base_url, tmp_path, max_requests=13))
    assert (planned.budget, planned.days_to_complete) == (13, 3)
    assert planned.come_back_at is None


def test_a_plan_that_the_quota_does_not_allow_estimates_from_what_is_loaded(tmp_path: Path) -> None:
    clock = ManualClock()
    with emulator(small(), clock=clock) as server:
        settings = settings_for(server.base_url, tmp_path, rpd=35, reserve=0.0)
        assert run_sync(settings, clock=clock).exit_code == 0
        run_sync(settings_for(server.base_url, tmp_path, rpd=35, reserve=0.0), clock=clock)
        server.state.counters.reset()
        planned = plan(settings, clock)
        assert server.state.counters.total == planned.made == 0
    assert costs(planned) == {"datasets": (1, 0), "reports": (1, 0), "dashboards": (1, 0)}
    assert not any(resource.asked for resource in planned.resources)
    assert planned.days_to_complete == 1
    assert not planned.starts_now


def test_without_a_request_left_and_an_unknown_dialect_there_is_no_plan(tmp_path: Path) -> None:
    with emulator(small()) as server:
        settings = settings_for(server.base_url, tmp_path, max_requests=0)
        with pytest.raises(BudgetExhausted):
            plan(settings)
        assert server.state.counters.total == 0


# -- failures -------------------------------------------------------------------------------------


def test_a_plan_does_not_look_while_a_sync_writes(tmp_path: Path) -> None:
    with emulator(small()) as server:
        settings = settings_for(server.base_url, tmp_path)
        name = settings.fingerprint()
        with (
            sync_lock(settings.home / "locks", name, "a sync", ManualClock()),
            pytest.raises(LockHeldError),
        ):
            plan(settings)
        assert server.state.counters.total == 0


def test_a_list_that_fails_is_told_and_the_others_are_planned(tmp_path: Path) -> None:
    with emulator(small()) as server:
        settings = settings_for(server.base_url, tmp_path, dialect="page")
        run_sync(settings)
        server.emulator.faults.set("403=1,paths=/reports")
        planned = plan(settings)
    named = {resource.name: resource for resource in planned.resources}
    assert named["reports"].error is not None
    assert [r.name for r in planned.resources if r.error] == ["reports"]
    assert costs(planned) == {"datasets": (1, 0), "reports": (1, 0), "dashboards": (1, 0)}
    assert planned.exit_code == 5
    assert planned.as_json()["error"]["status"] == 403


def test_a_refused_key_ends_the_plan(tmp_path: Path) -> None:
    with emulator(small()) as server, pytest.raises(NotAuthorisedError):
        plan(settings_for(server.base_url, tmp_path, api_key="wrong", dialect="page"))


# -- the command ----------------------------------------------------------------------------------


def invoke(*arguments: str, **environment: str) -> Any:
    environment = {"OPENANALYST_API_KEY": KEY, **environment}
    return CliRunner().invoke(cli, arguments, env=environment, catch_exceptions=False)


def test_the_command_prints_a_table_or_one_json_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with emulator(small()) as server:
        flags = ["plan", "--base-url", server.base_url, "--home", "home", "--rpd", "20"]
        people = invoke(*flags)
        machines = invoke(*flags, "--json")
    assert people.exit_code == machines.exit_code == 0
    assert "reports" in people.stdout
    assert "days in all at one sync a day" in people.stdout
    assert KEY not in people.output + machines.output
    told = orjson.loads(machines.stdout)
    assert told["resources"]["reports"]["requests"] == 26
    assert told["requests"] == {
        "lists": 3,
        "details": 29,
        "total": 32,
        "estimated": False,
        "made": 3,
    }
    assert told["quota"]["left_today"] == 20 - 4 - 3
    assert told["quota"]["budget"] == 20 - 4 - 3 - 2
    assert told["come_back_at"] > told["made_at"]


def test_an_empty_workspace_costs_its_lists(tmp_path: Path) -> None:
    with emulator(workspace_of(datasets=[], reports=[], dashboards=[])) as server:
        planned = plan(settings_for(server.base_url, tmp_path))
    assert costs(planned) == {"datasets": (1, 0), "reports": (1, 0), "dashboards": (1, 0)}
    assert not planned.cost.estimated
