"""An API that wants more of this machine than rows: what it says is cut before it fills a screen or a log.

What else it may try is in tests/faults (test_hostile.py: ids, test_faulty_server.py: answers), tests/client
(bodies, redirects, pages) and test_hostile_text.py beside this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.status import status
from oa_sync.commands.sync import sync
from tests.support.json_api import Told, json_api
from tests.support.syncing import settings_for

LONG = "x" * 60_000
LONGEST_TEXT = 2_000
"""Characters of the longest text that a report holds: some keys, each of them cut, and what to do."""


def texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("answered", [404, 422, 500])
def test_endless_ids_and_messages_are_cut_wherever_they_are_shown(
    tmp_path: Path, answered: int
) -> None:
    at = "2026-01-01T00:00:00Z"
    rows = [{"id": f"{n}{LONG}", "name": LONG, "updated_at": at} for n in range(3)]
    rows += [{"id": None, LONG: LONG}, {"id": "short", "updated_at": LONG}]
    page = {"data": rows, "meta": {"page": 1, "per_page": 100, "total": 5, "total_pages": 1}}
    failure = Told({"error": {"code": LONG, "message": LONG, "request_id": LONG}}, answered)
    routes = {"/v1/reports": lambda _: page, "/v1/reports/short": lambda _: failure}
    with json_api(routes) as server:
        settings = settings_for(f"{server.base_url}/v1", tmp_path, dialect="page")
        for _ in range(2):
            report = sync(settings, ["reports"])
            long = [
                f"{text[:90]}…{text[-90:]}"
                for text in texts(report.as_json())
                if len(text) > LONGEST_TEXT
            ]
            assert not long, long
        shown = [
            text[:100] for text in texts(status(settings).as_json()) if len(text) > LONGEST_TEXT
        ]
        assert not shown, shown
