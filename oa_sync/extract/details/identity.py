"""Whether the answer to a request for a detail is about the row that was asked for.

A status of 200 says little: `{}`, `{"error": "try later"}` or the page of another row would replace what is loaded,
and count as the detail of this version, so that it is never asked for again. An answer with the key of the row is
believed. One without is too, where the details of this API have none, if a list shows the row and the answer tells
something. Everything else is a failure of this detail.
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


class DetailIdentity:
    """Checks answers; `facts` keep for which resources a detail had the key of its row."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def check(self, task: DetailTask, fields: Mapping[str, Any]) -> None:
        """Take in the decoded object of a detail.

        Raises:
            InvalidResponseError: it is not about the row of `task`.
        """
        resource, is_listed = task.resource, bool(task.pending.raw)
        found = [select(fields, path, None) for path in resource.primary_key]
        if found and None not in found:
            self._facts.set_fact(_HAVE_KEY, resource, True)
            if is_listed or _has_key(found, task):
                return
            raise self._refused(
                task, f"is about another row, {named([spelled(value) for value in found], 3)}"
            )
        keys = " + ".join(resource.primary_key)
        if tells_failure(fields):
            raise self._refused(task, "tells of an error")
        if not fields or fields.get("data", fields) in (None, []):
            raise self._refused(task, "is empty")
        if not is_listed or (found and self._facts.fact(_HAVE_KEY, resource)):
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
