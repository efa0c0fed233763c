"""The keys that the rows of a list are known to carry, at the top of a row and inside its objects.

A list row that is written over a loaded one leaves alone what only the detail brings, so it must be known what
the list tells. Keys are texts: one at the top is itself, one inside an object is the JSON list of the keys that
lead to it (`["owner","login"]`), and an object is known by such a list that ends in null.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import orjson

from oa_sync.shape.schema import MAX_DEPTH

MOST = 200
"""Keys from which on the objects of a list are taken for maps, whose keys are data: the list tells all of them."""


def keys_of_row(row: Mapping[str, Any], *, inside: bool) -> Iterator[str]:
    """The keys of a list row; `inside`: those in its objects, too."""
    for key, value in row.items():
        yield _text(key) if key.startswith("[") else key
        if inside and type(value) is dict:
            yield from _inner(value, (key,))


def _inner(value: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    yield _text(*above, None)
    for key, inner in value.items():
        yield _text(*above, key)
        if type(inner) is dict and len(above) < MAX_DEPTH:
            yield from _inner(inner, (*above, key))


def _text(*path: str | None) -> str:
    return orjson.dumps(path).decode()


def _path(key: str) -> tuple[str | None, ...]:
    if key.startswith("["):
        with suppress(
            orjson.JSONDecodeError
        ):  # else a key at the top, from a journal of an earlier version
            return tuple(orjson.loads(key))
    return (key,)


def without_inner(keys: Iterable[str]) -> set[str]:
    """The keys at the top."""
    return {key for key in keys if len(_path(key)) == 1}


class ListKeys:
    """Tells what of a loaded row its list row replaces."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._paths = {_path(key) for key in keys}
        self._objects = {path[:-1] for path in self._paths if path[-1] is None}

    def tell(self, path: tuple[str, ...]) -> bool:
        """Whether the list tells what is at `path`: the value there, or that there is none."""
        if path[:1] not in self._paths:
            return False
        return all(
            path[:depth] not in self._objects or path[: depth + 1] in self._paths
            for depth in range(1, len(path))
        )
