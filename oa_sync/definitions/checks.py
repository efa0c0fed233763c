"""What types cannot check: names used twice, references that lead nowhere, keys that do not fit.

The checks read the merged document, not the model, so that a file with a wrong key somewhere still
gets all its other faults reported. Malformed parts are skipped here; the model's validation reports
them.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from oa_sync.definitions.paths import parse_path
from oa_sync.definitions.sql import sql_parameters


def check(document: MarkedDict, problems: Problems) -> None:
    """Add every fault that spans more than one value to `problems`."""
    resources = _mappings(document, "resources")
    if not document.get("resources"):
        mark = document.marks.get("resources", document.mark.at("resources"))
        problems.add(mark, "no resource is left", valid="at least one resource")
    names = _names(resources)
    _tables_stand_alone(document, problems)
    for resource in resources:
        _parents_exist(resource, names, problems)
        _references_exist(resource, names, problems)
        _keys_fit(resource, problems)
        for word in ("children", "columns"):
            _paths_once(resource, word, problems)
    _no_cycle(resources, names, problems)
    for query in _mappings(document, "queries"):
        _query_parameters(query, problems)
    _own_secret_has_own_url(document, problems)


def _mappings(document: MarkedDict, key: str) -> list[MarkedDict]:
    value = document.get(key)
    if not isinstance(value, MarkedList):
        return []
    return [item for item in value if isinstance(item, MarkedDict)]


def _mapping(parent: MarkedDict, key: str) -> MarkedDict:
    value = parent.get(key)
    return value if isinstance(value, MarkedDict) else MarkedDict(parent.mark)


def _names(resources: list[MarkedDict]) -> dict[str, str]:
    """Every resource's name, and how it is written in the file."""
    named = [r for r in resources if isinstance(r.get("name"), str)]
    return {r["name"]: as_written(r["name"], r.marks["name"]) for r in named}


def _no_such_resource(name: str, mark: Mark, names: dict[str, str], problems: Problems) -> None:
    near = "" if mark.written != name else nearest(name, names.values())
    valid = ", ".join(names.values())
    problems.add(mark, "no such resource" + near, value=show(name, mark), valid=valid)


def resolve_params(resource: MarkedDict) -> Iterator[tuple[str, Mark]]:
    """The resources whose rows `resource` is asked for by, each with the mark of the parent's name."""
    for param in _mapping(_mapping(resource, "endpoint"), "params").values():
        if isinstance(param, MarkedDict) and param.get("type") == "resolve":
            parent = param.get("resource")
            if isinstance(parent, str):
                yield parent, param.marks["resource"]


def _tables(document: MarkedDict) -> Iterator[tuple[str, Mark]]:
    for resource in _mappings(document, "resources"):
        if isinstance(resource.get("name"), str):
            yield resource["name"], resource.marks["name"]
        yield from _child_tables(resource)
    for query in _mappings(document, "queries"):
        if isinstance(query.get("table"), str):
            yield query["table"], query.marks["table"]
        elif isinstance(query.get("name"), str):
            yield f"query_{query['name']}", query.marks["name"]


def _child_tables(parent: MarkedDict) -> Iterator[tuple[str, Mark]]:
    for child in _mapping(parent, "children").values():
        if isinstance(child, MarkedDict):
            if isinstance(child.get("table"), str):
                yield child["table"], child.marks["table"]
            yield from _child_tables(child)


def _tables_stand_alone(document: MarkedDict, problems: Problems) -> None:
    seen: dict[str, Mark] = {}
    for table, mark in _tables(document):
        if table in seen:
            first = seen[table]
            what = f"the table is already written by {first.path} on line {first.line}"
            problems.add(mark, what, value=show(table, mark), valid="a name of its own")
        seen.setdefault(table, mark)


def _parents_exist(resource: MarkedDict, names: dict[str, str], problems: Problems) -> None:
    parents = list(resolve_params(resource))
    for parent, mark in parents:
        if parent not in names:
            _no_such_resource(parent, mark, names, problems)
        if parent != parents[0][0]:
            problems.add(
                mark,
                "a second parent",
                value=show(parent, mark),
                valid="one parent for all parameters",
            )
    if not parents and resource.get("include_from_parent"):
        mark = resource.marks["include_from_parent"]
        problems.add(mark, "no parent", valid="a parameter of type resolve, or leave it out")


def _references_exist(resource: MarkedDict, names: dict[str, str], problems: Problems) -> None:
    references = _mapping(resource, "references")
    for column, target in references.items():
        if isinstance(target, str) and target not in names:
            _no_such_resource(target, references.marks[column], names, problems)


def _paths_once(parent: MarkedDict, word: str, problems: Problems) -> None:
    """`a.b` and `$.a.b` are one path; two declarations for it cannot both hold."""
    declared, seen = _mapping(parent, word), set()
    for text in declared:
        try:
            keys = parse_path(text)
        except ValueError:
            continue  # the model reports it
        if keys in seen:
            problems.add(
                declared.marks[text], "the same path as one above it", valid="one of the two"
            )
        seen.add(keys)


def _no_cycle(resources: list[MarkedDict], names: dict[str, str], problems: Problems) -> None:
    parents: dict[str, tuple[str, Mark]] = {}
    for resource in resources:
        first = next(resolve_params(resource), None)
        if first is not None and isinstance(resource.get("name"), str):
            parents[resource["name"]] = first
    told: set[str] = set()
    for start in parents:
        way = [start]
        while way[-1] in parents and parents[way[-1]][0] not in way:
            way.append(parents[way[-1]][0])
        closing = parents.get(way[-1])
        if closing is not None and closing[0] == start and start not in told:
            told.update(way)
            mark = parents[start][1]
            what = "resources that wait for one another: " + " -> ".join(
                names[n] for n in [*way, start]
            )
            problems.add(mark, what, valid="a parent that does not depend on this resource")


def _width(key: Any) -> int | None:
    """How many columns `key` has, None where it is malformed."""
    if isinstance(key, str):
        return 1
    return len(key) if isinstance(key, list) and key else None


def _keys_fit(resource: MarkedDict, problems: Problems) -> None:
    width = _width(resource.get("primary_key"))
    if "primary_key" in resource and width is not None:
        _parent_keys_fit(resource, width, problems)
        return
    if resource.get("write_disposition") == "merge":
        mark = resource.marks.get("primary_key", resource.marks["write_disposition"])
        problems.add(mark, "merge needs a primary_key", valid="primary_key, or append or replace")
    for word in ("children", "detail", "status", "history"):
        if resource.get(word):
            what = f"{word} needs a primary_key on the resource"
            problems.add(
                resource.marks[word], what, valid="primary_key: the field that names a row"
            )


def _parent_keys_fit(parent: MarkedDict, width: int, problems: Problems) -> None:
    """`parent_key` has at most as many columns as the parent's key; a child's own key ends in position."""
    for child in _mapping(parent, "children").values():
        if not isinstance(child, MarkedDict):
            continue
        columns = _width(child.get("parent_key"))
        if columns is not None and columns > width:
            what = f"{columns} columns for a parent whose key has {width}"
            names = "primary_key" if "name" in parent else "parent_key, then position"
            valid = f"at most {width} names, in the order of the parent's {names}"
            problems.add(child.marks["parent_key"], what, valid=valid)
        _parent_keys_fit(child, width + 1, problems)


def _query_parameters(query: MarkedDict, problems: Problems) -> None:
    sql = query.get("sql")
    if not isinstance(sql, str):
        return
    found, declared = sql_parameters(sql), query.get("incremental") is not None
    if found and not declared:
        mark = query.marks["sql"]
        name = f" :{found[0]}" if f":{found[0]}" in as_written(sql, mark) else ""
        problems.add(
            mark,
            f"a parameter{name} without a value",
            valid="incremental: {cursor_path, initial_value}",
        )
    if declared and not found:
        mark = query.marks["incremental"]
        problems.add(mark, "nothing in the SQL uses it", valid="a parameter like :last_date in sql")
    if query.get("write_disposition") == "merge" and not query.get("primary_key"):
        mark = query.marks["write_disposition"]
        problems.add(mark, "merge needs a primary_key", valid="primary_key, or append or replace")


def _own_secret_has_own_url(document: MarkedDict, problems: Problems) -> None:
    """A key of another API must not go to the default host because its URL was forgotten."""
    client = _mapping(document, "client")
    auth = _mapping(client, "auth")
    if any(auth.get(word) for word in ("token", "api_key", "password")) and not client.get(
        "base_url"
    ):
        mark = client.marks["auth"]
        problems.add(
            mark, "a key without the API that it is for", valid="client.base_url beside it"
        )
