"""A detail that is read in the very second that its version names may change once more unseen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from oa_sync.clock import isoformat
from tests.support.clock import ManualClock
from tests.support.json_api import json_api
from tests.support.syncing import query, run_sync, settings_for


def test_a_detail_changed_since_it_was_listed_is_read_again_when_its_second_is_over(
    tmp_path: Path,
) -> None:
    """Once, and not at once: each time costs quota."""
    _asked_twice(tmp_path, isoformat)


def test_a_second_since_1970_may_hide_a_change_as_well(tmp_path: Path) -> None:
    _asked_twice(tmp_path, lambda instant: int(instant.timestamp()))


def _asked_twice(folder: Path, version: Callable[[datetime], Any]) -> None:
    clock = ManualClock()
    asked: list[datetime] = []

    def detail(_: Any) -> Any:
        asked.append(clock.now())
        changed = asked[0].replace(microsecond=0)
        return {"id": "r", "updated_at": version(changed), "name": f"reading {len(asked)}"}

    row = {"id": "r", "name": "old", "updated_at": version(datetime(2026, 1, 1, tzinfo=UTC))}
    page = {"data": [row], "meta": {"page": 1, "per_page": 100, "total": 1, "total_pages": 1}}
    with json_api({"/v1/reports": lambda _: page, "/v1/reports/r": detail}, clock.now) as server:
        settings = settings_for(f"{server.base_url}/v1", folder, dialect="page")
        run_sync(settings, "reports", clock=clock)
    assert len(asked) == 2
    assert asked[1] >= asked[0].replace(microsecond=0) + timedelta(seconds=1)
    assert query(settings, "SELECT name FROM reports") == [("reading 2",)]
