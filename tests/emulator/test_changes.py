"""Changes at the source while it is read."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from oa_sync.emulator.server import RunningEmulator
from tests.emulator.stepping_clock import SteppingClock
from tests.support.churn import churning
from tests.support.emulator import HEADERS, HTTP, emulator


def rows(server: RunningEmulator, page: int = 1, size: int = 100) -> list[dict[str, Any]]:
    params = {"page": page, "per_page": size}
    answer = HTTP.get(f"{server.base_url}/reports", params=params, headers=HEADERS)
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def detail(server: RunningEmulator, report_id: str) -> httpx.Response:
    return HTTP.get(f"{server.base_url}/reports/{report_id}", headers=HEADERS)


def test_inserts_updates_and_deletes_show_in_list_and_detail() -> None:
    with emulator(clock=SteppingClock()) as server:
        before = rows(server)
        front = server.state.insert("reports", {"data": [{"a": 1}]}, position="front")
        back = server.state.insert("reports", {"id": "rpt_given"})
        server.state.update("reports", before[2]["id"], {"name": "New", "schedule": ...})
        server.state.delete("reports", before[0]["id"])
        after = rows(server)
        ids = [row["id"] for row in before]
        assert [row["id"] for row in after] == [front, *ids[1:], back]
        assert back == "rpt_given"
        assert detail(server, front).json()["data"] == [{"a": 1}]
        assert detail(server, ids[0]).status_code == 404
        changed = detail(server, ids[2]).json()
        assert after[2]["name"] == changed["name"] == "New"
        assert after[2]["updated_at"] == changed["updated_at"] == "2026-03-01T12:00:00Z"
        assert "schedule" in before[2]
        assert "schedule" not in changed
        assert changed["data"] == server.state.get("reports", ids[2])["data"] != []
        assert len(changed["data"]) == changed["row_count"]
        assert [change.op for change in server.state.changes] == [
            "insert",
            "insert",
            "update",
            "delete",
        ]


def test_touch_changes_so_many_rows_even_where_no_time_is_shown() -> None:
    with emulator(no_updated_at=True) as server:
        before = {row["id"]: row for row in rows(server)}
        touched = server.state.touch(4)
        after = {row["id"]: row for row in rows(server)}
    assert {i for i in after if after[i] != before[i]} == set(touched)
    assert len(touched) == 4


def test_churn_inserts_at_the_front_and_deletes_while_pages_are_read() -> None:
    with emulator() as server:
        start = server.state.ids("reports")
        with churning(server.state, "reports", insert_every=1, delete_every=3, seed=5):
            pages = [rows(server, page, 4) for page in range(1, 7)]
        changes = list(server.state.changes)
        assert [c.op for c in changes].count("insert") == 6
        assert [c.op for c in changes].count("delete") == 2
        assert pages[0][-1] == pages[1][0]
        gone = {change.id for change in changes if change.op == "delete"}
        added = {change.id for change in changes if change.op == "insert"}
        assert set(server.state.ids("reports")) == (set(start) | added) - gone
        rows(server)
        assert len(server.state.changes) == len(changes)


def test_impossible_changes_are_refused() -> None:
    with emulator() as server:
        known = server.state.ids("reports")[0]
        with pytest.raises(ValueError, match="exists already"):
            server.state.insert("reports", {"id": known})
        with pytest.raises(KeyError):
            server.state.update("reports", "none", {})
        with pytest.raises(KeyError):
            server.state.delete("reports", "none")
