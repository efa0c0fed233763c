"""Whether the answer to a request for a detail is about the row that was asked for.

A status of 200 says little: `{}`, `{"error": "try later"}` or the page of another row would replace what is loaded,
and count as the detail of this version, so that it is never asked for again. An answer with the key of the row is
believed. If a list shows the row and the answer tells something, so is one with another key, where the first detail
had another one too (some APIs give details an id of their own), and one without a key, where none had one. Everything
else is a failure of this detail: a cache or a route that answers all requests alike is told by it. An agent run may
have one id to ask by and another to show (docs/agent-runs.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oa_sync.client.paging.envelope import tells_failure
from oa_sync.client.wording import named
from oa_sync.definitions.paths import select, spelled
from oa_sync.errors import InvalidResponseError
from oa_sync.extract.deletions import Facts
from oa_sync.extract.details.tasks import DetailTask
from oa_sync.journal.items import values_of

_HAVE_KEY = "details_have_key"
_OWN, _OTHER = "of their row", "of their own"
"""What the first detail with a key had."""


class DetailIdentity:
    """Checks answers; `facts` keep whether the details of a resource have a key, and whether it is that of their row."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

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

    @staticmethod
    def _refused(task: DetailTask, what: str) -> InvalidResponseError:
        name, key = task.row
        return InvalidResponseError(
            f"detail of {name} {named([key], 1)}: the answer {what}. The row is kept as it is, and the next sync asks"
            " again; if it stays so, tell the vendor"
        )


def _has_key(found: list[Any], task: DetailTask) -> bool:
    return tuple(map(spelled, found)) == values_of(task.pending.listed.key, len(found))
