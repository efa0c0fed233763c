"""Small facts about an API: each one known saves a request, and losing one does no harm."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import orjson


class Memory:
    """A JSON object in a file, written whole and atomically. A damaged file counts as empty; a file that
    cannot be written keeps its old facts."""

    def __init__(self, path: Path) -> None:
        self._path = path
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
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_bytes(orjson.dumps(self._facts))
            temporary.replace(self._path)
