"""What a batch of rows tells about each path, and where nothing is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.shape import lattice
from oa_sync.shape.learn import learn
from oa_sync.shape.learned import Kind, LearnedColumn, LearnedSchema
from oa_sync.shape.naming import ELEMENT, Path
from oa_sync.shape.observe import Seen, observe
from oa_sync.shape.schema import MAX_DEPTH, Schema
from oa_sync.shape.spec import ChildSpec, TableSpec

WITH_STEPS = TableSpec("things", children={("steps",): ChildSpec("steps")})


def seen(*rows: Any, spec: TableSpec | None = None, before: LearnedSchema | None = None) -> Seen:
    schema = Schema(spec or TableSpec("things"), before or LearnedSchema({}))
    return observe(list(rows), schema.root)


def learned(path: Path, kind: Kind, table: str = "things") -> LearnedSchema:
    return LearnedSchema({table: {path: LearnedColumn(path, "c", "json", kind)}})


def at(found: Seen, path: Path) -> Seen:
    """What was seen at `path`, which must have been looked at."""
    for part in path:
        if part == ELEMENT:
            assert found.element is not None
            found = found.element
        else:
            found = found.children[part]
    return found


def was_looked_into(found: Seen) -> bool:
    return bool(found.children) or found.element is not None


def nested(path: Path, value: Any) -> Any:
    for part in reversed(path):
        value = [value] if part == ELEMENT else {part: value}
    return value


@pytest.mark.parametrize(
    ("value", "mask"),
    [
        (None, 0),
        (3, lattice.INT),
        ("x", lattice.TEXT),
        ({}, lattice.EMPTY_OBJECT),
        ({"a": None}, lattice.OBJECT),
        ([], lattice.EMPTY_LIST),
        ([{}], lattice.OBJECTS),
        ([{"a": 1}, None], lattice.OBJECTS),
        ([None], lattice.LIST),
        ([1], lattice.LIST),
        ([{"a": 1}, 1], lattice.LIST),
        ([{"a": 1}, None, []], lattice.LIST),
    ],
)
def test_a_value_is_of_one_kind(value: Any, mask: int) -> None:
    assert seen({"v": value}).children["v"].mask == mask


def test_a_path_has_the_kinds_of_all_its_values() -> None:
    found = seen(*({"v": value} for value in (1, "x", None, [2], {})))
    wanted = lattice.INT | lattice.TEXT | lattice.LIST | lattice.EMPTY_OBJECT
    assert found.children["v"].mask == wanted


def test_objects_with_keys_are_counted_and_how_many_have_each_key() -> None:
    found = seen({"a": 1, "b": None}, {"a": 2}, {}, {"a": 3, "c": {}}, None)
    assert found.objects == 3
    assert found.keys == {"a": 3, "b": 1, "c": 1}


def test_the_elements_of_all_lists_of_objects_at_a_path_are_counted_together() -> None:
    found = seen({"l": [{"n": 1}, None, {"n": 2, "m": "x"}]}, {"l": [{"n": 3}]})
    elements = at(found, ("l", ELEMENT))
    assert elements.mask == lattice.OBJECT
    assert elements.objects == 3
    assert elements.keys == {"n": 3, "m": 1}


@pytest.mark.parametrize("value", [[1], [{"n": 1}, 2], [None]])
def test_elements_of_a_list_that_is_no_table_are_not_looked_at(value: Any) -> None:
    assert not was_looked_into(at(seen({"l": value}), ("l",)))
    for before in (learned(("l",), "empty"), learned(("l", "a"), "value")):
        assert not was_looked_into(at(seen({"l": value}, before=before), ("l",)))


def test_elements_of_a_known_table_are_looked_at_whatever_they_are() -> None:
    found = seen({"steps": [1, "x", None]}, spec=WITH_STEPS)
    assert at(found, ("steps", ELEMENT)).mask == lattice.INT | lattice.TEXT


@pytest.mark.parametrize("value", [{"a": 1}, [{"a": 1}]])
def test_inside_a_path_that_has_a_column_nothing_is_looked_at(value: Any) -> None:
    for path in [("v",), ("o", "v"), ("l", ELEMENT, "v")]:
        row = nested(path, value)
        table = "things__l" if ELEMENT in path else "things"
        assert was_looked_into(at(seen(row), path))
        assert not was_looked_into(at(seen(row, before=learned(path, "value", table)), path))
        assert was_looked_into(at(seen(row, before=learned(path, "empty", table)), path))


@pytest.mark.parametrize("value", [{"a": 1}, [{"a": 1}]])
def test_inside_a_declared_column_nothing_is_looked_at(value: Any) -> None:
    """Even before it has a column."""
    schema = Schema(TableSpec("things", columns={("v",): "json"}), LearnedSchema({}))
    learn([{"v": None}], schema)
    assert not was_looked_into(at(observe([{"v": value}], schema.root), ("v",)))


OBJECTS_ALONE = ("k",) * MAX_DEPTH
BELOW_A_LIST = ("l", ELEMENT, *("k",) * (MAX_DEPTH - 2))
BELOW_TWO = ("l", ELEMENT, "l", ELEMENT, *("k",) * (MAX_DEPTH - 4))


@pytest.mark.parametrize("path", [OBJECTS_ALONE, BELOW_A_LIST, BELOW_TWO])
@pytest.mark.parametrize("is_known", [False, True])
def test_nothing_deeper_than_the_bound_is_looked_at(path: Path, is_known: bool) -> None:
    """An element counts as one level, as it does in the path. A column that was only empty changes nothing."""

    def known(path: Path) -> LearnedSchema | None:
        table = (
            "things__l__l" if path[2:3] == ("l",) else "things__l" if path[0] == "l" else "things"
        )
        return learned(path, "empty", table) if is_known else None

    for value, deepest in [({"a": 1}, path[:-1]), ([{"a": 1}], path[:-2])]:
        beyond = (*deepest, "k")
        found = seen(nested(deepest, value), before=known(deepest))
        assert was_looked_into(at(found, deepest))
        found = seen(nested(beyond, value), before=known(beyond))
        assert at(found, beyond).mask in (lattice.OBJECT, lattice.OBJECTS)
        assert not was_looked_into(at(found, beyond))


@pytest.mark.parametrize("more", [0, 1, 5])
def test_what_is_declared_is_looked_at_at_any_depth(more: int) -> None:
    path = OBJECTS_ALONE + ("k",) * more
    spec = TableSpec("things", children={path: ChildSpec("steps")})
    found = seen(nested(path, [{"n": 1}]), spec=spec)
    assert at(found, (*path, ELEMENT, "n")).mask == lattice.INT
