"""Names of columns and tables: one raw path, one name, the same on every sync.

Keys become snake_case by the rules of dlt's `snake_case` naming convention, so dlt does not change a
finished name. The rules are written here again because importing dlt costs half a second. dlt would
silently put `fooBar` and `foo_bar` into one column (dlt#423); here they get two names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from functools import lru_cache

Path = tuple[str, ...]
"""Keys from the row's root, outermost first; `ELEMENT` stands for "each element of this list"."""

ELEMENT = "[]"

MAX_NAME = 120
"""Longest name in characters. Every destination accepts it, or dlt shortens it further."""

_REDUCED = str.maketrans("+-*@|", "x_xal")
_NOT_ALPHANUMERIC = re.compile(r"[^a-zA-Z\d_]+")
_LEADING_DIGIT = re.compile(r"\d")
_BREAK_BEFORE_WORD = re.compile(r"([^_])([A-Z][a-z]+)")
_BREAK_BEFORE_CAPITAL = re.compile(r"([a-z0-9])([A-Z])")
_UNDERSCORES = re.compile(r"__+")


def _snake_word(key: str) -> str:
    """One identifier as dlt's `NamingConvention.normalize_identifier` gives it; "" stays ""."""
    word = _NOT_ALPHANUMERIC.sub("_", key.strip().translate(_REDUCED))
    word = _BREAK_BEFORE_WORD.sub(r"\1_\2", word)
    word = _BREAK_BEFORE_CAPITAL.sub(r"\1_\2", word).lower()
    if _LEADING_DIGIT.match(word):
        word = "_" + word
    stripped = word.rstrip("_")
    return _UNDERSCORES.sub("_", stripped + "x" * (len(word) - len(stripped)))


@lru_cache(maxsize=65_536)
def snake_case(key: str) -> str:
    """`key` as dlt names it. A `__` inside is kept: it separates parent and child. May be empty."""
    words = (_snake_word(part) for part in key.split("__"))
    return "__".join(word for word in words if word)


def is_named_like_time(path: Path) -> bool:
    """Whether texts at `path` are read as instants though nobody declared it: `created_at`."""
    return snake_case(path[-1]).endswith("_at")


def singular(word: str) -> str:
    """The English singular of a table name or key, well enough for `<singular>_id`."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "uses")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def tag(path: Path) -> str:
    """40 hex digits that stand for a raw path; names take the first six."""
    return hashlib.sha1(json.dumps(path).encode(), usedforsecurity=False).hexdigest()


class Names:
    """The names given out in one table (or, for tables, in one resource).

    The first path that asks for a name keeps it. A later one that would get the same name gets a
    suffix made from its raw path, so the name of a column never depends on the rows around it.
    `reserved` names come from outside the rows. A key that equals one of them is prefixed with
    `field_`, and so is every key that starts like the system columns of dlt or of this project.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._reserved = set(reserved)
        self._owner: dict[str, Path] = {}
        self._given: dict[Path, str] = {}

    def reserve(self, names: Iterable[str]) -> list[str]:
        """Keep `names` for columns from outside the rows; returns those a path has already."""
        names = list(names)
        self._reserved.update(names)
        return [name for name in names if name in self._owner]

    def keep(self, name: str, path: Path) -> None:
        """Give `path` the name it had in an earlier sync."""
        self._owner[name] = path
        self._given[path] = name

    def is_reserved(self, name: str) -> bool:
        """Whether the column `name` comes from outside the rows."""
        return name in self._reserved

    def owner(self, name: str) -> Path | None:
        """The path that has `name`."""
        return self._owner.get(name)

    @staticmethod
    def plain(keys: Path) -> str:
        """The name of `keys` if no other path has it already; "" if no letter is left."""
        return "__".join(part for part in map(snake_case, keys) if part)

    def claim(self, path: Path, keys: Path) -> str:
        """The name of `path`, which never changes. `keys`: the end of `path` the name is made of."""
        if path in self._given:
            return self._given[path]
        name = self.plain(keys)
        digits = tag(path)
        if not name:
            name = f"field_{digits[:6]}"
        elif name in self._reserved or name.startswith(("_oa", "_dlt")):
            name = "field_" + name.lstrip("_")
        if len(name) > MAX_NAME:
            name = _suffixed(name, digits[:6])
        length = 6
        stem = name
        while name in self._reserved or name in self._owner:
            name = _suffixed(stem, digits[:length])
            length += 2
        self.keep(name, path)
        return name


def _suffixed(name: str, suffix: str) -> str:
    return f"{name[: MAX_NAME - len(suffix) - 1].rstrip('_')}_{suffix}"
