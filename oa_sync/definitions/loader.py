"""From a name or a file to a `Definition`, or to every fault in it at once."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from oa_sync.definitions.checks import check
from oa_sync.definitions.document import (
    MAX_BYTES,
    Mark,
    MarkedDict,
    MarkedList,
    Problems,
    compose,
    nearest,
    plain,
    show,
)
from oa_sync.definitions.endpoints import settle
from oa_sync.definitions.environment import expand
from oa_sync.definitions.explain import explain
from oa_sync.definitions.merging import extend, under_defaults
from oa_sync.definitions.model import Definition, Resource
from oa_sync.definitions.shorthands import write_out

Dialect = Literal["page", "cursor"]

DIALECTS: tuple[Dialect, ...] = ("page", "cursor")
OPENANALYST = "openanalyst"
"""As a source or after `extends`: the built-in of the dialect in use."""


def load_definition(
    name_or_path: str, *, dialect: Dialect, environ: Mapping[str, str]
) -> Definition:
    """The built-in `page`, `cursor` or `openanalyst` (that of `dialect`), else the file at this path.

    `environ` is where `${NAME}` is looked up. Raises DefinitionError whose `problems` are all faults
    of the file, as `file:line: path: what is wrong (value); valid: …`. No problem ever shows a value
    of the environment.
    """
    problems = Problems()
    if name_or_path in (*DIALECTS, OPENANALYST):
        document = _built_in(name_or_path, dialect, problems)
    else:
        document = _from_file(name_or_path, dialect, environ, problems)
    document = _settled(document, problems)
    try:
        definition = Definition.model_validate(plain(document))
    except ValidationError as error:
        explain(error.errors(include_url=False, include_input=False), document, problems)
    check(document, problems)
    problems.raise_if_any()
    return definition.model_copy(update={"resources": _parents_first(definition.resources)})


def _built_in(name: str, dialect: Dialect, problems: Problems) -> MarkedDict:
    file = f"{dialect if name == OPENANALYST else name}.yaml"
    text = resources.files("oa_sync.definitions").joinpath(file).read_text("utf-8")
    document = compose(text, file, problems)
    problems.raise_if_any()
    assert document is not None, "compose gives a mapping or a problem"
    return write_out(document, problems)


def _from_file(
    path: str, dialect: Dialect, environ: Mapping[str, str], problems: Problems
) -> MarkedDict:
    document = compose(_read(path, problems), path, problems)
    if document is None:
        problems.raise_if_any()
        raise AssertionError("compose gives a mapping or a problem")
    own = write_out(expand(document, environ, problems), problems)
    _one_of_each_name(own, problems)
    name = own.get("extends")
    known = (*DIALECTS, OPENANALYST)
    if name in known:
        return extend(_built_in(name, dialect, problems), own, problems)
    if name is not None:
        mark = own.marks["extends"]
        what = "no such built-in definition" + nearest(name, known)
        problems.add(mark, what, value=show(name, mark), valid=", ".join(known))
    elif own.get("exclude") is not None:
        problems.add(own.marks["exclude"], "nothing to exclude from", valid="exclude with extends")
    return own.without("extends", "exclude")


def _read(path: str, problems: Problems) -> str:
    """The text of a definition file; at most `MAX_BYTES` of it are read."""
    mark = Mark(path, 1, "")
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            problems.add(mark, f"larger than {MAX_BYTES} bytes", valid="a definition, not its data")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.add(Mark(path, line, ""), "not UTF-8 text", valid="a YAML file in UTF-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        names = ", ".join((*DIALECTS, OPENANALYST))
        problems.add(mark, f"cannot be read: {reason}", valid=f"a YAML file, or one of {names}")
    problems.raise_if_any()
    return text


def _one_of_each_name(document: MarkedDict, problems: Problems) -> None:
    for section, what in (("resources", "resource"), ("queries", "query")):
        entries = document.get(section)
        seen: dict[str, Mark] = {}
        for entry in entries if isinstance(entries, MarkedList) else ():
            name = entry.get("name") if isinstance(entry, MarkedDict) else None
            if not isinstance(name, str):
                continue
            mark = entry.marks["name"]
            if name in seen:
                fault = f"a second {what} of this name; the first is on line {seen[name].line}"
                problems.add(mark, fault, value=show(name, mark))
            seen.setdefault(name, mark)


def _settled(document: MarkedDict, problems: Problems) -> MarkedDict:
    """`document` with the defaults and dlt's endpoint rules applied to each resource."""
    defaults: Any = document.get("resource_defaults")
    if defaults is None:
        defaults = MarkedDict(document.mark)
    elif not isinstance(defaults, MarkedDict):
        mark = document.marks["resource_defaults"]
        problems.add(mark, "expected a mapping", value=show(defaults, mark))
        defaults = MarkedDict(mark)
    if "name" in defaults:
        problems.add(defaults.marks["name"], "a name cannot be a default", valid="resources[].name")
        defaults = defaults.without("name")
    entries = document.get("resources")
    full = document.without("resource_defaults", "resources")
    if not isinstance(entries, MarkedList):
        if "resources" in document:
            full.take("resources", document)
        return full
    settled = MarkedList(entries.mark)
    for entry, mark in entries.marked():
        if isinstance(entry, MarkedDict):
            entry = settle(under_defaults(defaults, entry), problems)
        settled.put(entry, mark)
    full.put("resources", settled, document.marks["resources"])
    return full


def _parents_first(resources_: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """The file's order, but a resource that others are asked for by stands before them."""
    by_name = {resource.name: resource for resource in resources_}
    ordered: dict[str, Resource] = {}

    def place(resource: Resource) -> None:
        if resource.parent is not None:
            place(by_name[resource.parent])
        ordered.setdefault(resource.name, resource)

    for resource in resources_:
        place(resource)
    return tuple(ordered.values())
