"""What is loaded, held against the source: rows, fields, children, histories."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from oa_sync.shape.naming import snake_case
from tests.destinations.places import Place, Row
from tests.foreign.plan import Api, ListPlan
from tests.foreign.rows import Record, Source, shown


def differences(
    api: Api, source: Source, place: Place, *, may_have_more: bool = False
) -> Iterator[str]:
    """How the tables differ from the source. `may_have_more`: rows that are gone may still be there."""
    for plan in api.lists:
        true = source.readable(plan)
        loaded = place.read(plan.name)
        living = [row for row in loaded if row.get("_oa_deleted_at") is None]
        marks = Counter(_mark(plan, row) for row in living)
        for mark, count in marks.items():
            if count > 1:
                yield f"{plan.name}: {mark} stands {count} times"
            if mark not in true and not may_have_more:
                yield f"{plan.name}: {mark} is gone, and not marked deleted"
        for mark, record in true.items():
            if mark not in marks:
                yield f"{plan.name}: {mark} {record.key} is missing"
        for row in living:
            if (mark := _mark(plan, row)) in true:
                yield from _fields(api, source, plan, true[mark], row)
        if plan.depth:
            yield from _children(plan, true, living, place)
        if plan.history:
            yield from _history(plan, true, place)


def deleted_in_error(api: Api, source: Source, place: Place) -> Iterator[str]:
    """The living rows that are marked deleted, and stand nowhere else."""
    for plan in api.lists:
        loaded = place.read(plan.name)
        alive = {_mark(plan, row) for row in loaded if row.get("_oa_deleted_at") is None}
        for row in loaded:
            mark = _mark(plan, row)
            lives = mark in source.rows[plan.name]
            # Without a key, a changed row is another one.
            if row.get("_oa_deleted_at") and lives and mark not in alive and plan.key_paths:
                yield f"{plan.name}: {mark} lives, and is marked deleted"


def _column(*keys: str) -> str:
    return "__".join(snake_case(key) for key in keys)


def _mark(plan: ListPlan, row: Row) -> str:
    return str(row.get(_column(*plan.inside, "mark")))


def _fields(api: Api, source: Source, plan: ListPlan, record: Record, row: Row) -> Iterator[str]:
    where = f"{plan.name}: {record.mark} {record.key}"
    true = shown(plan, record, in_detail=plan.detail is not None)
    for column, value in _flat(true, (), row):
        if not same(row.get(column), value):
            yield f"{where}: {column} is {row.get(column)!r}, not {value!r}"
    if plan.parent is not None:
        parent = next(one for one in api.lists if one.name == plan.parent)
        above = next(r for r in source.rows[plan.parent].values() if r.number == record.of)
        field, value = ("id", above.key[0]) if parent.is_jsonapi else ("mark", above.mark)
        if not same(found := row.get(f"_{plan.parent}_{field}"), value):
            yield f"{where}: its parent is {found!r}, not {value!r}"


def _flat(value: Row, above: tuple[str, ...], row: Row) -> Iterator[tuple[str, Any]]:
    """The columns of an object. One that stands among other values is in their column, as JSON."""
    for key, inner in value.items():
        if isinstance(inner, dict) and row.get(_column(*above, key)) is None:
            yield from _flat(inner, (*above, key), row)
        elif not isinstance(inner, list):
            yield _column(*above, key), inner


def same(loaded: Any, true: Any) -> bool:
    """Whether a loaded value is the one that the API sent, in whatever type its column has."""
    if isinstance(true, float) and not math.isfinite(true):
        true = None
    if isinstance(true, str):
        true = (
            true.encode("utf-8", "replace").decode().replace("?", "\ufffd") if _cut(true) else true
        )
    if loaded is None or true is None:
        return loaded is None and true is None
    if isinstance(loaded, datetime) and isinstance(true, str):
        instant = datetime.fromisoformat(true)
        return loaded.astimezone(UTC) == (
            instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
        )
    if isinstance(loaded, date) and not isinstance(loaded, datetime):
        return loaded.isoformat() == true
    if isinstance(true, bool) or isinstance(loaded, bool):
        return loaded is true or loaded == json.dumps(true)
    if isinstance(true, int | float):
        with suppress(InvalidOperation):
            return Decimal(str(loaded)) == Decimal(str(true))
        return False
    if isinstance(true, dict):
        return bool((json.loads(loaded) if isinstance(loaded, str) else loaded) == true)
    if loaded == true:
        return True
    with suppress(ValueError):
        return isinstance(loaded, str) and bool(json.loads(loaded) == true)
    return False


def _cut(text: str) -> bool:
    return any("\ud800" <= one <= "\udfff" for one in text)


def _children(
    plan: ListPlan, true: dict[str, Record], living: list[Row], place: Place
) -> Iterator[str]:
    keys = {
        _mark(plan, row): [row.get(_column(*path)) for path in plan.key_paths] for row in living
    }
    lines, subs = Counter[Any](), Counter[Any]()
    for mark, record in true.items():
        for number, line in enumerate(record.fields["lines"]):
            lines[mark, number, line["label"]] += 1
            for inner, sub in enumerate(line.get("subs", ())):
                subs[mark, inner, sub["label"]] += 1
    for table, wanted in ((f"{plan.name}_lines", lines), (f"{plan.name}_subs", subs)):
        found = Counter[Any]()
        for row in place.read(table):
            if row["of"] in true and row["of"] in keys:
                found[row["of"], row["position"], row["label"]] += 1
                if plan.names_parent_key and table.endswith("_lines"):
                    key = [row.get(f"of_{number}") for number, _ in enumerate(plan.key_paths)]
                    if any(not _same_key(*pair) for pair in zip(key, keys[row["of"]], strict=True)):
                        yield f"{table}: a row of {row['of']} has the key {key}, not {keys[row['of']]}"
        if found != wanted:
            yield f"{table}: {dict(found - wanted)} too many, {dict(wanted - found)} missing"


def _same_key(one: Any, other: Any) -> bool:
    return one == other or str(one) == str(other) or same(one, other)


def _history(plan: ListPlan, true: dict[str, Record], place: Place) -> Iterator[str]:
    current = Counter[str]()
    name = _column(*plan.inside, "name")
    for row in place.read(f"{plan.name}_history"):
        mark = _mark(plan, row)
        if row["_oa_valid_to"] is None and mark in true:
            current[mark] += 1
            if row.get(name) != true[mark].fields["name"]:
                yield f"{plan.name}_history: the current version of {mark} is another"
    for mark in true:
        if current[mark] != 1:
            yield f"{plan.name}_history: {mark} has {current[mark]} current versions"
