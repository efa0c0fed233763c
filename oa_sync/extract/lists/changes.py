"""Change detection without help from the server: each listed row is compared with what is loaded of it.

The API documents neither a filter nor an order, so one maximum of `updated_at` proves nothing: a
changed row may be older than the newest one seen, and a deleted row is not seen at all. Hence every
id is compared with its own loaded version, read back from the destination.

Two values are kept of each list row. `version` decides whether the *detail* is asked for again: the
cursor field where the row has one, else the hash; where that field is a day, `may_hide_a_change` helps. `row_hash` (of the row's content, whatever the order
of its keys) decides whether the row itself is written again, which costs no request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any

from oa_sync.client.wording import named
from oa_sync.definitions.model import Resource
from oa_sync.definitions.paths import parse_path, select
from oa_sync.errors import InvalidResponseError
from oa_sync.extract.lists.resolution import period_end
from oa_sync.journal.items import key_of
from oa_sync.shape.json_text import canonical


class Change(StrEnum):
    """What a scan says about one id."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Known:
    """What is loaded of one row: the values that change detection compares. `is_key_guessed`: the server may
    spell the row's key otherwise (see `oa_sync.tables.keys`)."""

    version: str | None
    row_hash: str | None
    detail_version: str | None
    deleted: bool
    is_key_guessed: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """One row of a list, reduced to what comparison and the detail request need."""

    key: str
    key_values: tuple[Any, ...]
    version: str
    row_hash: str
    full: bool
    """The row already has all that a detail would bring (or the resource has no detail)."""
    row: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The decoded row without its lists, which may be long: later steps need paths and statuses only."""


def identity(resource: Resource) -> tuple[str, ...]:
    """The fields that tell rows of `resource` apart; empty: all of the row's content does.

    A row that is appended never changes, so with `append` a changed row is another row.
    """
    return () if resource.write_disposition == "append" else resource.primary_key


def listed(resource: Resource, row: Any) -> Listed:
    """Reduce a decoded list row.

    Raises:
        InvalidResponseError: the row is no object, or lacks a part of the primary key.
    """
    if not isinstance(row, dict):
        raise InvalidResponseError(f"{resource.name}: a row is {kind_of(row)}, not an object")
    row_hash = content_hash(row)
    fields = identity(resource)
    if fields:
        key_values = tuple(select(row, field, None) for field in fields)
        if any(value is None or isinstance(value, dict | list) for value in key_values):
            raise InvalidResponseError(
                f"{resource.name}: a row has no {' + '.join(fields)}; its keys are"
                f" {named(list(row), 12)}; set primary_key in the definition"
            )
    else:
        key_values = (row_hash,)
    return Listed(
        key=key_of(key_values),
        key_values=key_values,
        version=version_of(resource, row) or row_hash,
        row_hash=row_hash,
        full=is_full(resource, row),
        row={key: value for key, value in row.items() if not isinstance(value, list)},
    )


def kind_of(value: Any) -> str:
    """What a JSON value is, for messages."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def content_hash(row: Any) -> str:
    """128 bits, in hex, of the row's canonical JSON: equal content has an equal hash in any key order."""
    return hashlib.blake2b(canonical(row), digest_size=16).hexdigest()


def version_of(resource: Resource, row: dict[str, Any]) -> str | None:
    """The value of the row's cursor field as text; None where it has none."""
    if resource.cursor_path is None:
        return None
    value = select(row, resource.cursor_path, None)
    if value is None or isinstance(value, dict | list):
        return None
    return value if isinstance(value, str) else canonical(value).decode()


def is_full(resource: Resource, row: dict[str, Any]) -> bool:
    """Whether the list row has what the definition says comes from the detail.

    A child list that the list row shows as something else (the cursor dialect gives a step *count*)
    counts as missing; so does one that is not in its object (`attributes.lines`).
    """
    if resource.detail is None:
        return True
    fields = resource.detail_fields
    if any(row.get(name) is None for name in fields):
        return False
    children = (path for path in resource.children if parse_path(path)[0] in fields)
    return bool(fields) and all(isinstance(select(row, path), list) for path in children)


def compare(row: Listed, known: Known | None) -> Change:
    """How `row` differs from what is loaded; an id that was deleted and is back counts as new. So does a full row
    as changed that has no detail of this version: it was loaded when the definition read less of it (see
    `oa_sync.tables.readings`)."""
    if known is None or known.deleted:
        return Change.NEW
    if known.version != row.version or known.row_hash != row.row_hash:
        return Change.CHANGED
    if row.full and known.detail_version != row.version:
        return Change.CHANGED
    return Change.UNCHANGED


def needs_detail(resource: Resource, row: Listed, known: Known | None) -> bool:
    """Whether the detail of `row` has to be asked for: it brings more than the row has, and this version
    of it is not loaded."""
    if resource.detail is None or row.full:
        return False
    return known is None or known.detail_version != row.version


def may_hide_a_change(row: Listed, known: Known, read_at: datetime | None) -> bool:
    """Whether the detail may have changed since it was loaded, though the row has the version of then.

    `read_at` is the server's time when the list was read before (None: it is not known). A version that names a
    day stays the same when a row changes again on that day; the content of the row shows it. If that day was over
    when the list was read, what changed since is something that does not move the version.
    """
    if known.row_hash == row.row_hash:
        return False
    end = period_end(row.version)
    return end is not None and (read_at is None or read_at < end)


def has_coarse_versions(known: Mapping[str, Known]) -> bool:
    """Whether a version among the first of `known` names a day or a minute."""
    some = islice(known.values(), 100)
    return any(row.version is not None and period_end(row.version) is not None for row in some)
