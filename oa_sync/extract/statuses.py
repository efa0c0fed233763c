"""Rows whose status changes, such as agent runs: which resources have them, and when one has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oa_sync.definitions.model import Resource
from oa_sync.definitions.paths import select
from oa_sync.extract.lists.changes import identity
from oa_sync.journal.items import Item
from oa_sync.shape.json_text import canonical


def is_followed(resource: Resource) -> bool:
    """Whether the statuses of this resource's rows are recorded and its rows followed."""
    return resource.status is not None and bool(identity(resource))


def status_of(resource: Resource, fields: Mapping[str, Any]) -> str | None:
    """The status in a decoded row as text; None where it has none. Any value passes through."""
    assert resource.status is not None
    value = select(fields, resource.status.path, None)
    if value is None or isinstance(value, dict | list):
        return None
    return value if isinstance(value, str) else canonical(value).decode()


def is_terminal(resource: Resource, status: str | None) -> bool:
    """Whether a row with `status` never changes again; False for an unknown status."""
    return resource.status is not None and status in resource.status.terminal


def fields_of(item: Item) -> dict[str, Any]:
    """The decoded object of a detail; empty for other items."""
    fields: dict[str, Any] = getattr(item.document, "fields", {})
    return fields


def has_ended(resource: Resource, item: Item) -> bool:
    """Whether the detail `item` shows a terminal status."""
    return is_terminal(resource, status_of(resource, fields_of(item)))
