"""Loaded ids that were not seen by a scan that is not complete, and so does not prove them gone.

Such an id may be gone, or only have been missed. Its detail tells: an answer proves that it exists, and brings
its row; what 404 proves, `oa_sync.extract.deletions` says. This costs one request an id, so it is done for a
few; for fewer still, where so many ids are absent that the list itself is in doubt.
"""

from __future__ import annotations

import re
from typing import Any

from oa_sync.definitions.model import Resource
from oa_sync.definitions.paths import select
from oa_sync.definitions.templates import placeholders
from oa_sync.extract.lists.changes import Change, Listed
from oa_sync.extract.lists.scan import Pending, Scan
from oa_sync.journal.items import values_of

MOST_ASKED = 100
"""Requests for one resource in one sync. Further absent ids wait for a complete scan."""

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")

SAMPLE = 3
"""Requests for absent ids of a list that is in doubt."""


def may_be_asked(resource: Resource) -> bool:
    """Whether the primary key alone is enough to ask for a detail."""
    if resource.detail is None or resource.write_disposition == "append":
        return False
    key = set(resource.primary_key)
    return bool(key) and key.issuperset(placeholders(resource.detail.path))


def to_confirm(scan: Scan) -> dict[str, Pending]:
    """The absent ids of `scan`, each as a row whose detail is to be asked for."""
    resource = scan.resource
    if not scan.finished or scan.proven or not may_be_asked(resource):
        return {}
    return {key: unseen(scan, key) for key in scan.absent()[:MOST_ASKED]}


def to_sample(scan: Scan) -> dict[str, Pending]:
    """A few absent ids from all over `scan`, which is in doubt."""
    absent = scan.absent()
    if not absent or not may_be_asked(scan.resource):
        return {}
    last = len(absent) - 1
    chosen = {absent[last * n // (SAMPLE - 1)] for n in range(SAMPLE)}
    return {key: unseen(scan, key) for key in absent if key in chosen}


def to_catch_up(scan: Scan) -> dict[str, Pending]:
    """The loaded rows that wait for their detail and are not in the part of the list that was read."""
    resource = scan.resource
    if not may_be_asked(resource) or resource.status is not None:
        return {}
    return {
        key: unseen(scan, key)
        for key in scan.absent()
        if scan.known[key].detail_version != scan.known[key].version and key not in scan.pending
    }


def key_row(scan: Scan, key: str) -> dict[str, Any]:
    """An absent row as far as its key tells it. Numbers are numbers where the list shows some: lists below copy them
    into their rows."""
    row, shown = unseen(scan, key).listed.row, next(iter((scan.rows or {}).values()), {})
    for path, text in row.items():
        if type(select(shown, path, None)) is int and _INTEGER.fullmatch(text):
            row[path] = int(text)
    return row


def unseen(scan: Scan, key: str) -> Pending:
    """A row with its key and nothing else. It has no hash, so the next scan that sees the row writes it
    again, with what only the list shows."""
    known = scan.known[key]
    values = values_of(key, len(scan.resource.primary_key))
    return Pending(
        listed=Listed(
            key,
            values,
            version=known.version or "",
            row_hash="",
            full=False,
            row=dict(zip(scan.resource.primary_key, values, strict=True)),
        ),
        change=Change.UNCHANGED,
        known=known,
        raw=b"",
        wants_detail=True,
    )
