"""Whether the answer to a request for a detail is about the row that was asked for.

A status of 200 says little: `{}`, `{"error": "try later"}` or the page of another row would replace what is loaded,
and count as the detail of this version, so that it is never asked for again. An answer with the key of the row is
believed. If a list shows the row and the answer tells something, so is one with another key, where the first detail
had another one too (some APIs give details an id of their own), and one without a key, where none had one. Everything
else is a failure of this detail: a cache or a route that answers all requests alike is told by it. An agent run may
have one id to ask by and another to show (docs/agent-runs.md).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from oa_sync.client.paging.failure_words import tells_failure
from oa_sync.client.wording import named
from oa_sync.definitions.model import Resource
from oa_sync.definitions.paths import select, spelled
from oa_sync.errors import InvalidResponseError
from oa_sync.extract.deletions import Facts
from oa_sync.extract.details.tasks import DetailTask
from oa_sync.extract.lists.absent import may_be_asked, unseen
from oa_sync.extract.lists.scan import Scan
from oa_sync.journal.items import values_of

_HAVE_KEY, _KEYLESS = "details_have_key", "details_without_key"
MOST = 10_000
"""Rows of a resource that are remembered as having a detail without a key."""

_OWN, _OTHER = "of their row", "of their own"
"""What the first detail with a key had."""


class DetailIdentity:
    """Checks answers; `facts` keep whether the details of a resource have a key, and whether it is that of their row."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._answered: defaultdict[str, dict[str, bool]] = defaultdict(dict)
        """By resource and row, by its digest: whether the detail of this sync had a key."""

    def look_again(self, scan: Scan) -> None:
        """Want the details that came without a key, now that one is known to have had a key: the API was out of order
        then, as in its maintenance, and answered all requests alike."""
        facts, resource = self._facts, scan.resource
        keyless = set(facts.fact(_KEYLESS, resource) or ())
        if not keyless or facts.fact(_HAVE_KEY, resource) is None or not may_be_asked(resource):
            return
        for key in scan.known:
            if scan.is_loaded(key) and _digest(key) in keyless:
                row = scan.pending.get(key)
                scan.pending[key] = replace(row, wants_detail=True) if row else unseen(scan, key)

    def conclude(self, resource: Resource) -> None:
        """Remember which details had no key; call it when all are on disk."""
        answered = self._answered.pop(resource.name, {})
        keyless = set(self._facts.fact(_KEYLESS, resource) or ())
        keyless -= {digest for digest, has_key in answered.items() if has_key}
        keyless |= {digest for digest, has_key in answered.items() if not has_key}
        self._facts.set_fact(_KEYLESS, resource, sorted(keyless)[:MOST] or None)

    def check(self, task: DetailTask, fields: Mapping[str, Any]) -> None:
        """Take in the decoded object of a detail.

        Raises:
            InvalidResponseError: it is not about the row of `task`.
        """
        resource, is_listed = task.resource, bool(task.pending.raw)
        before = self._facts.fact(_HAVE_KEY, resource)
        found = [select(fields, path, None) for path in resource.primary_key]
        if found and None not in found:
            is_own = _has_key(found, task)
            if before not in (_OWN, _OTHER):
                self._facts.set_fact(_HAVE_KEY, resource, _OWN if is_own else _OTHER)
            may_differ = before != _OWN or resource.status is not None
            if is_own or (is_listed and may_differ):
                self._note(task, has_key=True)
                return
            raise self._refused(
                task, f"is about another row, {named([spelled(value) for value in found], 3)}"
            )
        keys = " + ".join(resource.primary_key)
        if tells_failure(fields):
            raise self._refused(task, "tells of an error")
        if not fields or fields.get("data", fields) in (None, []):
            raise self._refused(task, "is empty")
        if not is_listed or (found and before):
            raise self._refused(task, f"has no {keys}; its keys are {named(list(fields), 12)}")
        if found:
            self._note(task, has_key=False)

    def _note(self, task: DetailTask, *, has_key: bool) -> None:
        name, key = task.row
        self._answered[name][_digest(key)] = has_key

    @staticmethod
    def _refused(task: DetailTask, what: str) -> InvalidResponseError:
        name, key = task.row
        return InvalidResponseError(
            f"detail of {name} {named([key], 1)}: the answer {what}. The row is kept as it is, and the next sync asks"
            " again; if it stays so, tell the vendor"
        )


def _digest(key: str) -> str:
    """What is remembered of a row: ids are not to be found in the files of home."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _has_key(found: list[Any], task: DetailTask) -> bool:
    return tuple(map(spelled, found)) == values_of(task.pending.listed.key, len(found))
