"""The words that dlt has mean what they mean there; where it can be had, dlt itself is the judge."""

from __future__ import annotations

import inspect
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from dlt.sources.helpers.rest_client import paginators as dlt_paginators
from dlt.sources.rest_api.config_setup import PAGINATOR_MAP, build_resource_dependency_graph

from oa_sync.definitions.model import (
    ApiKeyAuth,
    AutoPaginator,
    BearerAuth,
    CursorPaginator,
    HeaderLinkPaginator,
    HttpBasicAuth,
    JsonLinkPaginator,
    NoAuth,
    OffsetPaginator,
    PageNumberPaginator,
    ResolveParam,
    SinglePagePaginator,
    Word,
)
from tests.definitions.written import load

SAMPLE = """
name: blog
client: {base_url: "https://api.example.org/v2/", paginator: {type: offset, limit: 50}}
resource_defaults:
  primary_key: id
  endpoint:
    method: GET
    data_selector: items
    params: {per_page: 10, sort: up}
    json: {a: 1}
  columns: {created: {data_type: timestamp}, note: {data_type: text}}
resources:
  - plain
  - name: short
    endpoint: blog/short
  - name: pathless
    endpoint: {params: {sort: down, q: "{{literal}}"}}
  - name: posts
    endpoint: {path: "{owner}/posts", params: {owner: me, sort: down}, json: {b: "{{2}}"}}
    primary_key: [a, b]
    columns: [{name: extra, data_type: json}]
  - name: comments
    endpoint:
      path: "posts/{post_id}/comments"
      params: {post_id: {type: resolve, resource: posts, field: meta.id}}
    include_from_parent: [title]
  - name: author
    endpoint: {path: "authors/{resources.posts.author}", data_selector: null}
    write_disposition: append
"""


def test_defaults_shorthands_and_paths_come_out_as_in_dlt(tmp_path: Path) -> None:
    raw = yaml.safe_load(SAMPLE)
    _, theirs, resolved = build_resource_dependency_graph(
        deepcopy(raw["resource_defaults"]), deepcopy(raw["resources"])
    )
    definition = load(tmp_path, SAMPLE)
    assert {resource.name for resource in definition.resources} == set(theirs)
    for resource in definition.resources:
        their: Any = theirs[resource.name]
        endpoint = their["endpoint"]
        assert resource.endpoint.path == endpoint["path"]
        assert resource.endpoint.method == endpoint["method"]
        assert resource.endpoint.data_selector == endpoint["data_selector"]
        key = their["primary_key"]
        assert resource.primary_key == ((key,) if isinstance(key, str) else tuple(key))
        types = {name: column["data_type"] for name, column in _columns(their).items()}
        assert {name: c.data_type for name, c in resource.columns.items()} == types
        parents = resolved[resource.name] or []
        assert {p.param_name: p.resolve_config["field"] for p in parents} == {
            name: param.field for name, param in resource.endpoint.resolved.items()
        }
        theirs_plain = {
            name: value for name, value in endpoint["params"].items() if not isinstance(value, dict)
        }
        # dlt takes doubled braces apart only when it sends the request.
        assert resource.endpoint.plain == {
            name: value.replace("{{", "{").replace("}}", "}") if isinstance(value, str) else value
            for name, value in theirs_plain.items()
        }


def test_a_column_of_a_resource_wins_over_the_default_of_that_name(tmp_path: Path) -> None:
    """dlt 1.31 changes the default itself here, and with it the columns of every other resource."""
    text = """
name: x
resource_defaults: {columns: {note: {data_type: text}, created: {data_type: timestamp}}}
resources: [{name: a, columns: [{name: note, data_type: json}]}, b]
"""
    first, second = load(tmp_path, text).resources
    assert {n: c.data_type for n, c in first.columns.items()} == {
        "note": "json",
        "created": "timestamp",
    }
    assert second.columns["note"].data_type == "text"


def _columns(resource: Any) -> dict[str, Any]:
    columns = resource["columns"]
    return columns if isinstance(columns, dict) else {column["name"]: column for column in columns}


@pytest.mark.parametrize(
    "ours",
    [PageNumberPaginator, OffsetPaginator, CursorPaginator, JsonLinkPaginator, HeaderLinkPaginator],
)
def test_paginators_have_the_parameters_and_defaults_of_dlt(ours: type[Word]) -> None:
    kind = str(ours.model_fields["type"].default)
    theirs = inspect.signature(PAGINATOR_MAP[kind].__init__).parameters
    for name, info in ours.model_fields.items():
        if name not in theirs or theirs[name].default in (None, inspect.Parameter.empty):
            continue
        assert info.default == theirs[name].default, name
    assert PageNumberPaginator().page_param == dlt_paginators.PageNumberPaginator().param_name
    assert (
        CursorPaginator().cursor_param == dlt_paginators.JSONResponseCursorPaginator().cursor_param
    )
    their_offset = dlt_paginators.OffsetPaginator(limit=1)
    assert OffsetPaginator(limit=1).offset_param == their_offset.param_name
    assert OffsetPaginator(limit=1).limit_param == their_offset.limit_param


def test_the_paginator_of_the_client_is_inherited_unlike_in_dlt(tmp_path: Path) -> None:
    """dlt-hub/dlt#2586: there, one page is taken for the whole list."""
    definition = load(tmp_path, SAMPLE)
    assert definition.paginator_for(definition.resource("plain")) == OffsetPaginator(limit=50)
    assert definition.paginator_for(definition.resource("author")) == SinglePagePaginator()
    bare = load(tmp_path, "name: x\nresources: [a]\n")
    assert bare.paginator_for(bare.resource("a")) == AutoPaginator()


def test_every_paginator_can_be_named_alone_or_with_its_parameters(tmp_path: Path) -> None:
    text = """
name: x
resources:
  - {name: a, endpoint: {paginator: page_number}}
  - {name: b, endpoint: {paginator: cursor}}
  - {name: c, endpoint: {paginator: {type: json_link, next_url_path: "links['next.url']"}}}
  - {name: d, endpoint: {paginator: header_link}}
  - {name: e, endpoint: {paginator: auto}}
  - {name: f, endpoint: {paginator: {type: offset, limit: 5, total_path: null}}}
"""
    kinds = [resource.endpoint.paginator for resource in load(tmp_path, text).resources]
    assert kinds == [
        PageNumberPaginator(),
        CursorPaginator(),
        JsonLinkPaginator(next_url_path="links['next.url']"),
        HeaderLinkPaginator(),
        AutoPaginator(),
        OffsetPaginator(limit=5, total_path=None),
    ]


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ("bearer", BearerAuth()),
        ("{type: bearer}", BearerAuth()),
        ("{token: '${GH}'}", BearerAuth.model_validate({"token": "ghs_secret-value"})),
        (
            "{type: api_key, name: X-Key, api_key: '${GH}', location: query}",
            ApiKeyAuth.model_validate(
                {"name": "X-Key", "api_key": "ghs_secret-value", "location": "query"}
            ),
        ),
        (
            "{type: http_basic, username: me, password: '${GH}'}",
            HttpBasicAuth.model_validate({"username": "me", "password": "ghs_secret-value"}),
        ),
        ("null", NoAuth()),
    ],
)
def test_auth_has_the_forms_of_dlt(tmp_path: Path, auth: str, expected: Word) -> None:
    text = f"name: x\nclient: {{base_url: '${{HOST}}', auth: {auth}}}\nresources: [a]\n"
    definition = load(tmp_path, text)
    assert definition.client.auth == expected
    assert definition.client.base_url == "https://api.example.org"
    assert "ghs_" not in repr(definition)


def test_no_auth_at_all_means_none(tmp_path: Path) -> None:
    assert load(tmp_path, "name: x\nresources: [a]\n").client.auth == NoAuth()


def test_a_resolve_parameter_without_a_placeholder_is_a_query_parameter(tmp_path: Path) -> None:
    text = """
name: x
resources:
  - name: b
    endpoint: {path: b, params: {a_id: "{resources.a.id}", n: 1, tags: [x, y]}}
  - a
"""
    definition = load(tmp_path, text)
    assert [resource.name for resource in definition.resources] == ["a", "b"]  # parents first
    resource = definition.resource("b")
    assert resource.parent == "a"
    assert resource.endpoint.resolved == {"a_id": ResolveParam(resource="a", field="id")}
    assert resource.endpoint.plain == {"n": 1, "tags": ("x", "y")}


def test_a_resource_without_a_key_is_replaced_and_one_with_a_key_merged(tmp_path: Path) -> None:
    definition = load(tmp_path, "name: x\nresources: [a, {name: b, primary_key: id}]\n")
    assert definition.resource("a").write_disposition == "replace"
    assert definition.resource("b").write_disposition == "merge"


def test_one_contract_mode_means_tables_columns_and_types(tmp_path: Path) -> None:
    text = "name: x\nresources: [{name: a, schema_contract: freeze}, {name: b, schema_contract: {columns: freeze}}]\n"
    definition = load(tmp_path, text)
    whole = {"tables": "freeze", "columns": "freeze", "data_type": "freeze"}
    assert definition.resource("a").schema_contract == whole
    assert definition.resource("b").schema_contract == {"columns": "freeze"}


def test_yaml_words_are_text_unless_json_knows_them(tmp_path: Path) -> None:
    text = """
name: x
resources:
  - name: a
    endpoint: {params: {a: no, b: 2024-01-01, c: 010, d: 1e3, e: .5, f: "1", g: ~, h: !!str 5, i: 1_0}}
"""
    params = load(tmp_path, text).resources[0].endpoint.plain
    assert params == {
        "a": "no",
        "b": "2024-01-01",
        "c": 10,
        "d": 1000.0,
        "e": 0.5,
        "f": "1",
        "g": None,
        "h": "5",
        "i": "1_0",
    }


def test_anchors_and_aliases_work(tmp_path: Path) -> None:
    text = "name: x\nresources: [{name: a, columns: &c {t: {data_type: json}}}, {name: b, columns: *c}]\n"
    first, second = load(tmp_path, text).resources
    assert first.columns == second.columns != {}
