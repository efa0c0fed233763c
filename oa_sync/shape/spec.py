"""What is declared about a resource's tables before any row was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oa_sync.definitions.paths import parse_path
from oa_sync.shape.naming import Path

if TYPE_CHECKING:
    from oa_sync.definitions.model import Child, Resource

WORKSPACE_COLUMN = "_oa_workspace"


@dataclass(frozen=True)
class Bounds:
    """How many columns a table and how many tables a resource may get from rows; 0: any number.

    A row with more keys is kept whole in the JSON column `value` as well, and a further list of objects as
    JSON. What is declared or was learned before is not affected.
    """

    columns: int = 0
    tables: int = 0


@dataclass(frozen=True)
class ChildSpec:
    """A declared list: its elements become rows of `table`.

    `parent_key` names the parent's key columns in this table, in the parent's order; names that are
    missing follow a rule (see `oa_sync.shape.schema`). `columns` and `children` are relative to the
    element.
    """

    table: str
    parent_key: tuple[str, ...] = ()
    columns: Mapping[Path, str] = field(default_factory=dict)
    children: Mapping[Path, ChildSpec] = field(default_factory=dict)


@dataclass(frozen=True)
class TableSpec:
    """A resource's own table and the children declared below it.

    `key`: the columns that identify a row, each a column from outside the rows (`extras` of
    `Shaper.shape`) or a dotted path inside them. `key_text`: the extra that holds the key as text, if
    there is one; child tables get it too. `columns`: dlt data types by path. `constants`: text columns
    with one value, added to every table, children included. `bounds`: what rows may make of it.
    """

    name: str
    key: tuple[str, ...] = ()
    columns: Mapping[Path, str] = field(default_factory=dict)
    children: Mapping[Path, ChildSpec] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    bounds: Bounds = field(default_factory=Bounds)
    key_text: str | None = None


def table_spec(resource: Resource, workspace: str) -> TableSpec:
    """The tables that `resource` of a definition becomes, in the workspace labelled `workspace`.

    A column declared at a path inside a child list is given to that child.
    """
    declared: dict[Path, str] = {
        parse_path(path): column.data_type for path, column in resource.columns.items()
    }
    children = _children(resource.children, declared)
    return TableSpec(
        name=resource.name,
        key=resource.primary_key,
        columns=_outside(declared, resource.children),
        children=children,
        constants={WORKSPACE_COLUMN: workspace},
    )


def _children(children: Mapping[str, Child], declared: Mapping[Path, str]) -> dict[Path, ChildSpec]:
    specs: dict[Path, ChildSpec] = {}
    for dotted, child in children.items():
        path = parse_path(dotted)
        inside = {p[len(path) :]: t for p, t in declared.items() if _within(p, path)}
        specs[path] = ChildSpec(
            table=child.table,
            parent_key=child.parent_key,
            columns=_outside(inside, child.children),
            children=_children(child.children, inside),
        )
    return specs


def _outside(declared: Mapping[Path, str], children: Mapping[str, Child]) -> dict[Path, str]:
    lists = [parse_path(dotted) for dotted in children]
    return {p: t for p, t in declared.items() if not any(_within(p, path) for path in lists)}


def _within(path: Path, parent: Path) -> bool:
    return len(path) > len(parent) and path[: len(parent)] == parent
