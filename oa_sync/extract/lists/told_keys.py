"""Keys that a list told and tells no more.

Some APIs leave out fields that are null. The last row that has such a field loses it: the list tells nothing of that key
any more, and nor does the changed row. Either it is none now, or only the detail tells it from now on. So the detail
is asked for, though the version of the row did not move.

What a list told is remembered. The memory may be lost; then such a row keeps its last value until its version moves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Change
from oa_sync.extract.lists.scan import Scan
from oa_sync.journal.list_keys import without_inner

_KEYS = "list_keys"


class Facts(Protocol):
    """Where facts are kept (see `oa_sync.workspace.connection.Connection`)."""

    def fact(self, kind: str, resource: Resource) -> Any:
        """The fact of this kind for `resource`, a JSON value; None: there is none."""

    def set_fact(self, kind: str, resource: Resource, value: Any) -> None:
        """Keep `value`; None forgets."""


class ToldKeys:
    """Remembers which keys the rows of each list had that are not whole without their detail."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def look_again(self, scan: Scan) -> None:
        """Where the list lost a key, want the details of its changed rows."""
        if not self._is_whole(scan) or not self._lost(scan):
            return
        for key, row in scan.pending.items():
            if row.change is Change.CHANGED and not (row.listed.full or row.wants_detail):
                scan.pending[key] = replace(row, wants_detail=True)

    def conclude(self, scan: Scan) -> None:
        """Remember what the list tells; call it when its rows are written."""
        if self._is_whole(scan) and scan.list_keys:
            self._facts.set_fact(_KEYS, scan.resource, sorted(scan.list_keys))

    def _lost(self, scan: Scan) -> set[str]:
        before = self._facts.fact(_KEYS, scan.resource)
        keys = (
            {key for key in before if isinstance(key, str)} if isinstance(before, list) else set()
        )
        # With many keys, those inside objects are not told one by one.
        inside = bool(scan.list_keys - without_inner(scan.list_keys))
        return (keys if inside else without_inner(keys)) - scan.list_keys

    @staticmethod
    def _is_whole(scan: Scan) -> bool:
        """Whether every row of the list was looked at, so that a key that none has is lost."""
        return scan.resource.detail is not None and scan.finished and not scan.rest_known
