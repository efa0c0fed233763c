"""The order of lists, and the cursors that point into it."""

from __future__ import annotations

import base64
import hashlib
import json
from bisect import bisect_right
from datetime import datetime
from typing import Any

from oa_sync.emulator.data import Collection, Record
from oa_sync.emulator.options import EmulatorOptions

Key = tuple[Any, ...]


class CursorError(ValueError):
    """A cursor that this server never gave out."""


class Ordering:
    """A collection's records in the order its list shows them."""

    def __init__(self, options: EmulatorOptions, collection: Collection) -> None:
        self._options = options
        self._collection = collection
        self._generation = -1
        self._keys: list[Key] = []
        self._records: list[Record] = []

    def records(self) -> list[Record]:
        """All records in order. Not a copy: do not change it."""
        self._refresh()
        return self._records

    def start_of(self, cursor: str) -> int:
        """The index of the first record after `cursor`. CursorError if the server never gave it out."""
        self._refresh()
        if not self._options.keyset_cursors:
            return offset_of(cursor)
        value = _open(cursor)
        if not isinstance(value, list):
            raise CursorError(cursor)
        try:
            return bisect_right(self._keys, tuple(value))
        except TypeError as error:
            raise CursorError(cursor) from error

    def cursor_after(self, index: int) -> str:
        """The cursor behind the record at `index`."""
        return sealed(list(self._keys[index]) if self._options.keyset_cursors else index + 1)

    def _refresh(self) -> None:
        if self._generation == self._collection.generation:
            return
        self._generation = self._collection.generation
        pairs = sorted(((self._key(record), record) for record in self._collection), key=_first)
        self._keys = [key for key, _ in pairs]
        self._records = [record for _, record in pairs]

    def _key(self, record: Record) -> Key:
        match self._options.order:
            case "stored":
                return (record.rank,)
            case "updated_asc":
                return (_epoch(record), record.rank)
            case "updated_desc":
                return (-_epoch(record), record.rank)
            case "random":
                return (digest(self._options.seed, record.id), record.rank)


def digest(seed: int, text: str) -> str:
    """A short hexadecimal text that depends on `seed` and `text` alone."""
    return hashlib.blake2b(f"{seed}:{text}".encode(), digest_size=6).hexdigest()


def _first(pair: tuple[Key, Record]) -> Key:
    return pair[0]


def _epoch(record: Record) -> float:
    value = record.light.get("updated_at")
    try:
        return datetime.fromisoformat(value).timestamp() if isinstance(value, str) else 0.0
    except ValueError:
        return 0.0


def offset_of(cursor: str) -> int:
    """The offset that a cursor stands for. CursorError for anything else."""
    value = _open(cursor)
    if type(value) is int and value >= 0:
        return value
    raise CursorError(cursor)


def sealed(value: Any) -> str:
    """A cursor for `value`: opaque, and recognised when it comes back."""
    return base64.urlsafe_b64encode(b"oa" + json.dumps(value).encode()).decode().rstrip("=")


def _open(cursor: str) -> Any:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        if not text.startswith(b"oa"):
            raise CursorError(cursor)
        return json.loads(text[2:])
    except (ValueError, RecursionError) as error:
        raise CursorError(cursor) from error
