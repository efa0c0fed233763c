"""One detail, cut for shaping: the object itself without its long list, and the list's rows.

Only lists that may be long are cut out (see `LONG_LISTS`); other child lists stay inside the object and
are shaped with it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from oa_sync.definitions.model import Resource
from oa_sync.definitions.paths import MISSING, parse_path, select, spelled
from oa_sync.errors import InvalidResponseError
from oa_sync.shape.cutting.cut import HeadTooLargeError, cut
from oa_sync.shape.cutting.lift import lift
from oa_sync.shape.cutting.spans import Rows
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.json_text import decode, encode, mended
from oa_sync.shape.spooled import SpooledRows, cut_spooled

LONG_LISTS = frozenset({"report_rows"})
"""Child tables whose rows are cut out of the body instead of being parsed with it."""

_AS_IT_IS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Document:
    """`text`: the exact bytes of the object, with `[]` in place of each long list; `fields`: the same,
    decoded; `rows`: the elements of the long lists by child path, for the lists that are there."""

    text: bytes
    fields: dict[str, Any]
    rows: dict[str, Rows | SpooledRows]


def read_document(resource: Resource, body: bytes | memoryview) -> Document:
    """Find the object in a detail's answer and cut its long lists out.

    If the body is in a file (a view of a mapping), the rows stay there. The object is at
    `detail.data_selector`. Without one it is the body itself, or the object in `data` if the body
    lacks the primary key.

    Raises:
        InvalidResponseError: not JSON, or no object there.
    """
    try:
        try:
            return _read_body(resource, body)
        except InvalidJsonError:
            return _read_body(resource, mended(body))
    except InvalidJsonError as error:
        raise InvalidResponseError(
            f"{resource.name}: the detail is not valid JSON: {error}"
        ) from None


def read_row(resource: Resource, row: bytes) -> Document:
    """A whole list row, with its long lists cut out.

    Raises:
        InvalidResponseError: not JSON, or not an object.
    """
    try:
        try:
            return _read(resource, row, ())
        except InvalidJsonError:
            return _read(resource, mended(row), ())
    except InvalidJsonError as error:
        raise InvalidResponseError(f"{resource.name}: a row is not valid JSON: {error}") from None


def has_long_list(resource: Resource) -> bool:
    """Whether a row of this resource may carry a list that is cut out."""
    return any(child.table in LONG_LISTS for child in resource.children.values())


def _is_wrapped(resource: Resource, fields: dict[str, Any]) -> bool:
    keys = resource.primary_key or ("id",)
    has_key = all(select(fields, key) is not MISSING for key in keys)
    return isinstance(fields.get("data"), dict) and not has_key


def _read_body(resource: Resource, body: bytes | memoryview) -> Document:
    assert resource.detail is not None
    selector = resource.detail.data_selector
    if isinstance(body, memoryview):
        spooled = _read_spooled(resource, body, selector)
        if spooled is not None:
            return spooled
    text = bytes(body)
    if selector is not None:
        return _read(resource, text, parse_path(selector))
    bare = _read(resource, text, ())
    return _read(resource, text, ("data",)) if _is_wrapped(resource, bare.fields) else bare


def _read_spooled(resource: Resource, body: memoryview, selector: str | None) -> Document | None:
    """The document of a body that is mostly one long list; None if there is no such list."""
    paths = [p for p, child in resource.children.items() if child.table in LONG_LISTS]
    if len(paths) != 1:
        return None
    places: list[tuple[str, ...]] = [(), ("data",)]
    if selector is not None:
        places = [parse_path(selector)]
    for at in places:
        try:
            head, rows = cut_spooled(body, (*at, *parse_path(paths[0])))
        except HeadTooLargeError:
            continue
        if rows is not None:
            inner = _read(resource, head, at)
            return Document(inner.text, inner.fields, {paths[0]: rows})
    return None


def _read(resource: Resource, body: bytes, at: tuple[str, ...]) -> Document:
    rows: dict[str, Rows | SpooledRows] = {}
    for path, child in resource.children.items():
        if child.table in LONG_LISTS:
            found = cut(body, (*at, *parse_path(path)))
            if found.found:
                body, rows[path] = found.head, found.rows
    if at:
        inner = lift(body, [at]).texts[at]
        body = inner[0].as_py().encode() if len(inner) else b"null"
    fields = decode(body)
    if not isinstance(fields, dict):
        raise InvalidResponseError(
            f"{resource.name}: the detail is not an object but {type(fields).__name__}; set"
            " detail.data_selector in the definition"
        )
    return Document(body, fields, rows)


def with_list_fields(row: bytes, document: Document, key: Collection[str] = ()) -> bytes:
    """The document's object plus the top-level fields that only the list row has, as exact bytes.

    The fields at the paths `key` are taken from the list row: the detail was requested by them. If the detail
    has other values there (an id of its own), they are kept as `<field>_in_detail`.
    """
    if not row:
        return document.text
    listed = decode(row)
    own = {parse_path(path)[0] for path in key if _is_other(path, listed, document.fields)}
    members = _members(row, [n for n in listed if n in own or n not in document.fields])
    if own:
        renamed = {name: f"{name}_in_detail" for name in own}
        members += _members(document.text, list(document.fields), renamed)
        return b"{" + b",".join(members) + b"}"
    if not members:
        return document.text
    inside = document.text.strip()[1:-1].strip()
    return b"{" + b",".join([*members, *([inside] if inside else [])]) + b"}"


def _is_other(path: str, listed: dict[str, Any], fields: dict[str, Any]) -> bool:
    """Whether the list row has a value at `path`, and the detail has not this one there."""
    ours, theirs = select(listed, path), select(fields, path)
    if ours is MISSING or parse_path(path)[0] not in fields:
        return False
    return bool(theirs is MISSING or ours != theirs or spelled(ours) != spelled(theirs))


def _members(
    text: bytes, names: Sequence[str], renamed: Mapping[str, str] = _AS_IT_IS
) -> list[bytes]:
    """The members `names` of the object `text`, without those that are null, as exact bytes."""
    texts = lift(text, [(name,) for name in names]).texts if names else {}
    return [
        encode(renamed.get(name, name)) + b":" + texts[(name,)][0].as_py().encode()
        for name in names
        if len(texts[(name,)])
    ]
