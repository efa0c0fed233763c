"""What is around a cut list: the path to the list, and the rest of the document."""

from __future__ import annotations

import mmap

import numpy as np

from oa_sync.shape import rawjson
from oa_sync.shape.cutting.bits import COLON, OPEN_LIST, OPEN_OBJECT
from oa_sync.shape.cutting.keys import as_written, ends_with_key, longest_written
from oa_sync.shape.cutting.structure import InvalidJsonError, Structure
from oa_sync.shape.json_text import BYTE_ORDER_MARK, decode_strict

Path = tuple[str, ...]
Text = bytes | bytearray | mmap.mmap


class NamedTwiceError(InvalidJsonError):
    """A key of the path stands twice in one object (RFC 8259 leaves open which one counts)."""


class ListFinder:
    """Follows `path` through the brackets of a document that comes in pieces."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._matched = 0
        self._seen = [False] * len(path)
        self._root_fits = True

    def find(self, structure: Structure, data: Text) -> int | None:
        """The entry of the list's `[`, or None if it is not in this piece.

        `data` is the document so far, from its beginning.
        """
        start = 0
        while self._root_fits:
            matched = self._matched
            near = np.flatnonzero(structure.levels[start:] <= matched) + start
            for entry in near.tolist():
                if self._is_list(structure, entry, data):
                    return entry
                if self._matched != matched:
                    start = entry + 1
                    break
            else:
                return None
        return None

    def _is_list(self, structure: Structure, entry: int, data: Text) -> bool:
        level, kind = int(structure.levels[entry]), int(structure.kinds[entry])
        if kind not in (OPEN_LIST, OPEN_OBJECT):
            self._matched = min(self._matched, level)
        elif self._is_on_path(level, int(structure.positions[entry]), data):
            if level == len(self._path) and kind == OPEN_LIST:
                return True
            if level < len(self._path) and kind == OPEN_OBJECT:
                self._matched = level + 1
            elif level == 0:
                self._root_fits = False
        return False

    def _is_on_path(self, level: int, position: int, data: Text) -> bool:
        """Whether the container at `position` is the value of the path's key at this level."""
        if level == 0:
            return True
        key = self._path[level - 1]
        if not _has_key(data, position, key):
            return False
        if self._seen[level - 1]:
            raise _named_twice(key, position)
        self._seen[level - 1] = True
        return True


def _has_key(data: Text, position: int, key: str) -> bool:
    """Whether the value at `position` is that of a member called `key`."""
    colon = _skip_back(data, position)
    if colon < 1 or data[colon - 1] != COLON:
        return False
    end = _skip_back(data, colon - 1)
    return ends_with_key(bytes(data[max(0, end - longest_written(key)) : end]), key)


def _skip_back(data: Text, position: int) -> int:
    while position and data[position - 1] in b" \t\r\n":
        position -= 1
    return position


def check_head(head: bytes, path: Path, cut_at: int, cut_bytes: int) -> None:
    """Raise InvalidJsonError unless `head` is one JSON value with each key of the path at most once.

    `cut_bytes` were taken out at `cut_at`: offsets in errors are those of the whole document.
    """
    text = head.removeprefix(BYTE_ORDER_MARK)
    skipped = len(head) - len(text)
    try:
        check_json(text, 0)
    except InvalidJsonError as error:
        offset = error.offset + skipped
        moved = offset if offset < cut_at else offset + cut_bytes
        raise InvalidJsonError(error.reason, moved) from None
    if _may_name_twice(text, path):
        _check_named_once(text.decode(), path)


def check_json(text: bytes, base: int) -> None:
    """Raise InvalidJsonError unless `text`, which begins at `base`, is one JSON value.

    Lone surrogates, numbers beyond a double and any depth are legal by RFC 8259.
    """
    try:
        decode_strict(text)
    except InvalidJsonError as error:
        raise InvalidJsonError(error.reason, base + error.offset) from None


def _may_name_twice(text: bytes, path: Path) -> bool:
    """False only if surely no key of `path` is in `text` more often than in `path`."""
    if b"\\u" in text or b"\\/" in text:
        return bool(path)
    return any(text.count(as_written(key)) > path.count(key) for key in set(path))


def _check_named_once(text: str, path: Path) -> None:
    value = rawjson.value_at(text, 0)
    for key in path:
        if not isinstance(value.value, dict):
            return
        values = [inner for name, inner in rawjson.members(text, value.start) if name == key]
        if len(values) > 1:
            raise _named_twice(key, 0)
        if not values:
            return
        value = values[0]


def _named_twice(key: str, offset: int) -> NamedTwiceError:
    return NamedTwiceError(f"the key {key!r} stands twice in one object", offset)
