"""From pydantic's errors to lines that a user can act on: file, line, path, value, what is valid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from oa_sync.definitions.document import Mark, MarkedDict, MarkedList, Problems, nearest, show
from oa_sync.definitions.model import Definition, Endpoint, Incremental, Resource

BESIDE_THE_MODEL: dict[type[BaseModel], tuple[str, ...]] = {
    Definition: ("extends", "exclude", "resource_defaults"),
    Resource: ("incremental",),
}
"""Keys that a file may have and that are gone before the model sees it."""

_DLT_WORDS: dict[type[BaseModel], dict[str, str]] = {
    Resource: {
        "merge_key": "rows are merged by primary_key",
        "table_name": "the table is called like the resource: set name, and the path in endpoint",
        "max_table_nesting": "declare lists in children, and columns as data_type json",
        "parallelized": "requests run at once as far as the quota allows",
        "selected": "name the resources to sync on the command line, or drop them by exclude",
        "processing_steps": "rows are loaded as the API sends them; filter and map with SQL",
    },
    Endpoint: {
        "response_actions": "write optional: true for a list that may answer 404",
        "data": "write json for a request body",
        "headers": "headers stand in client.headers",
        "auth": "auth stands in client.auth",
    },
    Incremental: dict.fromkeys(
        ("initial_value", "start_param", "end_param", "end_value", "last_value_func", "row_order"),
        "changes are found by comparing each row with what is loaded; write cursor_path alone",
    ),
}
"""dlt's words for what this program does in another way, with the advice to show."""

_EXPECTED = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "model_type": "expected a mapping",
    "model_attributes_type": "expected a mapping",
    "dict_type": "expected a mapping",
    "tuple_type": "expected a list",
}


@dataclass(frozen=True)
class _Place:
    """Where an error is: its mark, the value there, and the types that the value may have."""

    mark: Mark
    value: Any
    types: tuple[Any, ...]

    @property
    def model(self) -> type[BaseModel] | None:
        """The one model that the value should be, if it should be one."""
        kind = self.types[0] if len(self.types) == 1 else None
        return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None

    @property
    def keys(self) -> str:
        """The keys that a mapping may have here."""
        return ", ".join(_keys(self.model))

    @property
    def shown(self) -> str:
        """The value as an error may show it."""
        return show(self.value, self.mark)


def explain(errors: list[ErrorDetails], document: MarkedDict, problems: Problems) -> None:
    """Add every error of a failed validation of `Definition` to `problems`."""
    for error in errors:
        kind = error["type"]
        place = _find(document, error["loc"])
        if kind == "missing":
            mark = place.mark.at(str(error["loc"][-1]))
            problems.add(mark, "required key missing", valid=place.keys)
        elif kind == "extra_forbidden":
            _unknown_key(_find(document, error["loc"][:-1]), str(error["loc"][-1]), problems)
        elif kind in ("union_tag_invalid", "union_tag_not_found"):
            _wrong_type(place, problems)
        elif kind not in ("too_short", "string_too_short"):
            what, valid = _wording(error, place)
            problems.add(place.mark, what, value=place.shown, valid=valid)
        elif not place.value:  # pydantic also finds a list short whose items are wrong
            problems.add(place.mark, "must not be empty")


def _wording(error: ErrorDetails, place: _Place) -> tuple[str, str]:
    """What is wrong with a value, and what would be right."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", context["expected"])
        return "unknown word" + nearest(place.value, words), ", ".join(words)
    if kind == "definition":
        return context["what"], context["valid"]
    if kind == "greater_than_equal":
        return "too small", f"{context['ge']} or more"
    return _EXPECTED.get(kind, f"not valid: {kind.replace('_', ' ')}"), place.keys


def _unknown_key(place: _Place, key: str, problems: Problems) -> None:
    mark = place.value.marks[key]
    advice = _DLT_WORDS.get(place.model, {}).get(key) if place.model else None
    if advice:
        problems.add(mark, f"a word of dlt that has no place here; {advice}")
    else:
        problems.add(mark, "unknown key" + nearest(key, _keys(place.model)), valid=place.keys)


def _wrong_type(place: _Place, problems: Problems) -> None:
    """A mapping whose `type` is missing or names no paginator, auth or parameter."""
    tags = [tag for tag in map(_tag, place.types) if tag not in ("none", "plain")]
    value, valid = place.value, ", ".join(tags)
    if not isinstance(value, MarkedDict):
        problems.add(place.mark, "expected a mapping with type", value=place.shown, valid=valid)
    elif "type" not in value:
        problems.add(place.mark.at("type"), "required key missing", valid=valid)
    else:
        mark = value.marks["type"]
        what = "unknown type" + nearest(value["type"], tags)
        problems.add(mark, what, value=show(value["type"], mark), valid=valid)


def _find(document: MarkedDict, loc: tuple[int | str, ...]) -> _Place:
    """Follow pydantic's `loc` through the document and, in step, through the model's types.

    Both are needed: at a union, `loc` holds the chosen member's tag, which may be a key as well.
    """
    place = _Place(document.mark, document, (Definition,))
    for step in loc:
        if step == "[key]":
            return _Place(place.mark, str(loc[-2]), ())
        if len(place.types) > 1:
            place = _Place(
                place.mark, place.value, tuple(t for t in place.types if _tag(t) == step)
            )
        else:
            place = _inside(place, step)
    return place


def _inside(place: _Place, step: int | str) -> _Place:
    types = _member_types(place.types[0], step) if place.types else ()
    value = place.value
    if isinstance(value, MarkedDict) and isinstance(step, str) and step in value:
        return _Place(value.marks[step], value[step], types)
    if isinstance(value, MarkedList) and isinstance(step, int) and step < len(value):
        return _Place(value.marks[step], value[step], types)
    # What is not in the file (a required key, an item of a text taken as a list) is at its parent.
    return place


def _member_types(kind: Any, step: int | str) -> tuple[Any, ...]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, info in kind.model_fields.items():
            if step in (info.alias, name):
                return _leaves(info.annotation)
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return _leaves(arguments[1])
    return _leaves(arguments[0]) if get_origin(kind) is tuple else ()


def _leaves(annotation: Any) -> tuple[Any, ...]:
    """The types that `annotation` allows, without None and without validators."""
    if get_origin(annotation) is Annotated:
        return _leaves(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(leaf for a in get_args(annotation) for leaf in _leaves(a))
    return () if annotation is type(None) else (annotation,)


def _tag(kind: Any) -> str:
    """The `type` that chooses `kind` in a union."""
    if isinstance(kind, type) and issubclass(kind, BaseModel) and "type" in kind.model_fields:
        return str(kind.model_fields["type"].default)
    return "plain"


def _keys(model: type[BaseModel] | None) -> list[str]:
    if model is None:
        return []
    own = [info.alias or name for name, info in model.model_fields.items()]
    return own + list(BESIDE_THE_MODEL.get(model, ()))
