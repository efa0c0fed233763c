"""The right definition of a drawn API, as its user would write it."""

from __future__ import annotations

from typing import Any

from oa_sync.definitions.paths import format_path
from tests.foreign.plan import Api, ListPlan, Paging

Said = dict[str, Any]


def definition(api: Api, base_url: str) -> Said:
    """The whole file."""
    return {
        "name": f"foreign-{api.seed}",
        "client": {"base_url": base_url + api.base_path},
        "resources": [_resource(plan, api) for plan in api.lists],
    }


def _resource(plan: ListPlan, api: Api) -> Said:
    endpoint: Said = {"path": plan.name}
    said: Said = {"name": plan.name, "endpoint": endpoint}
    if plan.declares_envelope:
        endpoint["data_selector"] = format_path(plan.rows_path)
    if not plan.paging.is_auto:
        endpoint["paginator"] = paginator(plan.paging)
    if plan.version_at:
        endpoint["incremental"] = {"cursor_path": format_path(plan.version_at)}
    if plan.method == "POST":
        endpoint |= {"method": "POST", "json": {"kind": "all"}}
    if plan.optional:
        endpoint["optional"] = True
    if plan.parent is not None:
        parent = next(one for one in api.lists if one.name == plan.parent)
        if plan.parent_in_path:
            endpoint["path"] = f"{plan.parent}/{{of}}/{plan.name}"
        field = format_path(parent.key_paths[0])
        endpoint["params"] = {"of": {"type": "resolve", "resource": plan.parent, "field": field}}
        said["include_from_parent"] = ["id" if parent.is_jsonapi else "mark"]
    if plan.key_paths:
        keys = [format_path(path) for path in plan.key_paths]
        said["primary_key"] = keys if len(keys) > 1 else keys[0]
    if plan.detail:
        said["detail"] = {
            "path": f"{plan.name}-one"
            + "".join(f"/{{{format_path(path)}}}" for path in plan.key_paths)
        }
        if plan.detail == "selected":
            said["detail"]["data_selector"] = "result.item"
        elif plan.is_jsonapi:
            said["detail"]["data_selector"] = "data"
        if plan.children_in == "list" and plan.depth:
            said["detail"]["fields"] = ["body"]
    if plan.depth:
        said["children"] = {format_path((*plan.inside, "lines")): _child(plan)}
    if plan.history:
        said["history"] = True
    return said


def _child(plan: ListPlan) -> Said:
    child: Said = {"table": f"{plan.name}_lines"}
    if plan.names_parent_key:
        child["parent_key"] = [f"of_{number}" for number, _ in enumerate(plan.key_paths)]
    if plan.depth > 1:
        child["children"] = {"subs": {"table": f"{plan.name}_subs"}}
    return child


def paginator(paging: Paging) -> Said | str:
    """What the definition says of the pages."""

    def at(name: str) -> str:
        return format_path((*paging.place, name))

    total = at("total") if paging.total != "none" else None
    more = {"has_more_path": at("more")} if paging.has_more else {}
    size = {"size_param": "size", "size": paging.asked} if paging.asked else {}
    match paging.way:
        case "page":
            pages, rows = (total, None) if paging.counts_pages else (None, total)
            totals = {"total_path": pages, "total_rows_path": rows}
            numbers = {"base_page": paging.base, "page_param": paging.form}
            return {"type": "page_number", **numbers, **totals, **more, **size}
        case "offset":
            return {"type": "offset", "limit": paging.asked, "total_path": total, **more}
        case "cursor":
            where = {"cursor_path": at("next"), "cursor_param": "after"}
            return {"type": "cursor", **where, "total_path": total, **more, **size}
        case "json_link":
            links = (*paging.place, "links") if paging.form == "list" else (*paging.place, "next")
            return {"type": "json_link", "next_url_path": format_path(links)}
        case "header_link":
            return "header_link"
        case "next_header":
            return {"type": "header_link", "header": "Next-Page"}
    return "single_page"
