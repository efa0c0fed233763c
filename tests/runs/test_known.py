"""Ids of runs: where they are found, which may be used, and which resource they belong to."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.definitions.model import Definition, Resource
from oa_sync.extract.runs.known import (
    LONGEST_ID,
    ids_at,
    is_usable_id,
    row_of_key,
    runs_resource,
)


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("run_1", True),
        ("a b/c?d", True),
        ("x" * LONGEST_ID, True),
        ("x" * (LONGEST_ID + 1), False),
        ("x", True),
        ("", False),
        (" ", False),
        (".", False),
        (" .. ", False),
        ("...", True),
        ("a\nb", False),
        ("a\x00", False),
    ],
)
def test_an_id_is_a_printable_text_that_can_stand_in_a_path(text: str, usable: bool) -> None:
    assert is_usable_id(text) is usable


@pytest.mark.parametrize(
    ("data", "ids"),
    [
        ({"run": {"id": "a"}}, ["a"]),
        ({"run": {"id": 7}}, ["7"]),
        ({"run": [{"id": "a"}, {"id": "b"}, {}]}, ["a", "b"]),
        ([{"run": {"id": "a"}}, {"run": {"id": ["b", "c"]}}], ["a", "b", "c"]),
        ({"run": {"id": [["a"], 1]}}, ["a", "1"]),
        ({"run": {"id": True}}, []),
        ({"run": {"id": 1.5}}, []),
        ({"run": {"id": None}}, []),
        ({"run": {"id": " "}}, []),
        ({"run": {"id": {"x": "a"}}}, []),
        ({"run": "idle"}, []),
        ({"other": {"id": "a"}}, []),
        ("a", []),
        ({}, []),
    ],
)
def test_ids_are_found_at_a_path_through_lists(data: Any, ids: list[str]) -> None:
    assert list(ids_at(data, ("run", "id"))) == ids


def defined(name: str, **words: Any) -> dict[str, Any]:
    return {
        "name": name,
        "endpoint": {"path": name},
        "primary_key": ["id"],
        "detail": {"path": name + "/{id}"},
        "status": {"path": "status", "terminal": ["done"]},
        **words,
    }


@pytest.mark.parametrize(
    ("resources", "found"),
    [
        ([defined("jobs"), defined("agent_runs")], "agent_runs"),
        ([defined("jobs"), defined("tasks")], "jobs"),
        ([defined("agent_runs", status=None), defined("tasks")], "tasks"),
        ([defined("jobs", detail=None), defined("tasks")], "tasks"),
        ([defined("jobs", primary_key=["a", "id"]), defined("tasks")], "tasks"),
        ([defined("jobs", primary_key=[]), defined("tasks")], "tasks"),
        ([defined("jobs", status=None)], None),
    ],
)
def test_ids_without_a_resource_are_of_agent_runs_else_of_the_first_that_fits(
    resources: list[dict[str, Any]], found: str | None
) -> None:
    definition = Definition.model_construct(
        resources=tuple(Resource.model_validate(one) for one in resources)
    )
    resource = runs_resource(definition)
    assert (resource and resource.name) == found


def test_a_row_of_a_key_holds_its_values_at_their_paths_and_nothing_else() -> None:
    resource = Resource.model_validate(defined("runs", primary_key=["of.tenant", "of.id", "id"]))
    assert row_of_key(resource, ("acme", 7, "r")) == {"of": {"tenant": "acme", "id": 7}, "id": "r"}
    with pytest.raises(ValueError, match="zip"):
        row_of_key(resource, ("acme", 7))
