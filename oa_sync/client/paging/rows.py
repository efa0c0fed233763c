"""Finding the rows in a decoded body: by the definition's data_selector, else as dlt does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oa_sync.client.paging.envelope import OTHER_KEYS, RECORD_KEYS
from oa_sync.client.wording import printable
from oa_sync.definitions.paths import MISSING, format_path, select
from oa_sync.errors import InvalidResponseError

_DEEPEST = 3

_Lists = dict[tuple[str, ...], list[Any]]


def find_rows(document: Any, selector: str | None, what: str) -> tuple[list[Any], str]:
    """The rows of a page and their path in `document`. Some of them may be no objects, but not all.

    Without a selector: the document itself if it is a list, else a list of objects under one of
    dlt's usual keys (`data`, `items`, `results` …), else the only list of objects there is. Not where a list of
    other things is likelier to be the rows.

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
        where = f" in {_kind(document)}" if path != "$" else ""
        raise InvalidResponseError(
            f"{what}: data_selector {path!r} finds {_kind(rows)}{where}, not a list of objects; set the"
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
    lists = dict(_lists(document, ())) if isinstance(document, dict) else {}
    of_objects = [keys for keys, rows in lists.items() if _may_be_rows(rows)]
    usual = sorted((_rank(keys), len(keys), keys) for keys in of_objects if _rank(keys) >= 0)
    chosen = [keys for keys in of_objects if lists[keys]] or of_objects[:1]
    if usual:
        chosen = [usual[0][2]]
    others = [keys for keys in lists if len(chosen) == 1 and _is_likelier(lists, keys, chosen[0])]
    if len(chosen) == 1 and not others:
        return format_path(chosen[0])
    raise InvalidResponseError(f"{what}: {_not_clear(document, lists, chosen, others)}")


def _is_likelier(lists: _Lists, keys: tuple[str, ...], chosen: tuple[str, ...]) -> bool:
    """Whether the list at `keys`, which is not of objects, is likelier to be the rows than the one `chosen`."""
    rows = lists[keys]
    if not rows or _may_be_rows(rows) or _rank(keys) < 0 <= _rank(chosen):
        return False
    of_lists = all(isinstance(row, list) for row in rows)
    if _rank(chosen) < 0 <= _rank(keys) and of_lists:
        return True
    return (of_lists or _rank(keys) >= 0) and len(rows) > len(lists[chosen])


def _not_clear(
    document: Any, lists: _Lists, chosen: list[tuple[str, ...]], others: list[tuple[str, ...]]
) -> str:
    """Why the rows cannot be told in `document`, and what to type."""
    if not chosen:
        return (
            f"no list of objects in {_kind(document)}, and no data_selector is set; set the"
            " data_selector of the endpoint to where its rows stand"
        )
    named = ", ".join(f"{format_path(keys)} ({_content(lists[keys])})" for keys in chosen + others)
    kind = "list that may be the rows" if others else "list of objects"
    advice = f"write data_selector: {format_path(chosen[0])} in the endpoint if those are its rows"
    if others:
        advice += "; else ask the API for rows that are objects, because only those can be read"
    return f"more than one {kind} in {_kind(document)}: {named}; {advice}"


def _rank(keys: tuple[str, ...]) -> int:
    """The place of a list's key among dlt's usual ones; -1: it is none."""
    return RECORD_KEYS.index(keys[-1]) if keys[-1] in RECORD_KEYS else -1


def _content(rows: list[Any]) -> str:
    if not rows:
        return "empty"
    kind = "objects" if _may_be_rows(rows) else "lists" if isinstance(rows[0], list) else "values"
    return f"{len(rows)} {kind}"


def _lists(
    document: dict[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    for key, value in document.items():
        keys = (*above, key)
        if key in OTHER_KEYS:
            continue
        if isinstance(value, list):
            yield keys, value
        elif isinstance(value, dict) and len(keys) < _DEEPEST:
            yield from _lists(value, keys)


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
