"""A definition file is enough to read an API that nobody here knew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.emulator import emulator
from tests.support.json_api import json_api
from tests.support.syncing import query, run_sync, settings_for

BLOG = """
name: blog
client:
  paginator: {type: offset, limit: 2, total_path: count}
resources:
  - name: posts
    primary_key: id
    endpoint: {path: posts, data_selector: items}
  - name: comments
    primary_key: id
    include_from_parent: [title]
    endpoint:
      path: "posts/{post_id}/comments"
      paginator: single_page
      params:
        post_id: {type: resolve, resource: posts, field: id}
  - name: tags
    endpoint: {path: tags, paginator: single_page}
  - name: events
    write_disposition: append
    endpoint: {path: events, paginator: single_page}
"""


def test_lists_by_parent_keyless_lists_and_appended_ones(tmp_path: Path) -> None:
    posts = [{"id": n, "title": f"Post {n}", "tagLine": "x"} for n in (1, 2, 3)]
    comments = {1: [{"id": 10, "text": "a"}], 2: [], 3: [{"id": 30, "text": "c"}]}
    tags: list[dict[str, Any]] = [{"name": "red"}, {"name": "red"}, {"name": "blue"}]
    events = [{"kind": "start"}]
    routes = {
        "/posts": lambda q: {
            "items": posts[int(q["offset"]) : int(q["offset"]) + int(q["limit"])],
            "count": len(posts),
        },
        "/tags": lambda q: tags,
        "/events": lambda q: events,
        **{f"/posts/{n}/comments": lambda q, n=n: comments.get(n) for n in (1, 2, 3)},
    }
    source = tmp_path / "blog.yaml"
    source.write_text(BLOG)
    with json_api(routes) as api:
        settings = settings_for(api.base_url, tmp_path, source=str(source), api_key=None)
        first = run_sync(settings)
        assert first.requests.made == len(api.asked) == 2 + 3 + 1 + 1
        assert query(settings, "SELECT id, tag_line FROM posts ORDER BY id") == [
            (1, "x"),
            (2, "x"),
            (3, "x"),
        ]
        assert query(settings, "SELECT id, _posts_title FROM comments ORDER BY id") == [
            (10, "Post 1"),
            (30, "Post 3"),
        ]
        assert query(settings, "SELECT name FROM tags ORDER BY name") == [
            ("blue",),
            ("red",),
            ("red",),
        ]
        tags[:] = [{"name": "green"}, {"name": "red"}]
        events[:] = [{"kind": "stop"}]
        comments[3] = [{"id": 30, "text": "changed"}]
        run_sync(settings)
        assert query(settings, "SELECT text FROM comments WHERE id = 30") == [("changed",)]
        comments[3] = [{"id": 30, "text": "changed again"}]
        alone = run_sync(settings, "comments")
        assert alone.requests.made == 2 + 3, "the posts say whose comments there are"
        assert query(settings, "SELECT text FROM comments WHERE id = 30") == [("changed again",)]
    assert query(settings, "SELECT name FROM tags ORDER BY name") == [("green",), ("red",)]
    assert query(settings, "SELECT kind FROM events ORDER BY kind") == [("start",), ("stop",)]


def test_what_only_the_detail_has_inside_an_object_stays_when_the_list_row_changes(
    tmp_path: Path,
) -> None:
    """The row changes and its time does not move, so the detail is not asked for again."""
    at = "2026-01-01T00:00:00Z"
    rows = [{"id": n, "changed": at, "stars": 1, "owner": {"login": "x"}} for n in (1, 2)]
    more = {"email": "e", "keys": [{"k": 1}, {"k": 2}]}
    routes: dict[str, Any] = {"/repos": lambda q: rows}
    for row in rows:
        routes[f"/repos/{row['id']}"] = lambda q, row=row: {
            **row,
            "owner": {**row["owner"], **more},
        }
    resource = {
        "name": "repos",
        "primary_key": "id",
        "endpoint": {"path": "repos", "incremental": {"cursor_path": "changed"}},
        "detail": {"path": "repos/{id}"},
        "children": {"owner.keys": {"table": "keys", "parent_key": "repo_id"}},
    }
    source = tmp_path / "repos.yaml"
    definition = {"name": "x", "client": {"paginator": "single_page"}, "resources": [resource]}
    source.write_text(json.dumps(definition))
    with json_api(routes) as api:
        settings = settings_for(api.base_url, tmp_path, source=str(source), api_key=None)
        assert run_sync(settings).requests.made == 1 + 2
        rows[0] |= {"stars": 2, "owner": {"login": "y"}}
        assert run_sync(settings).requests.made == 1
    loaded = query(settings, "SELECT id, stars, owner__login, owner__email FROM repos ORDER BY id")
    assert loaded == [(1, 2, "y", "e"), (2, 1, "x", "e")]
    keys = query(settings, "SELECT repo_id, position, k FROM keys ORDER BY ALL")
    assert keys == [(1, 0, 1), (1, 1, 2), (2, 0, 1), (2, 1, 2)]


def test_five_lines_add_an_endpoint_to_the_built_in_definition(tmp_path: Path) -> None:
    source = tmp_path / "mine.yaml"
    source.write_text(
        "name: mine\n"
        "extends: page\n"
        "exclude: [agent_runs]\n"
        "resources:\n"
        "  - name: alerts\n"
        "    endpoint: {path: alerts, incremental: {cursor_path: changed}}\n"
        "    children: {rules: {table: alert_rules, parent_key: alert_id}}\n"
    )
    alerts = [
        {"id": "al_1", "changed": "2026-01-01T00:00:00Z", "rules": [{"op": ">"}, {"op": "<"}]}
    ]
    empty = {"data": [], "meta": {"page": 1, "per_page": 100, "total": 0, "total_pages": 0}}
    routes = {
        "/alerts": lambda q: {
            "data": alerts,
            "meta": {"page": 1, "per_page": 100, "total": 1, "total_pages": 1},
        },
        "/datasets": lambda q: empty,
        "/reports": lambda q: empty,
        "/dashboards": lambda q: empty,
    }
    with json_api(routes) as api:
        settings = settings_for(api.base_url, tmp_path, source=str(source), dialect="page")
        report = run_sync(settings)
    assert report.tallies["alerts"].new == 1
    assert query(settings, "SELECT alert_id, position, op FROM alert_rules ORDER BY position") == [
        ("al_1", 0, ">"),
        ("al_1", 1, "<"),
    ]


def test_the_modes_of_report_rows_hold_the_same_rows(tmp_path: Path) -> None:
    with emulator(dialect="page") as server:
        by_mode = {
            mode: settings_for(server.base_url, tmp_path / mode, report_rows=mode)
            for mode in ("json", "typed", "tables")
        }
        for settings in by_mode.values():
            settings.database.parent.mkdir()
            run_sync(settings)
        name = server.state.get("reports", server.state.ids("reports")[0])["name"]
    count = "SELECT count(*) FROM report_rows"
    assert query(by_mode["json"], count) == query(by_mode["typed"], count)
    tables = query(
        by_mode["tables"],
        "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'report\\_\\_%'"
        " ESCAPE '\\' AND table_schema = 'openanalyst'",
    )
    total = sum(
        query(by_mode["tables"], f'SELECT count(*) FROM "{table}"')[0][0]
        for (table,) in tables
        if "__" not in table.removeprefix("report__")
    )
    assert total == query(by_mode["json"], count)[0][0], name
