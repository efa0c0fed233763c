from __future__ import annotations

from pathlib import Path

import pytest

from oa_sync.definitions.model import Column, NoAuth, PageNumberPaginator
from oa_sync.definitions.sql import sql_parameters
from oa_sync.definitions.templates import bind, fill_path, literal, placeholders
from tests.definitions.written import load


def test_details_children_status_and_references_are_read(tmp_path: Path) -> None:
    text = """
name: shop
resources:
  - name: orders
    primary_key: [shop, id]
    priority: 3
    history: true
    endpoint: {path: /orders, optional: true, incremental: {cursor_path: meta.changed}}
    detail: {path: "orders/{meta.id}", data_selector: $.order}
    children:
      lines:
        table: order_lines
        parent_key: [shop, order_id]
        children:
          "taxes[*]": {table: order_line_taxes}
      "box['x.y']": {table: order_boxes}
    status: {path: state, terminal: [done]}
    references: {customer: people}
    columns: {approved_by: {data_type: text, references: people}, boss: {references: people}}
  - people
"""
    definition = load(tmp_path, text)
    orders = definition.resource("orders")
    assert orders.endpoint.path == "orders"
    assert orders.endpoint.optional
    assert orders.cursor_path == "meta.changed"
    assert list(orders.tables()) == ["orders", "order_lines", "order_boxes", "order_line_taxes"]
    assert orders.detail_fields == ("lines", "box")
    assert list(orders.children["lines"].children) == ["taxes"]
    assert orders.columns == {"approved_by": Column(data_type="text")}
    assert orders.references == dict.fromkeys(("approved_by", "boss", "customer"), "people")
    assert (orders.priority, orders.history) == (3, True)


def test_declared_fields_of_a_detail_win_over_children(tmp_path: Path) -> None:
    text = """
name: x
resources:
  - {name: a, primary_key: id, detail: {path: "a/{id}", fields: [body]}, children: {b: {table: t}}}
  - {name: c, primary_key: id, detail: {path: "c/{id}"}}
"""
    definition = load(tmp_path, text)
    assert definition.resource("a").detail_fields == ("body",)
    assert definition.resource("c").detail_fields == ()


def test_incremental_may_stand_beside_the_endpoint_and_in_the_defaults(tmp_path: Path) -> None:
    text = """
name: x
resource_defaults: {incremental: {cursor_path: updated_at}}
resources: [a, {name: b, incremental: {cursor_path: rev}}, {name: c, endpoint: {incremental: null}}]
"""
    paths = [resource.cursor_path for resource in load(tmp_path, text).resources]
    assert paths == ["updated_at", "rev", None]


def test_queries_name_their_table_and_cursor(tmp_path: Path) -> None:
    text = """
name: x
extends: page
queries:
  - {name: daily, dataset_id: ds_1, sql: "select 1"}
  - name: sales
    dataset_id: ds_2
    sql: "select * from t where day > :last_date and note != ':no'"
    table: sales
    write_disposition: append
    incremental: {cursor_path: day, initial_value: 2024-01-01}
"""
    daily, sales = load(tmp_path, text).queries
    assert (daily.table, daily.write_disposition) == ("query_daily", "replace")
    assert sales.incremental is not None
    assert sales.incremental.initial_value == "2024-01-01"


def test_sql_parameters_are_found_outside_strings_casts_and_comments() -> None:
    sql = """select a::date, ':x', "c:y", `:z` -- :u
        /* :v */ from t where d > :last_date and e >= :last_date and f < :g and h = 'it''s :i'"""
    assert sql_parameters(sql) == ("last_date", "g")


def test_limits_are_read(tmp_path: Path) -> None:
    limits = load(tmp_path, "name: x\nlimits: {minute: 60, day: 0}\nresources: [a]\n").limits
    assert limits is not None
    assert (limits.minute, limits.day) == (60, 0)


# --- extends ---------------------------------------------------------------------------------


def test_a_file_overrides_adds_and_drops_resources_of_a_built_in(tmp_path: Path) -> None:
    text = """
name: mine
extends: page
exclude: [dashboards]
client: {paginator: {size: 25}}
resources:
  - name: reports
    history: true
    columns: {config.theme: {data_type: text}}
    children: {data: {table: report_lines}}
  - name: widgets
    endpoint: {path: widgets}
"""
    definition = load(tmp_path, text)
    names = [resource.name for resource in definition.resources]
    assert names == ["datasets", "reports", "agent_runs", "widgets"]
    assert definition.name == "mine"
    reports = definition.resource("reports")
    assert reports.history
    assert reports.detail is not None
    assert reports.children["data"].table == "report_lines"
    assert reports.children["data"].parent_key == ("report_id",)
    assert {"config", "config.theme", "updated_at"} <= set(reports.columns)
    widgets = definition.resource("widgets")
    assert widgets.primary_key == ("id",)
    assert widgets.endpoint.data_selector == "data"
    assert widgets.cursor_path == "updated_at"
    paginator = definition.paginator_for(widgets)
    assert isinstance(paginator, PageNumberPaginator)
    assert (paginator.size, paginator.size_param, paginator.base_page) == (25, "per_page", 1)
    assert definition.client.auth.type == "bearer"


def test_null_removes_what_the_built_in_says(tmp_path: Path) -> None:
    text = """
name: x
extends: cursor
client: {auth: null, paginator: {type: single_page}}
resources: [{name: reports, detail: null, columns: {config: null}}]
"""
    definition = load(tmp_path, text)
    assert definition.client.auth == NoAuth()
    assert definition.client.paginator is not None
    assert definition.client.paginator.type == "single_page"
    reports = definition.resource("reports")
    assert reports.detail is None
    assert "config" not in reports.columns


@pytest.mark.parametrize(
    ("dialect", "path"), [("page", "agents/runs"), ("cursor", "agents/sessions")]
)
def test_openanalyst_is_the_built_in_of_the_dialect_in_use(
    tmp_path: Path, dialect: str, path: str
) -> None:
    text = "name: x\nextends: openanalyst\n"
    definition = load(tmp_path, text, dialect="cursor" if dialect == "cursor" else "page")
    assert definition.resource("agent_runs").endpoint.path == path


# --- environment -----------------------------------------------------------------------------


def test_variables_are_put_in_after_parsing(tmp_path: Path) -> None:
    text = """
name: x
client: {headers: {X-Trace: "a-${V}", Authorization: "Token ${T}"}}
resources: [{name: a, endpoint: {path: "t/${V}", params: {q: "${Q}", raw: "$${{V}}", cost: "$5"}}}]
"""
    # Braces are placeholders in a parameter; those of a variable's value are not.
    environ = {"V": "seven", "T": "t0k", "Q": "x\nname: y # {z}"}
    definition = load(tmp_path, text, environ=environ)
    assert definition.name == "x"
    assert definition.client.headers == {"X-Trace": "a-seven", "Authorization": "Token t0k"}
    assert "t0k" not in repr(definition.client)
    endpoint = definition.resources[0].endpoint
    assert endpoint.path == "t/seven"
    assert endpoint.plain == {"q": "x\nname: y # {z}", "raw": "${V}", "cost": "$5"}


# --- templates -------------------------------------------------------------------------------


def test_values_fill_a_path_without_climbing_out_of_their_segment() -> None:
    row = {"id": "a/../b?c#d e", "meta": {"n": 7}, "meta.n": 8}
    assert placeholders("x/{id}/{{y}}/{meta.n}") == ("id", "meta.n")
    assert fill_path("x/{id}/{{y}}", row) == "x/a%2F..%2Fb%3Fc%23d%20e/{y}"
    assert fill_path("x/{meta.n}", row) == "x/8"
    assert fill_path("x/{meta.n}", {"meta": {"n": 7}}) == "x/7"


@pytest.mark.parametrize("value", ["", ".", "..", None, True, [1], {"a": 1}])
def test_a_value_that_is_no_path_segment_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"\{id\}"):
        fill_path("x/{id}", {"id": value})
    with pytest.raises(ValueError, match=r"\{id\}"):
        fill_path("x/{id}", {})


@pytest.mark.parametrize("template", ["{", "}", "{}", "{a!r}", "{a:>3}"])
def test_a_placeholder_is_a_name_and_nothing_else(template: str) -> None:
    with pytest.raises(ValueError):
        placeholders(template)


def test_binding_a_placeholder_leaves_literal_braces_and_the_others_alone() -> None:
    assert bind("{{a}}/{a}/{b}/{a}", "a", "{x}") == "{{a}}/{{x}}/{b}/{{x}}"


def test_literal_text_holds_no_placeholder() -> None:
    assert literal("{{a}} b") == "{a} b"
    with pytest.raises(ValueError, match="placeholder"):
        literal("{a}")


def test_a_variable_can_become_neither_an_expression_nor_a_placeholder(tmp_path: Path) -> None:
    text = """
name: x
resources: [a, {name: b, endpoint: {path: "c/${V}", params: {q: "${V}"}, json: {k: ["${V}"]}}}]
"""
    endpoint = load(tmp_path, text, environ={"V": "{resources.a.id}"}).resource("b").endpoint
    assert endpoint.plain == {"q": "{resources.a.id}"}
    assert endpoint.json_body == {"k": ["{resources.a.id}"]}
    assert fill_path(endpoint.path, {}) == "c/{resources.a.id}"
    assert endpoint.resolved == {}


def test_a_header_that_is_no_secret_may_be_written_out(tmp_path: Path) -> None:
    text = "name: x\nclient: {headers: {X-Author: me, Accept: text/csv}}\nresources: [a]\n"
    assert load(tmp_path, text).client.headers == {"X-Author": "me", "Accept": "text/csv"}
