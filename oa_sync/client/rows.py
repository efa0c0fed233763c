"""Where the rows of a list stand in a body: from text to text, no value is decoded or rewritten."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, overload

import orjson

from oa_sync.client.body import Buffer
from oa_sync.definitions.paths import parse_path
from oa_sync.errors import InvalidResponseError

_TOKEN = re.compile(rb'(?P<text>"[^"\\]*(?:\\.[^"\\]*)*")(?P<key>[ \t\r\n]*:)?|[{}\[\]]', re.DOTALL)


def spans(body: Buffer, path: str) -> list[tuple[int, int]]:
    """Start and end of each object in the list at `path` of `body`, which must be valid JSON.

    Of keys that stand twice the last one counts, as for every decoder. Lists in lists and plain
    values are not rows and leave no span.
    """
    keys = parse_path(path)
    found: list[tuple[int, int]] = []
    depth = matched = 0
    rows_depth = -1
    start = 0
    awaited = not keys
    for token in _TOKEN.finditer(body):
        mark = token[0][:1]
        if mark == b'"':
            awaited = (
                token["key"] is not None
                and depth == matched + 1
                and matched < len(keys)
                and rows_depth < 0
                and orjson.loads(token["text"]) == keys[matched]
            )
        elif mark in b"{[":
            depth += 1
            if awaited and mark == b"[" and depth == len(keys) + 1:
                rows_depth, found = depth, []
            elif awaited and mark == b"{" and depth > 1:
                matched += 1
            elif mark == b"{" and depth == rows_depth + 1:
                start = token.start()
            awaited = False
        else:
            if mark == b"}" and depth == rows_depth + 1:
                found.append((start, token.end()))
            elif depth == rows_depth:
                rows_depth = -1
            depth -= 1
            matched = min(matched, max(0, depth - 1))
            awaited = False
    return found


def cut_list(body: Buffer, path: str) -> list[bytes]:
    """The exact bytes of each object in the list at `path` of `body`."""
    return [bytes(body[start:end]) for start, end in spans(body, path)]


def split_list(body: Buffer, path: str) -> tuple[bytes, list[bytes]] | None:
    """No quick way to a body without its rows, and the rows (see `oa_sync.shape.document.split_list`)."""
    return None


class UndecodedRows(Sequence[dict[str, Any]]):
    """The rows of a page, each decoded when it is asked for, and anew every time.

    A page decoded as a whole is megabytes of small objects: to decode, hash and free them takes twice as long
    as row by row, where they stay in the processor's cache.
    """

    def __init__(self, texts: list[bytes], what: str) -> None:
        self.texts = texts
        self._what = what

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[dict[str, Any]]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return UndecodedRows(self.texts[place], self._what)
        return self._decoded(self.texts[place])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._decoded, self.texts)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, UndecodedRows):
            return self.texts == other.texts
        return isinstance(other, list) and list(self) == other

    __hash__ = None  # type: ignore[assignment]

    def _decoded(self, text: bytes) -> dict[str, Any]:
        try:
            row: dict[str, Any] = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            reason = f"{self._what}: a row cannot be decoded: {error.msg}"
        else:
            return row
        raise InvalidResponseError(f"{reason}; try again later, then tell the vendor")
