"""dlt's rules for an endpoint's placeholders, applied once, so that the model holds plain facts.

After this a path's placeholders are names of resolve parameters, and parameters and bodies hold no
expression. Rules and names: dlt `rest_api/config_setup.py`, `_bind_path_params` and
`_setup_single_entity_endpoint`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from oa_sync.definitions.document import (
    Mark,
    MarkedDict,
    MarkedList,
    Problems,
    as_written,
    nearest,
    show,
)
from oa_sync.definitions.templates import bind, literal, placeholders

_EXPRESSION = re.compile(r"resources\.(?P<resource>[^.{}]+)\.(?P<field>[^{}]+)")
_VALID_EXPRESSION = "{resources.NAME.FIELD}; {{ and }} for literal braces"


def settle(resource: MarkedDict, problems: Problems) -> MarkedDict:
    """`resource` with its endpoint's path filled in and every expression a resolve parameter."""
    endpoint = resource.get("endpoint")
    if endpoint is None:
        endpoint = MarkedDict(resource.mark.at("endpoint"))
    if not isinstance(endpoint, MarkedDict):
        return resource
    endpoint = endpoint.without()
    if endpoint.get("path") is None and "name" in resource:
        endpoint.put("path", resource["name"], resource.marks["name"])
    if isinstance(endpoint.get("params") or {}, Mapping):
        _settle_params(endpoint, problems)
    if "json" in endpoint:
        mark = endpoint.marks["json"]
        endpoint.put("json", _without_braces(endpoint["json"], mark, problems), mark)
    settled = resource.without()
    settled.put("endpoint", endpoint, resource.marks.get("endpoint", endpoint.mark))
    return settled


def _settle_params(endpoint: MarkedDict, problems: Problems) -> None:
    params = _parameters(endpoint, problems)
    path, mark = endpoint.get("path"), endpoint.marks.get("path")
    if isinstance(path, str) and mark is not None:
        try:
            names = placeholders(path)
        except ValueError:
            names = ()  # the model reports the braces
        for name in dict.fromkeys(names):
            path = _bind(name, path, mark, params, problems)
        endpoint.put("path", path, mark)
        _single_entity(path, endpoint)
    if params or "params" in endpoint:
        endpoint.put("params", params, endpoint.marks.get("params", params.mark))


def _parameters(endpoint: MarkedDict, problems: Problems) -> MarkedDict:
    """The declared parameters, with `{resources.posts.id}` as a value made a resolve parameter."""
    declared = endpoint.get("params")
    params = MarkedDict(endpoint.mark.at("params"))
    if not isinstance(declared, MarkedDict):
        return params
    params.mark = declared.mark
    for name, value in declared.items():
        mark = declared.marks[name]
        whole = _EXPRESSION.fullmatch(value[1:-1]) if _is_braced(value) else None
        if whole is not None:
            value = _resolve(whole, mark)
        elif not isinstance(value, MarkedDict):
            value = _without_braces(value, mark, problems)
        params.put(name, value, mark)
    return params


def _is_braced(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("{") and value.endswith("}")


def _resolve(expression: re.Match[str], mark: Mark) -> MarkedDict:
    param = MarkedDict(mark)
    for key, value in {"type": "resolve", **expression.groupdict()}.items():
        param.put(key, value, mark)
    return param


def _bind(name: str, path: str, mark: Mark, params: MarkedDict, problems: Problems) -> str:
    """`path` with the placeholder `name` bound to its source."""
    if name not in params:
        expression = _EXPRESSION.fullmatch(name)
        if expression is not None:
            params.put(name, _resolve(expression, mark), mark)
        else:
            _no_source(name, path, mark, params, problems)
        return path
    value = params[name]
    if isinstance(value, MarkedDict):
        return path
    if isinstance(value, MarkedList) or value is None or isinstance(value, bool):
        what = f"{{{name}}} in the path needs text or a number"
        problems.add(params.marks[name], what, value=show(value, params.marks[name]))
        return path
    # A plain value is written into the path once and is then no query parameter any more.
    del params[name], params.marks[name]
    return bind(path, name, str(value))


def _no_source(name: str, path: str, mark: Mark, params: MarkedDict, problems: Problems) -> None:
    if f"{{{name}}}" not in as_written(path, mark):  # it came out of a variable
        problems.add(mark, "a placeholder without a source", value=show(path, mark))
        return
    what = f"the placeholder {{{name}}} has no source" + nearest(name, params)
    problems.add(mark, what, valid=f"endpoint.params.{name} of type resolve, or a plain value")


def _single_entity(path: str, endpoint: MarkedDict) -> None:
    """dlt: a path that ends in a placeholder names one object, not a list of them."""
    if not re.search(r"\{([a-zA-Z0-9.\-_]+)\}", path.rstrip("/").rpartition("/")[2]):
        return
    mark = endpoint.marks["path"]
    if endpoint.get("data_selector") is None:
        endpoint.put("data_selector", "$", mark)
    if endpoint.get("paginator") is None:
        paginator = MarkedDict(mark)
        paginator.put("type", "single_page", mark)
        endpoint.put("paginator", paginator, mark)


def _without_braces(value: Any, mark: Mark, problems: Problems) -> Any:
    """`value` with `{{` made `{` in all its text; an expression in it is a fault."""
    if isinstance(value, MarkedDict):
        copy = MarkedDict(value.mark)
        for key, item in value.items():
            copy.put(key, _without_braces(item, value.marks[key], problems), value.marks[key])
        return copy
    if isinstance(value, MarkedList):
        items = MarkedList(value.mark)
        for item, item_mark in value.marked():
            items.put(_without_braces(item, item_mark, problems), item_mark)
        return items
    if isinstance(value, str) and ("{" in value or "}" in value):
        try:
            return literal(value)
        except ValueError:
            problems.add(
                mark,
                "an expression that cannot stand here",
                value=show(value, mark),
                valid=_VALID_EXPRESSION
                + " (an expression only as a whole query parameter or in path)",
            )
    return value
