"""On every destination: what is declared when rows are loaded already is fetched for them, once."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from oa_sync.commands.plan import plan
from tests.destinations.places import Place
from tests.destinations.test_keys import counts
from tests.support.json_api import json_api
from tests.support.syncing import run_sync

ROWS = [
    {"id": n, "tags": ["a"], "seen": {"at": "2026-01-01T00:00:00Z"}, "v": n / 2} for n in range(3)
]
PART = {"parts": {"table": "thing_parts", "parent_key": "thing_id"}}


def test_a_detail_and_a_child_list_that_are_declared_later(place: Place) -> None:
    routes: dict[str, Any] = {
        f"/things/{n}": lambda _, row=row: {**row, "parts": [{"name": f"p{row['id']}"}]}
        for n, row in enumerate(ROWS)
    }
    things: dict[str, Any] = {"name": "things", "primary_key": "id"}
    things["endpoint"] = {"path": "things", "paginator": {"type": "single_page"}}
    file = place.folder / "any.yaml"
    with json_api({**routes, "/things": lambda _: ROWS}) as server:
        settings = place.settings(server.base_url, source=str(file), api_key=None)

        def declare(declared: dict[str, Any]) -> None:
            file.write_text(json.dumps({"name": "any", "resources": [{**things, **declared}]}))

        def synced(declared: dict[str, Any]) -> tuple[int, ...]:
            declare(declared)
            server.asked.clear()
            return counts(run_sync(settings))["things"]

        assert synced({}) == (3, 0, 0, 0)
        before = place.read("things")
        declared = {"detail": {"path": "things/{id}"}, "children": PART}
        declare(declared)
        assert plan(settings).cost.details == 3, "as it will be"
        assert synced(declared) == (0, 0, 0, 3)
        asked = Counter(path for path, _ in server.asked)
        assert asked == {"/things": 1, **dict.fromkeys(routes, 1)}
        assert sorted(r["name"] for r in place.read("thing_parts")) == ["p0", "p1", "p2"]
        same = ("id", "v", "tags", "seen__at")
        after = place.read("things")
        for name in same:
            assert sorted(str(r[name]) for r in after) == sorted(str(r[name]) for r in before)
        assert synced(declared) == (0, 0, 0, 0)
