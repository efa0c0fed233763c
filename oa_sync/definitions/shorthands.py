"""Short and long forms: everything a file may abbreviate is written out, keeping its marks.

Malformed parts pass through untouched; the model's validation reports them.
"""

from __future__ import annotations

from typing import Any

from oa_sync.definitions.document import MarkedDict, MarkedList, Problems


def write_out(document: MarkedDict, problems: Problems) -> MarkedDict:
    """A copy of `document` in which every shorthand of dlt's and ours has its long form."""
    full = document.without()
    if isinstance(full.get("client"), MarkedDict):
        _replace(full, "client", _client(full["client"]))
    if isinstance(full.get("resource_defaults"), MarkedDict):
        _replace(full, "resource_defaults", _resource(full["resource_defaults"], problems))
    if isinstance(full.get("resources"), MarkedList):
        resources = MarkedList(full["resources"].mark)
        for entry, mark in full["resources"].marked():
            if isinstance(entry, str):
                named = MarkedDict(mark)
                named.put("name", entry, mark)
                entry = named
            if isinstance(entry, MarkedDict):
                entry = _resource(entry, problems)
            resources.put(entry, mark)
        _replace(full, "resources", resources)
    return full


def _replace(mapping: MarkedDict, key: str, value: Any) -> None:
    mapping.put(key, value, mapping.marks[key])


def _named(mapping: MarkedDict, key: str, word: str) -> None:
    """Turn `key: text` into `key: {word: text}`."""
    if isinstance(mapping.get(key), str):
        long = MarkedDict(mapping.marks[key])
        long.put(word, mapping[key], mapping.marks[key])
        _replace(mapping, key, long)


def _client(client: MarkedDict) -> MarkedDict:
    full = client.without()
    _named(full, "paginator", "type")
    _named(full, "auth", "type")
    auth = full.get("auth")
    if isinstance(auth, MarkedDict) and "type" not in auth:  # dlt: a token alone means bearer
        auth = auth.without()
        auth.put("type", "bearer", auth.mark)
        _replace(full, "auth", auth)
    return full


def _resource(resource: MarkedDict, problems: Problems) -> MarkedDict:
    full = resource.without()
    _named(full, "endpoint", "path")
    if "incremental" in full:
        full = _incremental_into_endpoint(full, problems)
    if isinstance(full.get("endpoint"), MarkedDict):
        endpoint = full["endpoint"].without()
        _named(endpoint, "paginator", "type")
        _replace(full, "endpoint", endpoint)
    if isinstance(full.get("columns"), MarkedList):
        _replace(full, "columns", _columns_by_name(full["columns"], problems))
    if isinstance(full.get("columns"), MarkedDict):
        full = _references_out_of_columns(full)
    return full


def _incremental_into_endpoint(resource: MarkedDict, problems: Problems) -> MarkedDict:
    """`incremental` beside the endpoint means the same as inside it."""
    full = resource.without("incremental")
    mark = resource.marks["incremental"]
    endpoint = full.get("endpoint")
    if endpoint is None:
        endpoint = MarkedDict(mark)
        full.put("endpoint", endpoint, mark)
    if not isinstance(endpoint, MarkedDict):
        return full
    if "incremental" in endpoint:
        problems.add(mark, "given twice: here and in endpoint.incremental", valid="one of the two")
        return full
    endpoint = endpoint.without()
    endpoint.put("incremental", resource["incremental"], mark)
    _replace(full, "endpoint", endpoint)
    return full


def _columns_by_name(columns: MarkedList, problems: Problems) -> MarkedDict:
    """dlt's list form `[{name: a, data_type: text}]` as `{a: {data_type: text}}`."""
    by_name = MarkedDict(columns.mark)
    for column, mark in columns.marked():
        if not isinstance(column, MarkedDict):
            problems.add(mark, "expected a mapping", valid="{name, data_type}")
        elif not isinstance(column.get("name"), str):
            problems.add(mark.at("name"), "required key missing", valid="the column's name")
        elif column["name"] in by_name:
            problems.add(column.marks["name"], "this column stands here twice")
        else:
            by_name.put(column["name"], column.without("name"), mark)
    return by_name


def _references_out_of_columns(resource: MarkedDict) -> MarkedDict:
    """`references` on a column means the same as in the resource's `references`."""
    full = resource.without()
    columns = MarkedDict(full["columns"].mark)
    found = MarkedDict(columns.mark)
    for name, column in full["columns"].items():
        mark = full["columns"].marks[name]
        if isinstance(column, MarkedDict) and "references" in column:
            found.put(name, column["references"], column.marks["references"])
            column = column.without("references")
            if not column:
                continue
        columns.put(name, column, mark)
    _replace(full, "columns", columns)
    if found:
        declared = full.get("references")
        if isinstance(declared, MarkedDict):
            for name in declared:
                found.take(name, declared)
        if declared is None or isinstance(declared, MarkedDict):
            full.put("references", found, full.marks.get("references", found.mark))
    return full
