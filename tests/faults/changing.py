"""Seeded changes at the source while nobody syncs, dated so that no version is racy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

from oa_sync.clock import isoformat
from oa_sync.emulator.state import EmulatorState

START = datetime(2026, 1, 5, tzinfo=UTC)


class Changes:
    """Edits, inserts and deletes; `made` counts those that are worth a detail request.

    Every change has a second of its own, long past: a version of the running second would make the
    sync wait for its end.
    """

    def __init__(self, state: EmulatorState, seed: int) -> None:
        self._state, self._random = state, Random(seed)
        self._seconds = 0
        self.made = 0

    def make(self, count: int) -> None:
        """Make `count` changes, most of them edits of reports and datasets."""
        for _ in range(count):
            self._one(self._random.choice(("edit", "edit", "edit", "dataset", "insert", "delete")))

    def _one(self, kind: str) -> None:
        state, stamp = self._state, self._stamp()
        match kind:
            case "edit":
                fields = {"name": f"Edited {stamp}", "data": self._rows(), "updated_at": stamp}
                state.update("reports", self._any("reports"), fields)
            case "dataset":
                columns = [{"name": f"c{n}", "type": "integer"} for n in range(self._few())]
                fields = {"name": f"Edited {stamp}", "columns": columns, "updated_at": stamp}
                state.update("datasets", self._any("datasets"), fields)
            case "insert":
                dates = {"created_at": stamp, "updated_at": stamp}
                where: Literal["front", "back"] = self._random.choice(("front", "back"))
                state.insert("reports", {"data": self._rows(), **dates}, position=where)
            case _:
                self.delete("reports")
                return
        self.made += 1

    def delete(self, resource: str) -> str:
        """Delete any record of `resource` and return its id."""
        key = self._any(resource)
        self._state.delete(resource, key)
        return key

    def _any(self, resource: str) -> str:
        return self._random.choice(self._state.ids(resource))

    def _few(self) -> int:
        return self._random.randrange(5)

    def _rows(self) -> list[dict[str, int]]:
        return [{"value": self._random.randrange(1000)} for _ in range(self._few())]

    def _stamp(self) -> str:
        self._seconds += 1
        return isoformat(START + timedelta(seconds=self._seconds))
