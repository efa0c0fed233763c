"""Finding the rows in a decoded body: by the definition's data_selector, else as dlt does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oa_sync.client.wording import printable
from oa_sync.definitions.paths import MISSING, format_path, select
from oa_sync.errors import InvalidResponseError

# dlt 1.31, rest_client/detector.py: RECORD_KEY_PATTERNS and NON_RECORD_KEY_PATTERNS.
_RECORD_KEYS = (
    *("data", "items", "results", "entries", "records", "rows"),
    *("entities", "payload", "content", "objects", "values"),
)
_OTHER_KEYS = frozenset({"meta", "metadata", "pagination", "links", "extras", "headers"})
_DEEPEST = 3


def find_rows(document: Any, selector: str | None, what: str) -> tuple[list[Any], str]:
    """The rows of a page and their path in `document`. Some of them may be no objects, but not all.

    Without a selector: the document itself if it is a list, else a list of objects under one of
    dlt's usual keys (`data`, `items`, `results` …), else the only list of objects there is.

    Raises:
        InvalidResponseError: there is no list of objects; the message says what stands there.
    """
    path = selector if selector is not None else _detected(document, what)
    rows = select(document, path)
    if rows is MISSING:
        raise InvalidResponseError(
            f"{what}: data_selector {path!r} finds nothing in {_kind(document)}; set the"
            " data_selector of the endpoint to where its rows stand"
        )
    if not isinstance(rows, list):
        raise InvalidResponseError(
            f"{what}: data_selector {path!r} finds {_kind(rows)}, not a list of objects; set the"
            " data_selector of the endpoint to where its rows stand"
        )
    if rows and not any(type(row) is dict for row in rows):
        raise InvalidResponseError(
            f"{what}: item 0 of the list at data_selector {path!r} is {_kind(rows[0])},"
            " not an object; set the data_selector of the endpoint to where its rows stand"
        )
    return rows, path


def _detected(document: Any, what: str) -> str:
    if isinstance(document, list):
        return "$"
    lists = list(_lists_of_objects(document, ())) if isinstance(document, dict) else []
    usual = sorted(
        (_RECORD_KEYS.index(keys[-1]), len(keys), keys)
        for keys, _ in lists
        if keys[-1] in _RECORD_KEYS
    )
    if usual:
        return format_path(usual[0][2])
    chosen = [keys for keys, rows in lists if rows] or [keys for keys, _ in lists][:1]
    if len(chosen) == 1:
        return format_path(chosen[0])
    found = "no list of objects" if not chosen else "more than one list of objects"
    raise InvalidResponseError(
        f"{what}: {found} in {_kind(document)}, and no data_selector is set; set the"
        " data_selector of the endpoint to where its rows stand"
    )


def _lists_of_objects(
    document: dict[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    for key, value in document.items():
        keys = (*above, key)
        if key in _OTHER_KEYS:
            continue
        if isinstance(value, list) and _may_be_rows(value):
            yield keys, value
        elif isinstance(value, dict) and len(keys) < _DEEPEST:
            yield from _lists_of_objects(value, keys)


def _may_be_rows(items: list[Any]) -> bool:
    """Whether all are objects, but for nulls among them."""
    kinds = {type(item) for item in items}
    return kinds <= {dict} or kinds == {dict, type(None)}


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict() if value:
            keys = ", ".join(printable(key, 40) for key in list(value)[:8])
            return f"an object with the keys {keys}{', …' if len(value) > 8 else ''}"
        case _:
            return "an empty object"
