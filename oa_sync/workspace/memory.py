"""Small facts about an API: each one known saves a request, and losing one does no harm."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import orjson

from oa_sync.journal.disk import Disk


class Memory:
    """A JSON object in a file, written whole and atomically. A damaged file counts as empty; a file that
    cannot be written keeps its old facts."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._path, self._disk = path, disk or Disk()
        self._facts: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            facts = orjson.loads(path.read_bytes())
            self._facts = facts if isinstance(facts, dict) else {}

    def get(self, name: str) -> Any:
        """The fact called `name`; None when it is not known."""
        return self._facts.get(name)

    def set(self, name: str, value: Any) -> None:
        """Remember `value`, a JSON value; None forgets."""
        if self._facts.get(name) == value:
            return
        self._facts[name] = value
        with contextlib.suppress(OSError):
            self._disk.replace(self._path, orjson.dumps(self._facts))
