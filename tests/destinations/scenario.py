"""A small workspace and what happens to it, night after night."""

from __future__ import annotations

from typing import Any

from oa_sync.emulator.data import Workspace
from oa_sync.emulator.server import RunningEmulator
from tests.support.emulator import workspace_of

ODD_ROWS: list[dict[str, Any]] = [
    {"text": "", "none": None, "quote": '"', "line": "a\nb\\.\n", "back": "\\N", "euro": "€ 🎈"},
    {
        "big": 2**53 + 1,
        "small": -1e-9,
        "flag": True,
        "list": [1, "2", None],
        "deep": {"a": {"b": []}},
    },
]


def report(number: int, rows: int) -> dict[str, Any]:
    """A report with `rows` rows, each of which says whose it is."""
    return {
        "id": f"r{number:02d}",
        "name": f"Report {number}",
        "note": "" if number % 2 else "first line\nsecond \\. line\r\n\\.\n",
        "score": number,
        "rating": number,
        "filters": {"region": "north", "limit": number},
        "tags": [{"label": f"tag {tag}", "weight": tag / 2} for tag in range(number % 3)],
        "data": [{"report": number, "row": row} for row in range(rows)],
    }


def workspace() -> Workspace:
    """Twelve reports, three datasets, two dashboards."""
    reports = [report(number, number % 4) for number in range(1, 12)]
    return workspace_of(
        reports=[*reports, {**report(12, 0), "data": ODD_ROWS}],
        datasets=[
            {
                "id": f"d{number}",
                "name": f"Dataset {number}",
                "columns": [{"name": f"c{n}", "type": "integer"} for n in range(number + 1)],
            }
            for number in range(3)
        ],
        dashboards=[
            {"id": f"b{number}", "name": "Board", "panels": [{"id": f"p{n}"} for n in range(3)]}
            for number in range(2)
        ],
    )


def edit(server: RunningEmulator, night: int) -> None:
    """Rows change, lists become shorter and empty, rows come and go."""
    state = server.state
    ids = [key for key in state.ids("reports") if key != "r12"]
    changed, shorter, empty, gone = (ids[(night * 3 + n) % len(ids)] for n in range(4))
    state.update("reports", changed, {"name": f"Changed in night {night}"})
    state.update("reports", shorter, {"data": [{"night": night}], "tags": []})
    state.update("reports", empty, {"data": []})
    state.delete("reports", gone)
    state.insert("reports", report(20 + night, 3))
    state.update("datasets", "d1", {"columns": [{"name": f"c{night}", "type": "text"}]})
    panels = [{"id": f"p{night}", "title": "New"}]
    state.update("dashboards", "b1", {"panels": panels, "name": f"Board {night}"})


def drift(server: RunningEmulator) -> None:
    """Whole numbers become fractions and texts, new fields come."""
    state = server.state
    one, two, *_ = state.ids("reports")
    state.update(
        "reports", one, {"score": 1.5, "rating": "good", "owner": {"name": "Ada", "age": 36}}
    )
    state.update("reports", two, {"score": 2, "rating": "", "reviewed_at": "2026-03-01T08:00:00Z"})
    state.update("datasets", "d0", {"columns": [{"name": "c", "type": "text", "length": 12}]})
