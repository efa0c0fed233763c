"""Ids that want to be paths, queries or commands are ids, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from oa_sync.commands.sync import sync
from tests.support.json_api import json_api
from tests.support.syncing import query, settings_for

IDS = [
    "../../../etc/passwd",
    "..",
    ".",
    "a/b",
    "/a",
    "a?b=c",
    "a#b",
    "a%2e%2e%2fb",
    "a b",
    "nul\0inside",
    "line\nbreak",
    "'; DROP TABLE reports; --",
    '"quoted"',
    "ü\u202e東京",
    "x" * 10_000,
]


@pytest.mark.parametrize("key", IDS, ids=lambda key: ascii(key)[:24])
def test_a_hostile_id_is_loaded_as_it_is_and_asked_for_below_its_list(
    key: str, tmp_path: Path
) -> None:
    row = {"id": key, "name": "n", "updated_at": "2026-01-01T00:00:00Z"}
    fine = {**row, "id": "fine"}
    page = {"data": [row, fine], "meta": {"page": 1, "per_page": 100, "total": 2, "total_pages": 1}}

    def detail(fields: dict[str, Any]) -> Any:
        return lambda _: {**fields, "data": [{"a": 1}]}

    path = f"/v1/reports/{quote(key, safe='')}"
    routes = {"/v1/reports": lambda _: page, path: detail(row), "/v1/reports/fine": detail(fine)}
    before = {found for found in tmp_path.parent.rglob("*") if tmp_path not in found.parents}
    with json_api(routes) as server:
        settings = settings_for(f"{server.base_url}/v1", tmp_path, dialect="page")
        report = sync(settings, ["reports"])
        asked = {path for path, _ in server.asked}
    assert all(path == "/v1/reports" or path.startswith("/v1/reports/") for path in asked)
    loaded = dict(query(settings, "SELECT id, name FROM reports"))
    assert "fine" in loaded
    if report.exit_code == 0:
        kept = key.replace(
            "\0", "\ufffd"
        )  # not every destination can hold NUL, and an id is one everywhere
        assert loaded == {"fine": "n", kept: "n"}
        rows = query(settings, "SELECT report_id FROM report_rows ORDER BY 1")
        assert rows == [(k,) for k in sorted(["fine", kept])]
    else:
        assert report.tallies["reports"].errors
        assert key in {".", ".."}, "only these cannot be one segment of a path"
    after = {found for found in tmp_path.parent.rglob("*") if tmp_path not in found.parents}
    assert after == before
