"""Where the cursor field is a day, a change on the day of the loaded version is followed, and not paid for twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from oa_sync.settings import Settings
from tests.support.clock import ManualClock
from tests.support.json_api import Server, json_api
from tests.support.syncing import query, run_sync, settings_for

HOUR = 3_600.0
DEFINITION = {
    "name": "one",
    "resources": [
        {
            "name": "things",
            "primary_key": "id",
            "endpoint": {
                "path": "things",
                "paginator": {"type": "single_page"},
                "incremental": {"cursor_path": "changed"},
            },
            "detail": {"path": "things/{id}"},
        }
    ],
}


class Things:
    """Some rows whose change is told by `spelled`, each with a body and a counter that moves nothing."""

    def __init__(self, spelled: str = "%Y-%m-%d", rows: int = 1) -> None:
        self.clock, self._spelled = ManualClock(), spelled
        self.rows = [{"id": n, "views": 0, "edits": 0} for n in range(rows)]
        self.bodies = dict.fromkeys(range(rows), "first")
        self.server: Server
        self.settings: Settings
        for row in self.rows:
            self.change(row["id"], "first")

    def change(self, number: int, body: str) -> None:
        self.rows[number]["edits"] += 1
        self.rows[number]["changed"] = self.clock.now().strftime(self._spelled)
        self.bodies[number] = body

    def sync(self, **options: Any) -> int:
        """The details that a sync asks for."""
        self.server.asked.clear()
        run_sync(self.settings, clock=self.clock, **options)
        return sum(path != "/things" for path, _ in self.server.asked)

    def loaded(self) -> list[str]:
        return [body for (body,) in query(self.settings, "SELECT body FROM things ORDER BY id")]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    servers = []

    def served(things: Things, **changes: Any) -> Things:
        class Routes(dict[str, Any]):
            def get(self, path: str, default: Any = None) -> Any:
                key = path.rpartition("/")[2]
                if not key.isdigit():
                    return lambda _: things.rows
                row = things.rows[int(key)]
                return lambda _: {**row, "body": things.bodies[row["id"]]}

        file = tmp_path / "one.yaml"
        file.write_text(json.dumps(DEFINITION))
        servers.append(json_api(Routes(), things.clock.now))
        things.server = servers[-1].__enter__()
        things.settings = settings_for(
            things.server.base_url, tmp_path, source=str(file), api_key=None, **changes
        )
        return things

    yield served
    for server in servers:
        server.__exit__(None, None, None)


@pytest.mark.parametrize("spelled", ["%Y-%m-%d", "%Y-%m-%dT00:00:00Z", "%Y-%m-%dT00:00:00.000"])
@pytest.mark.parametrize("hours", [2, 20], ids=["the same day", "the next day"])
def test_a_second_change_on_one_day_is_fetched(spelled: str, hours: int, serve: Any) -> None:
    things = serve(Things(spelled))
    assert things.sync() == 1
    things.clock.advance(HOUR)
    things.change(0, "second")
    things.clock.advance(hours * HOUR)
    assert things.sync() == 1
    assert things.loaded() == ["second"]
    assert things.sync() == 0, "nothing changed since"


def test_what_moves_no_version_asks_for_no_detail_when_its_day_is_over(serve: Any) -> None:
    things = serve(Things())
    assert things.sync() == 1
    things.clock.advance(72 * HOUR)
    assert things.sync() == 0, "the list was read when that day was over"
    for views in range(1, 4):
        things.clock.advance(24 * HOUR)
        things.rows[0]["views"] = views
        assert things.sync() == 0
        assert query(things.settings, "SELECT views FROM things") == [(views,)]


def test_a_version_with_seconds_is_believed(serve: Any) -> None:
    things = serve(Things("%Y-%m-%dT%H:%M:%SZ"))
    things.sync()
    things.clock.advance(HOUR)
    things.rows[0]["views"] = 1
    assert things.sync() == 0


def test_a_change_on_the_same_day_waits_for_the_budget(serve: Any) -> None:
    things = serve(Things(rows=3), max_requests=4)
    assert things.sync() == 3
    things.clock.advance(HOUR)
    for number in range(3):
        things.change(number, "second")
    things.settings = replace(things.settings, max_requests=2)
    for left in (2, 1, 0):
        assert things.sync() == 1
        assert things.loaded().count("first") == left
        things.clock.advance(100 * HOUR)
    assert things.sync() == 0


def test_the_day_is_that_of_the_server(serve: Any) -> None:
    """A clock that is a year ahead when a detail is read does not make its day over."""
    things = serve(Things())
    ahead = ManualClock(things.clock.now() + timedelta(days=400))
    run_sync(things.settings, clock=ahead)
    things.clock.advance(HOUR)
    things.change(0, "second")
    assert things.sync() == 1
    assert things.loaded() == ["second"]
