"""The rows of a list as exact bytes; no value is decoded or rewritten."""

from __future__ import annotations

from oa_sync.definitions.paths import parse_path
from oa_sync.errors import InvalidResponseError
from oa_sync.shape import rawjson
from oa_sync.shape.body import Body
from oa_sync.shape.cutting.cut import cut, cut_compact
from oa_sync.shape.cutting.head import NamedTwiceError, check_json
from oa_sync.shape.cutting.spans import is_utf8
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.json_text import mended


def cut_list(body: Body, path: str) -> list[bytes]:
    """The exact bytes of each element of the list at the dotted `path` of `body`. Of a key that stands twice in one
    object the last one counts, as `oa_sync.shape.json_text.decode` has it.

    Raises:
        InvalidResponseError: not JSON.
    """
    text = bytes(body) if isinstance(body, memoryview) else body
    try:
        try:
            return _cut(text, path)
        except InvalidJsonError:
            return _cut(mended(text), path)
    except InvalidJsonError as error:
        raise InvalidResponseError(f"a list cannot be cut into its rows: {error}") from None


def _cut(text: bytes, path: str) -> list[bytes]:
    keys = parse_path(path)
    try:
        rows = cut(text, keys).rows
    except NamedTwiceError:
        return _cut_last(text, keys)
    return [text[start:end] for start, end in zip(rows.starts, rows.ends, strict=True)]


def _cut_last(text: bytes, keys: tuple[str, ...]) -> list[bytes]:
    """As `_cut`, by the slow way that goes through every member."""
    check_json(text, 0)
    written = text.decode()
    value = rawjson.value_at(written, 0)
    for key in keys:
        members = (
            dict(rawjson.members(written, value.start)) if isinstance(value.value, dict) else {}
        )
        if key not in members:
            return []
        value = members[key]
    if not isinstance(value.value, list):
        return []
    found = rawjson.elements(written, value.start)
    return [written[one.start : one.end].encode() for one in found]


def split_list(body: Body, path: str) -> tuple[bytes, list[bytes]] | None:
    """`body` with an empty list at the dotted `path`, and the exact bytes of each object of that list.

    None if the quick way (`oa_sync.shape.cutting.compact`) cannot cut it, or if the list has elements
    that are not objects. What is returned is valid JSON, so the objects can be decoded one by one.
    """
    if isinstance(body, memoryview) or not is_utf8(body):
        return None
    try:
        found = cut_compact(body, parse_path(path))
    except InvalidJsonError:
        return None
    if found is None:
        return None
    spans = zip(found.rows.starts.tolist(), found.rows.ends.tolist(), strict=True)
    rows = [body[start:end] for start, end in spans]
    return (found.head, rows) if all(row.startswith(b"{") for row in rows) else None
