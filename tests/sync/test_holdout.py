"""A workspace that resembles none of those the code was written against: odd, and valid all the same.

Nothing is compared by column: names, types and nesting are the code's choice. What the API holds must be
found in the row that has its key, each value once, whatever it was put into.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from oa_sync.emulator.data import Workspace
from oa_sync.emulator.server import RunningEmulator
from tests.support.emulator import HEADERS, HTTP, emulator, workspace_of
from tests.support.syncing import query, rows_of, run_sync, settings_for

KEYS = ["a/b", "100%", "ünï ☃", "x?y=1&z#f", "a%2Fb", " spaced ", "-1", "null", "'; --", "𝔘" * 40]
TEXTS = [
    "'; DROP TABLE reports; --",
    "\\N",
    "",
    "<script>alert(1)</script>",
    "\u202eright to left",
    "e\u0301 is not \u00e9",
    "line\r\nline\u2028line",
    '{"json": \'not quite}',
    "[1, 2]",
    "null",
    "long " * 20_000,
]
NUMBERS = [0, -1, 2**31, 2**53 + 1, -(2**63), 2**63 - 1, 0.1, -1e-9, 1e300, 12345678.9]
TIMES = ["2026-01-02", "2026-01-02T03:04:05+05:30", "1969-12-31T23:59:59.999Z", "20260102", "soon"]


def report(number: int, key: str) -> dict[str, Any]:
    """Fields differ from report to report, in presence, type and case."""
    text, value = TEXTS[number % len(TEXTS)], NUMBERS[number % len(NUMBERS)]
    return {
        "id": key,
        "name": text,
        "Größe (m²)": value,
        "select": number,
        "SELECT": text,
        "camelCase": {"deepKey": {"deeperKey": value, "": text}, "with.dot": number},
        "mixed": [value, text, number % 2 == 0, {"own": value}][number % 4],
        "when": TIMES[number % len(TIMES)],
        "only_here_" + str(number): number,
        "absent": None,
        "data": [
            {"Spalte": value, "spalte": text, "a b": [number, [text, {"x": None}]], "t": TIMES[0]},
            {},
            {"other": True, "nested": {"list": [], "object": {}}},
        ][: number % 4],
    }


def run(number: int, key: str) -> dict[str, Any]:
    """A run whose status nobody documented."""
    calls = [
        {"name": "söl", "arguments": {"q": text, "n": [number]}, "extra": None} for text in TEXTS
    ]
    steps = [
        {"thought": TEXTS[number % len(TEXTS)], "tool_calls": calls[:number], "cost": 0.1 * number},
        {"observation": {"rows": [1, {"deep": TEXTS[0]}]}},
    ]
    return {
        "id": key,
        "status": ["half-done", "completed", "ON HOLD"][number % 3],
        "prompt": TEXTS[-1 - number % len(TEXTS)],
        "steps": steps[: number % 3],
        "result": [None, TEXTS[3], {"answer": 2**53 + 1}][number % 3],
    }


def holdout() -> Workspace:
    """Everything of above, with a dataset that has no column and one that has 300."""
    return workspace_of(
        reports=[report(number, key) for number, key in enumerate(KEYS)],
        datasets=[
            {"id": "none", "name": "", "columns": []},
            {"id": "wide", "name": "w", "columns": [{"name": f"ç{n}"} for n in range(300)]},
        ],
        dashboards=[{"id": key, "name": key, "panels": None} for key in KEYS[:3]],
        agent_runs=[run(number, key) for number, key in enumerate(KEYS)],
    )


def leaves(value: Any) -> Iterator[Any]:
    """The scalars of a JSON value that say something."""
    if isinstance(value, dict):
        for part in value.values():
            yield from leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(part)
    elif value is not None:
        yield comparable(value)


def comparable(value: Any) -> Any:
    """Numbers as numbers, instants in UTC, whichever type they were stored in."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float | Decimal):
        return ("number", Decimal(repr(value)) if isinstance(value, float) else Decimal(value))
    if isinstance(value, datetime):
        return ("time", value.astimezone(UTC))
    if isinstance(value, date):
        return ("time", datetime(value.year, value.month, value.day, tzinfo=UTC))
    if isinstance(value, str) and len(value) >= 10 and value[4:5] == "-":
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return value
        return ("time", parsed.replace(tzinfo=parsed.tzinfo or UTC).astimezone(UTC))
    return value


def stored(rows: list[dict[str, Any]]) -> Counter[Any]:
    """The scalars in loaded rows, with those inside JSON columns."""
    found: Counter[Any] = Counter()
    for row in rows:
        for value in row.values():
            if isinstance(value, float) and math.isnan(value):
                continue
            found.update(leaves(value))
            if isinstance(value, str) and value[:1] in ("{", "[", '"', "t", "f", *"-0123456789"):
                try:
                    inner = json.loads(value)
                except ValueError:
                    continue
                found.update(leaves(inner))
    return found


@pytest.mark.parametrize("dialect", ["page", "cursor"])
@pytest.mark.parametrize("shape", [{}, {"full_lists": True}, {"max_per_page": 3}], ids=str)
def test_every_value_of_an_unseen_workspace_arrives(
    dialect: str, shape: dict[str, Any], tmp_path: Path
) -> None:
    with emulator(holdout(), dialect=dialect, runs_list=True, **shape) as server:
        settings = settings_for(server.base_url, tmp_path)
        report_ = run_sync(settings)
        assert report_.status == "complete"
        server.state.counters.reset()
        assert run_sync(settings).rows.keys() <= {"syncs", "agent_runs", "agent_run_events"}
        asked_again = set(server.state.counters.details)
        names = ("reports", "datasets", "dashboards", "agent_runs")
        served = {name: answers(server, name, dialect) for name in names}
    assert asked_again <= unfinished(served["agent_runs"])

    for name, records in served.items():
        loaded = {row["id"]: row for row in rows_of(settings, name)}
        assert loaded.keys() == {record["id"] for record in records}
        for record in records:
            lists = rows_below(settings, name, record["id"])
            missing = Counter(leaves(record)) - stored([loaded[record["id"]], *lists])
            assert not missing, (name, record["id"], missing)
    rows = query(settings, "SELECT report_id, row FROM report_rows ORDER BY report_id, position")
    for record in served["reports"]:
        assert [json.loads(row) for key, row in rows if key == record["id"]] == record["data"]


def answers(server: RunningEmulator, name: str, dialect: str) -> list[dict[str, Any]]:
    """What the API itself answers for each record of a resource; dashboards have no detail."""
    if name == "dashboards":
        return [dict(record) for record in server.state.rows(name)]
    runs = {"page": "agents/runs", "cursor": "agents/sessions"}[dialect]
    path = f"{server.base_url}/{runs if name == 'agent_runs' else name}"
    keys = [quote(key, safe="") for key in server.state.ids(name)]
    found = [HTTP.get(f"{path}/{key}", headers=HEADERS).json() for key in keys]
    return [record if "id" in record else record["data"] for record in found]


def unfinished(runs: list[dict[str, Any]]) -> set[str]:
    """Runs in a status that is not known to be the last one: they are asked for again."""
    return {record["id"] for record in runs if record["status"] != "completed"}


def rows_below(settings: Any, resource: str, key: str) -> list[dict[str, Any]]:
    """The rows of all child tables of one record."""
    parent = {"reports": "report_id", "datasets": "dataset_id", "dashboards": "dashboard_id"}
    column = parent.get(resource, "run_id")
    sql = (
        "SELECT table_name FROM information_schema.columns"
        f" WHERE table_schema = '{settings.dataset_name}' AND column_name = ?"
    )
    below: list[dict[str, Any]] = []
    for (table,) in query(settings, sql, column):
        below += [row for row in rows_of(settings, table) if row[column] == key]
    return below
