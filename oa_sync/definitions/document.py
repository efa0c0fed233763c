"""A YAML text as plain values that remember where they stand, so that every error has a line.

Scalars follow the YAML 1.2 core schema: `no`, `on` and `2024-01-01` are text. Nothing is ever
constructed from a tag. Size, depth and the number of values after the expansion of aliases are
bounded; duplicate keys are errors.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from oa_sync.errors import DefinitionError

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_VALUES = 200_000
"""Values in one file, those behind aliases counted at each use."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")
_SIMPLE_KEY = re.compile(r"[^\s.\[\]'\"]+")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value stands: file, line from 1, and its path in the document as it was written.

    `written` is the text before `${NAME}` was expanded; errors show it instead of the value.
    """

    file: str
    line: int
    path: str
    written: str | None = None

    def at(self, key: str | int) -> Mark:
        """The mark of something inside, on the same line."""
        return replace(self, path=join(self.path, key), written=None)


class MarkedDict(dict[str, Any]):
    """A mapping whose keys have marks: `marks[key]`; `mark` is its own."""

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.marks: dict[str, Mark] = {}

    def put(self, key: str, value: Any, mark: Mark) -> None:
        """Set `key`; `mark` is where the key stands."""
        self[key] = value
        self.marks[key] = mark

    def take(self, key: str, other: MarkedDict) -> None:
        """Set `key` as it stands in `other`."""
        self.put(key, other[key], other.marks[key])

    def without(self, *keys: str) -> MarkedDict:
        """A copy that lacks `keys`; the values are shared."""
        copy = MarkedDict(self.mark)
        for key in self:
            if key not in keys:
                copy.take(key, self)
        return copy


class MarkedList(list[Any]):
    """A list whose items have marks: `marks[index]`; `mark` is its own."""

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.marks: list[Mark] = []

    def put(self, value: Any, mark: Mark) -> None:
        """Append `value`, which stands at `mark`."""
        self.append(value)
        self.marks.append(mark)

    def marked(self) -> Iterator[tuple[Any, Mark]]:
        """Every item with its mark."""
        return zip(self, self.marks, strict=True)


def join(path: str, key: str | int) -> str:
    """`path` with one more step, in the notation of error messages: `resources[0].endpoint`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _SIMPLE_KEY.fullmatch(key):
        return f"{path}['{key}']"
    return f"{path}.{key}" if path else key


def plain(value: Any) -> Any:
    """`value` as ordinary dicts and lists."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


@dataclass(slots=True)
class Problems:
    """All that is wrong. Of several faults in one place the first is kept: the rest follow from it."""

    _found: dict[tuple[str, int, str], str] = field(default_factory=dict)

    def add(self, mark: Mark, what: str, *, value: str = "", valid: str = "") -> None:
        """Note a fault. `value` is already fit to be shown (see `show`)."""
        text = f"{mark.path}: {what}" if mark.path else what
        text += f" ({value})" if value else ""
        if valid:
            text += f" valid: {valid}" if text.endswith("?") else f"; valid: {valid}"
        self._found.setdefault((mark.file, mark.line, mark.path), text)

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_if_any(self) -> None:
        """Raise DefinitionError with everything found so far, by file and line."""
        if self._found:
            files = list(dict.fromkeys(file for file, _, _ in self._found))
            places = sorted(self._found, key=lambda place: (files.index(place[0]), place[1]))
            raise DefinitionError(
                [_printable(f"{place[0]}:{place[1]}: {self._found[place]}") for place in places]
            )


def show(value: Any, mark: Mark) -> str:
    """`value` for an error message: as written, short, and never anything that may be secret."""
    if mark.path.startswith(("client.auth", "client.headers")) or isinstance(value, dict | list):
        return ""
    if isinstance(value, str):
        value = as_written(value, mark)
        return f'"{value}"' if len(value) <= 60 else f'"{value[:59]}…"'
    return json.dumps(value)


def as_written(text: str, mark: Mark) -> str:
    """`text` as it stands in the file, before variables were put in."""
    return text if mark.written is None else mark.written


def _printable(text: str) -> str:
    """`text` without line breaks, terminal escapes and lone surrogates that a file may hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Stop(Exception):
    """The rest of the file cannot be read."""


def compose(text: str, file: str, problems: Problems) -> MarkedDict | None:
    """The mapping that `text` is, or None if it is none; what is wrong goes to `problems`."""
    composer = _Composer(text, file, problems)
    try:
        return composer.document()
    except _Stop:
        return None
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        what = f"not valid YAML: {error.problem or error.context or 'cannot be read'}"
        problems.add(Mark(file, at.line + 1 if at else 1, ""), what)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.add(Mark(file, line, ""), "not valid YAML: a character that YAML does not allow")
    except (yaml.YAMLError, ValueError, OverflowError):
        problems.add(Mark(file, composer.line, ""), "not valid YAML")
    return None


class _Composer:
    """Builds values from the parser's events; it alone knows anchors and counts values."""

    def __init__(self, text: str, file: str, problems: Problems) -> None:
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self._file = file
        self._problems = problems
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._values = 0
        self.line = 1

    def document(self) -> MarkedDict | None:
        """The first and only document; it must be a mapping."""
        root: Any = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(event, "", "a second document", "one document in a file")
                root = self._value(next(self._events), "", 0)
        if isinstance(root, MarkedDict):
            return root
        mark = Mark(self._file, 1, "")
        self._problems.add(
            mark,
            "the file is empty" if root is None else "expected a mapping",
            valid="a mapping with name and resources",
        )
        return None

    def _value(self, event: Any, path: str, depth: int) -> Any:
        self._count(event, path, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        if depth > MAX_DEPTH:
            self._stop(event, path, f"more than {MAX_DEPTH} levels deep")
        before = self._values
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(event, path, depth)
        else:
            value = self._sequence(event, path, depth)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._values - before + 1)
        return value

    def _mapping(self, start: Any, path: str, depth: int) -> MarkedDict:
        self._tagged(start, path, "map")
        mapping = MarkedDict(self._mark(start, path))
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._stop(event, path, "a key that is not plain text")
            key: str = event.value
            mark = self._mark(event, join(path, key))
            value = self._value(next(self._events), mark.path, depth + 1)
            if key in mapping:
                first = mapping.marks[key].line
                self._problems.add(mark, f"this key stands here twice; first on line {first}")
            else:
                mapping.put(key, value, mark)
        return mapping

    def _sequence(self, start: Any, path: str, depth: int) -> MarkedList:
        self._tagged(start, path, "seq")
        items = MarkedList(self._mark(start, path))
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            mark = self._mark(event, join(path, len(items)))
            items.put(self._value(event, mark.path, depth + 1), mark)
        return items

    def _scalar(self, event: Any, path: str) -> Any:
        text: str = event.value
        if event.tag in _TEXT_TAGS or (event.tag is None and not event.implicit[0]):
            return text
        self._tagged(event, path, "")
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        return text

    def _alias(self, event: Any, path: str) -> Any:
        if event.anchor not in self._anchors:
            self._stop(event, path, "an alias of something that is not defined before it")
        value, size = self._anchors[event.anchor]
        self._count(event, path, size)
        return value

    def _tagged(self, event: Any, path: str, kind: str) -> None:
        if event.tag is not None and event.tag != f"tag:yaml.org,2002:{kind}":
            self._problems.add(self._mark(event, path), "a YAML tag", valid="plain values")

    def _count(self, event: Any, path: str, more: int) -> None:
        self.line = event.start_mark.line + 1
        self._values += more
        if self._values > MAX_VALUES:
            self._stop(event, path, f"more than {MAX_VALUES} values, aliases counted at each use")

    def _mark(self, event: Any, path: str) -> Mark:
        return Mark(self._file, event.start_mark.line + 1, path)

    def _stop(self, event: Any, path: str, what: str, valid: str = "") -> None:
        self._problems.add(self._mark(event, path), what, valid=valid)
        raise _Stop


def nearest(word: Any, known: Iterable[str]) -> str:
    """`; did you mean "x"?` with the nearest of `known` to `word`, or nothing if none is near."""
    close = difflib.get_close_matches(str(word)[:100], list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
