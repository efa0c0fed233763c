"""docs/architecture.md says what is so: its picture is drawn from the imports, its places exist."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "oa_sync"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
GROUND = {
    "addresses",
    "errors",
    "clock",
    "foreign_text",
    "private",
    "process_wide",
    "settings",
    "settings_files",
    "_version",
}
"""Modules that every room may use; the picture leaves them out."""


def imported(module: Path) -> Iterator[str]:
    """What of oa_sync `module` imports, at its top or later, as dotted names."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def arrows() -> dict[str, set[str]]:
    """Which rooms each room imports."""
    found: dict[str, set[str]] = {}
    for module in PACKAGE.rglob("*.py"):
        inside = module.relative_to(PACKAGE).parts
        if len(inside) > 1:
            names = (name.split(".") for name in imported(module) if name.startswith("oa_sync."))
            found.setdefault(inside[0], set()).update(name[1] for name in names)
    return {room: targets - {room, *GROUND} for room, targets in found.items()}


def without_detours(graph: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    """The arrows that no longer way says already."""

    def reached(room: str) -> set[str]:
        return {room}.union(*(reached(other) for other in graph[room]))

    return {
        (room, target)
        for room, targets in graph.items()
        for target in targets
        if not any(target in reached(other) for other in targets - {target})
    }


def test_the_picture_shows_the_arrows_that_the_code_has() -> None:
    [picture] = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
    drawn = {
        (room, target)
        for room, targets in re.findall(r"^ +(\w+) --> ([\w &]+)$", picture, re.MULTILINE)
        for target in targets.split(" & ")
    }
    assert drawn == without_detours(arrows())


def test_each_room_has_a_line() -> None:
    told = re.findall(r"^\| `(\w+)/` \|", PAGE, re.MULTILINE)
    assert sorted(told) == sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def test_the_rooms_are_told_in_the_order_that_is_held() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [rooms] = (c for c in config["tool"]["importlinter"]["contracts"] if c["id"] == "rooms")
    held = [set(layer.split(" | ")) for layer in rooms["layers"]]
    depth = {room: number for number, layer in enumerate(held) for room in layer}
    told = re.findall(r"^\| `(\w+)/` \|", PAGE, re.MULTILINE)
    assert [depth[room] for room in told] == sorted(depth[room] for room in told)


PLACES = sorted(set(re.findall(r"`([a-z_/]+\.py)(?::([\w.]+))?`", PAGE)))


@pytest.mark.parametrize(("file", "name"), PLACES)
def test_each_place_that_is_named_exists(file: str, name: str) -> None:
    module = (ROOT if file.startswith("tests/") else PACKAGE) / file
    assert module.is_file(), f"{file} is not there"
    body: list[ast.stmt] = ast.parse(module.read_text(encoding="utf-8")).body
    for part in name.split(".") if name else ():
        found = [one for one in body if part in defined(one)]
        assert found, f"{file} has no {name}"
        body = getattr(found[0], "body", [])


def defined(statement: ast.stmt) -> set[str]:
    """The names that a statement defines."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {statement.name}
        case ast.Assign():
            return {target.id for target in statement.targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case _:
            return set()


def test_places_are_named_at_all() -> None:
    assert len(PLACES) > 30
