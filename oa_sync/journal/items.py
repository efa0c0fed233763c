"""What extraction hands on: one item for each row to write, with the raw bytes the API sent."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from oa_sync.definitions.paths import spelled


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
    keys that this resource's list is known to carry (see `oa_sync.journal.list_keys`): a row that is not full
    keeps the loaded values of all other keys. `replaces`: the key is loaded already. `first_seen`: for resources with a
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


def key_of(values: Sequence[Any]) -> str:
    """The primary key `values` (JSON scalars) as one text: what identifies a row, everywhere.

    A key of one value is that value as text (see `spelled`), so that ids look like ids in messages and
    queries; a key of several is a JSON list of such texts.
    """
    if len(values) == 1:
        return spelled(values[0])
    return orjson.dumps([spelled(value) for value in values]).decode()


def values_of(key: str, count: int) -> tuple[str, ...]:
    """The texts of the `count` values in `key`.

    Raises:
        ValueError: `key` holds another number of values.
    """
    if count == 1:
        return (key,)
    values = orjson.loads(key)
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"the key {key!r} is not made of {count} values")
    return tuple(values)


def key_of_earlier(key: str) -> str:
    r"""`key` as it is written now. In a journal of the first format, `\x1e` stands before the `repr` of a value
    that is no string, and `\x1f` between the values of a composite key."""
    parts = key.split("\x1f")
    return key_of([literal_eval(p[1:] or "None") if p[:1] == "\x1e" else p for p in parts])
