"""Answers without a list of rows that say all the same that the list is empty.

A statement is a count of rows that is 0: at a path of the paginator, at the top of the answer, in an object about
paging, or beside the place of the rows. It counts only if nothing in the answer contradicts it. That the list is
not there, or that null stands in its place, is no statement: a typo in a definition, an answer that tells of an
error and a field that the server renamed look the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oa_sync.client.paging.doubts import doubt
from oa_sync.client.paging.envelope import (
    ABOUT_PAGING,
    OTHER_KEYS,
    RECORD_KEYS,
    is_row_count,
    scalars,
    squashed,
)
from oa_sync.client.paging.failure_words import (
    is_failed_status,
    tells_failed_list,
    tells_failure,
)
from oa_sync.definitions.paths import MISSING, parse_path, select


def says_empty(document: Any, selector: str | None, count_paths: tuple[str, ...]) -> bool:
    """Whether `document`, which has no list at `selector` (None: nowhere), says that the list is empty.
    `count_paths`: where its paginator finds totals."""
    if not isinstance(document, dict) or _holds_another_list(document):
        return False
    if selector is not None and select(document, selector) not in (MISSING, None, {}):
        return False
    values = list(scalars(document, "$"))
    counts = [select(document, path) for path in count_paths]
    beside = parse_path(selector)[:-1] if selector is not None else ()
    counts += [value for keys, value in values if _counts_rows(keys, beside)]
    return (
        any(_is_zero(count) for count in counts)
        and all(_is_zero(count) or count in (MISSING, None) for count in counts)
        and doubt(values, 0, selector or "$") is None
        and not any(_tells_failure(keys, value) for keys, value in values)
        and not tells_failed_list(document)
    )


def _counts_rows(keys: tuple[str, ...], beside: tuple[str, ...]) -> bool:
    above = keys[:-1]
    is_near = not above or above == beside or squashed(above[-1]) in ABOUT_PAGING
    return is_near and is_row_count(keys[-1])


def _is_zero(count: Any) -> bool:
    return type(count) in (int, float, str) and str(count) in ("0", "0.0")


def _tells_failure(keys: tuple[str, ...], value: Any) -> bool:
    return is_failed_status(keys[-1], value) or tells_failure({keys[-1]: value})


def _holds_another_list(document: dict[str, Any]) -> bool:
    """Whether a list stands elsewhere that may be the rows: then the selector is wrong."""
    is_named = any(isinstance(document.get(name), list) for name in RECORD_KEYS)
    return is_named or any(isinstance(one, dict | list) for one in _listed(document, 1))


def _listed(document: dict[str, Any], depth: int) -> Iterator[Any]:
    """What the lists of the answer hold."""
    for key, value in document.items():
        if isinstance(value, list) and key not in OTHER_KEYS:
            yield from value
        elif isinstance(value, dict) and depth < 3:
            yield from _listed(value, depth + 1)
