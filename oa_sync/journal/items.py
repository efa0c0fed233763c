"""What extraction hands on: one item for each row to write, with the raw bytes the API sent."""

from __future__ import annotations

from ast import literal_eval
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What an item says about its row."""

    ROW = "row"
    """The list row is new or changed; no (new) detail comes with it."""

    DETAIL = "detail"
    """A detail was fetched: `body` is the answer, `row` the list row it belongs to."""

    GONE = "gone"
    """The API no longer has the id: the loaded row gets `_oa_deleted_at`."""

    STALLED = "stalled"
    """The agent run has not ended for so long that it is no longer asked for: its loaded row gets
    `_oa_stalled_at`."""

    EVENTS = "events"
    """Statuses that were seen, for the events table of the resource; `row` holds them as JSON."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """When an id was first heard of, and how: `list`, `webhook`, `start`, `add`, `sql`, `reference`."""

    at: datetime
    how: str


@dataclass(frozen=True, slots=True)
class Item:
    """One row of one resource, as fetched.

    `key` is the primary key as text (see `key_of`); `row` the exact bytes of the list row (empty for
    a detail without list row); `body` the exact bytes of a detail's answer, None for the others.
    `version`, `row_hash` and `detail_version` become `_oa_version`, `_oa_row_hash` and
    `_oa_detail_version`. `full`: the row has all that a detail would bring. `list_keys` are the
    top-level keys that this resource's list is known to carry: a row that is not full keeps the loaded
    values of all other keys. `replaces`: the key is loaded already. `first_seen`: for resources with a
    status. `deleted`: the row is written for the first time, and the API no longer has it.
    """

    kind: Kind
    resource: str
    key: str
    observed_at: datetime
    version: str | None = None
    row_hash: str | None = None
    detail_version: str | None = None
    row: bytes = b""
    body: bytes | memoryview | None = None
    list_keys: tuple[str, ...] = ()
    full: bool = True
    replaces: bool = False
    first_seen: Sighting | None = None
    deleted: bool = False
    document: object = field(default=None, compare=False, repr=False)
    """The body as extraction has read it, so that loading need not read it again; never journaled."""

    @property
    def nbytes(self) -> int:
        """Bytes of payload, for flow control."""
        return len(self.row) + (len(self.body) if self.body is not None else 0)


def key_of(values: tuple[Any, ...]) -> str:
    """The primary key `values` (JSON scalars) as one text; two texts are equal only if their keys are.

    A single string stays as it is, so that ids look like ids in messages and queries.
    """
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return "\x1f".join(
        value if isinstance(value, str) else f"\x1e{value!r}" if value is not None else "\x1e"
        for value in values
    )


def values_of(key: str, count: int) -> tuple[Any, ...]:
    """The `count` values in `key`: the inverse of `key_of`.

    Raises:
        ValueError: `key` holds another number of values.
    """
    if count == 1 and not key.startswith("\x1e"):
        return (key,)
    parts = key.split("\x1f")
    if len(parts) != count:
        raise ValueError(f"the key {key!r} is not made of {count} values")
    return tuple(_value_of(part) for part in parts)


def _value_of(part: str) -> Any:
    if not part.startswith("\x1e"):
        return part
    return literal_eval(part[1:]) if len(part) > 1 else None
