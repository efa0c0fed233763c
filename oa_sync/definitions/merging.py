"""Putting a definition together: a file over the built-in it extends, defaults under each resource."""

from __future__ import annotations

from typing import Any

from oa_sync.definitions.document import Mark, MarkedDict, MarkedList, Problems, nearest


def extend(base: MarkedDict, own: MarkedDict, problems: Problems) -> MarkedDict:
    """`own` over `base`: resources by name, everything else key by key; `exclude` drops resources.

    A null in `own` removes what `base` says. `name` is always the file's own.
    """
    resources = _extend_resources(base["resources"], own, problems)
    merged = overlay(
        base.without("name", "resources"), own.without("extends", "exclude", "resources")
    )
    merged.put("resources", resources, own.marks.get("resources", own.mark.at("resources")))
    return merged


def overlay(base: MarkedDict, own: MarkedDict) -> MarkedDict:
    """`own` over `base`, mapping by mapping; two mappings of different `type` are not mixed."""
    merged = MarkedDict(own.mark)
    for key in base:
        if key not in own:
            merged.take(key, base)
    for key, value in own.items():
        below = base.get(key)
        if value is None and key in base:
            continue
        if isinstance(value, MarkedDict) and isinstance(below, MarkedDict) and _mix(below, value):
            value = overlay(below, value)
        merged.put(key, value, own.marks[key])
    return merged


def _mix(below: MarkedDict, above: MarkedDict) -> bool:
    return "type" not in above or above["type"] == below.get("type")


def _extend_resources(base: MarkedList, own: MarkedDict, problems: Problems) -> MarkedList:
    merged = MarkedList(base.mark)
    dropped = _excluded(base, own, problems)
    entries = own.get("resources")
    additions: dict[str, tuple[MarkedDict, Mark]] = {}
    malformed: list[tuple[Any, Mark]] = []
    if isinstance(entries, MarkedList):
        for entry, mark in entries.marked():
            name = entry.get("name") if isinstance(entry, MarkedDict) else None
            if isinstance(name, str):
                additions.setdefault(name, (entry, mark))
            else:
                malformed.append((entry, mark))
    for below, mark in base.marked():
        if below["name"] in dropped:
            continue
        above = additions.pop(below["name"], None)
        if above is None:
            merged.put(below, mark)
        else:
            merged.put(overlay(below, above[0]), above[1])
    for entry, mark in (*additions.values(), *malformed):
        merged.put(entry, mark)
    return merged


def _excluded(base: MarkedList, own: MarkedDict, problems: Problems) -> set[str]:
    names = [resource["name"] for resource in base]
    excluded = own.get("exclude")
    if excluded is None:
        return set()
    if not isinstance(excluded, MarkedList):
        problems.add(own.marks["exclude"], "expected a list", valid=", ".join(names))
        return set()
    for name, mark in excluded.marked():
        if name not in names:
            problems.add(mark, "no such resource" + nearest(name, names), valid=", ".join(names))
    return {name for name in excluded if isinstance(name, str)}


def under_defaults(defaults: MarkedDict, resource: MarkedDict) -> MarkedDict:
    """`resource` with what it lacks taken from `resource_defaults`, by dlt's rule.

    The endpoint is merged key by key, its `params` and `json` too, columns hint by hint; any other
    key is the resource's or, where it has none, the default's.
    """
    merged = defaults.without()
    for key in resource:
        merged.take(key, resource)
    merged.mark = resource.mark
    for key, deeper in (("endpoint", ("params", "json")), ("columns", None)):
        below, above = defaults.get(key), resource.get(key)
        if isinstance(below, MarkedDict) and isinstance(above, MarkedDict):
            merged.put(key, _one_level(below, above, deeper), resource.marks[key])
    return merged


def _one_level(below: MarkedDict, above: MarkedDict, deeper: tuple[str, ...] | None) -> MarkedDict:
    """`above` over `below`; values under the keys `deeper` (None: all) are merged one level more."""
    merged = below.without()
    merged.mark = above.mark
    for key, value in above.items():
        under = below.get(key)
        mixed = deeper is None or key in deeper
        if mixed and isinstance(value, MarkedDict) and isinstance(under, MarkedDict):
            value = _one_level(under, value, ())
        merged.put(key, value, above.marks[key])
    return merged
