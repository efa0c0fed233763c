"""Where the rows of a list stand in a body: from text to text, no value is decoded or rewritten."""

from __future__ import annotations

import re

import orjson

from oa_sync.client.body import Buffer
from oa_sync.definitions.paths import parse_path

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
