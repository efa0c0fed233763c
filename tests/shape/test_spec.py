"""Definitions become table specs."""

from __future__ import annotations

from oa_sync.definitions.model import Resource
from oa_sync.shape.spec import ChildSpec, TableSpec, table_spec


def test_a_resource_becomes_its_tables() -> None:
    resource = Resource.model_validate(
        {
            "name": "agent_runs",
            "endpoint": {"path": "agents/runs"},
            "primary_key": "id",
            "columns": {
                "created_at": {"data_type": "timestamp"},
                "usage.cost": {"data_type": "decimal"},
                "steps.state": {"data_type": "json"},
                "steps.tool_calls.arguments": {"data_type": "json"},
            },
            "children": {
                "steps": {
                    "table": "agent_run_steps",
                    "parent_key": "run_id",
                    "children": {
                        "tool_calls": {"table": "agent_run_tool_calls", "parent_key": "run_id"}
                    },
                }
            },
        }
    )
    assert table_spec(resource, "north") == TableSpec(
        name="agent_runs",
        key=("id",),
        columns={("created_at",): "timestamp", ("usage", "cost"): "decimal"},
        children={
            ("steps",): ChildSpec(
                table="agent_run_steps",
                parent_key=("run_id",),
                columns={("state",): "json"},
                children={
                    ("tool_calls",): ChildSpec(
                        table="agent_run_tool_calls",
                        parent_key=("run_id",),
                        columns={("arguments",): "json"},
                    )
                },
            )
        },
        constants={"_oa_workspace": "north"},
    )


def test_a_column_declared_for_the_list_itself_stays_with_its_parent() -> None:
    resource = Resource.model_validate(
        {
            "name": "runs",
            "endpoint": {"path": "runs"},
            "primary_key": "id",
            "columns": {"steps": {"data_type": "json"}, "stepsize": {"data_type": "bigint"}},
            "children": {"steps": {"table": "run_steps"}},
        }
    )
    assert table_spec(resource, "x").columns == {("steps",): "json", ("stepsize",): "bigint"}
