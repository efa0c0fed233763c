from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from oa_sync.definitions.loader import Dialect, load_definition
from oa_sync.definitions.model import BearerAuth, CursorPaginator, PageNumberPaginator
from oa_sync.definitions.schema import definition_json_schema

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_built_ins_declare_the_tables_of_the_api(dialect: Dialect) -> None:
    definition = load_definition(dialect, dialect=dialect, environ={})
    assert [list(resource.tables()) for resource in definition.resources] == [
        ["datasets", "dataset_columns"],
        ["reports", "report_rows"],
        ["dashboards", "dashboard_panels"],
        ["agent_runs", "agent_run_steps", "agent_run_tool_calls"],
    ]
    assert all(r.primary_key == ("id",) for r in definition.resources)
    assert all(r.write_disposition == "merge" for r in definition.resources)
    assert all(r.cursor_path == "updated_at" for r in definition.resources)
    assert all(r.endpoint.data_selector == "data" for r in definition.resources)
    assert definition.client.auth == BearerAuth()
    calls = definition.resource("agent_runs").children["steps"].children["tool_calls"]
    assert calls.parent_key == ("run_id", "step_position")


def test_the_dialects_page_as_documented() -> None:
    page = load_definition("page", dialect="cursor", environ={})
    assert page.client.paginator == PageNumberPaginator(
        page_param="page",
        base_page=1,
        size_param="per_page",
        size=100,
        total_path=None,
        total_rows_path="meta.total",
    )
    cursor = load_definition("openanalyst", dialect="cursor", environ={})
    assert cursor.client.paginator == CursorPaginator(
        cursor_param="after",
        cursor_path="pagination.cursor",
        has_more_path="pagination.has_more",
        size_param="limit",
        size=100,
        total_path="pagination.total",
    )


def test_a_list_that_no_page_documents_is_optional() -> None:
    def optional(dialect: Dialect) -> list[str]:
        definition = load_definition(dialect, dialect=dialect, environ={})
        return [r.name for r in definition.resources if r.endpoint.optional]

    assert optional("page") == ["agent_runs"]
    assert optional("cursor") == ["dashboards"]


def test_the_published_schema_is_the_models() -> None:
    published = json.loads((ROOT / "docs/definition.schema.json").read_text("utf-8"))
    assert published == definition_json_schema(), "write it anew: see oa_sync/definitions/schema.py"


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ((ROOT / "oa_sync/definitions/page.yaml").read_text("utf-8"), True),
        ((ROOT / "oa_sync/definitions/cursor.yaml").read_text("utf-8"), True),
        ("{name: x, resources: [a, {name: b, endpoint: c, incremental: {cursor_path: u}}]}", True),
        ("{name: x, extends: page, exclude: [reports]}", True),
        ("{name: x, client: {auth: {token: '${T}'}, paginator: auto}, resources: [a]}", True),
        ("{name: x, client: {auth: null}, resources: [{name: a, columns: [{name: c}]}]}", True),
        ("{name: x, resource_defaults: {primary_key: [a, b]}, resources: [a]}", True),
        ("{name: x}", False),
        ("{resources: [a]}", False),
        ("{name: x, resources: [{endpoint: a}]}", False),
        ("{name: x, resources: [{name: a, endpoint: {methud: GET}}]}", False),
        ("{name: x, client: {auth: {type: bearer, token: abc}}, resources: [a]}", False),
        ("{name: x, client: {paginator: offset}, resources: [a]}", False),
        ("{name: x, resource_defaults: {name: b}, resources: [a]}", False),
    ],
)
def test_the_schema_tells_editors_what_the_loader_accepts(text: str, valid: bool) -> None:
    schema = jsonschema_rs.Draft202012Validator(definition_json_schema())
    assert schema.is_valid(yaml.safe_load(text)) is valid
