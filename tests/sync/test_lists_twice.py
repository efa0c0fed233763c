"""An answer in which the list stands twice: the last one counts (docs/odd-values.md)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oa_sync.commands.sync import sync
from tests.support.clock import ManualClock
from tests.support.raw_api import answering
from tests.support.syncing import rows_of, settings_for

DEFINITION = {
    "name": "x",
    "resources": [
        {
            "name": "things",
            "primary_key": "id",
            "endpoint": {
                "path": "things",
                "data_selector": "data",
                "paginator": {"type": "offset", "limit": 10, "total_path": "total"},
            },
        }
    ],
}


@pytest.mark.parametrize("key", ["data", "d\\u0061ta"])
def test_a_list_that_stands_twice_is_loaded_as_its_last_one(key: str, tmp_path: Path) -> None:
    body = f'{{"data": [{{"id": 1}}], "{key}": [{{"id": 2}}, {{"id": 3}}], "total": 2}}'.encode()
    source, clock = tmp_path / "d.yaml", ManualClock()
    source.write_text(json.dumps(DEFINITION))
    with answering(lambda path: (200, {}, body), clock.now) as url:
        settings = settings_for(url, tmp_path, source=str(source), api_key=None)
        for _ in range(2):
            report = sync(settings, clock=clock)
            assert report.exit_code == 0, report.error
        assert [row["id"] for row in rows_of(settings, "things")] == [2, 3]
