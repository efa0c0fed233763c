"""What a drawn API has, and how it changes. Each row has a `mark` of its own, which no key has a part in."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from oa_sync.extract.lists.mass import FEW, SHARE
from tests.foreign.plan import Api, ListPlan

Fields = dict[str, Any]

KEYS: dict[str, Callable[[int], Any]] = {
    "int": lambda n: n * 7,
    "text": lambda n: f"k{n:03d}",
    "pair": lambda n: f"k{n // 2}",
    "dotted": lambda n: f"k{n:03d}",
    "odd name": lambda n: n,
    "uuid": lambda n: str(uuid.UUID(int=(n * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128)),
    "float": lambda n: n + (0.5 if n % 3 == 0 else 0.0),
    "huge": lambda n: 2**64 + n,
    "date": lambda n: (datetime(2024, 2, 20) + timedelta(days=n)).strftime("%Y-%m-%d"),
    "instant": lambda n: (
        (datetime(2024, 2, 28) + timedelta(minutes=n)).isoformat() + ("Z", ".50+00:00")[n % 2]
    ),
    "odd text": lambda n: f"{n}/ü? #%2F&'\"{{x}} +;é\u0301{'😀' if n % 2 else ''}",
    "case": lambda n: f"{'k' if n % 2 else 'K'}{n // 2}",
    "digits": lambda n: f"{n // 2:0{3 + n % 2}d}",
    "mixed": lambda n: (n, f"k{n}", n + 0.5)[n % 3],
    "bool": lambda n: n % 2 == 0,
}
"""The key of the so-manieth row that was made."""

_ZONES = (timezone(timedelta(hours=2)), timezone(-timedelta(hours=5, minutes=30)))
VERSIONS: dict[str, Callable[[datetime, int], Any]] = {
    "iso": lambda at, n: at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    "offset": lambda at, n: at.astimezone(_ZONES[n % 2]).isoformat(timespec="milliseconds"),
    "date": lambda at, n: at.strftime("%Y-%m-%d"),
    "epoch": lambda at, n: int(at.timestamp()),
    "epoch ms": lambda at, n: int(at.timestamp() * 1000),
    "sequence": lambda at, n: n,
}
"""What a row says of its last change: its time, or the number of the change."""


@dataclass
class Record:
    """A row. `number`: the so-manieth that was made; `of`: the number of its parent's row."""

    number: int
    made: int
    at: datetime
    touched: int
    key: tuple[Any, ...]
    fields: Fields
    of: int | None = None
    odd: Any = None

    @property
    def mark(self) -> str:
        return f"m{self.number}"


@dataclass
class Source:
    """The rows of each list, by mark."""

    api: Api
    chance: random.Random
    rows: dict[str, dict[str, Record]] = field(default_factory=dict)
    touched: dict[str, set[str]] = field(default_factory=dict)
    """The marks of rows that came or changed since the last `forget`."""
    _made: int = 0
    _changes: int = 1_000

    def fill(self, now: datetime) -> None:
        """The rows that the API has at first, made in the months before."""
        for plan in self.api.lists:
            self.rows[plan.name], self.touched[plan.name] = {}, set()
            for _ in range(plan.rows):
                self._insert(plan, now - timedelta(minutes=self.chance.randrange(90, 100_000)))

    def forget(self) -> None:
        """Nothing counts as touched any more."""
        self.touched = {plan.name: set() for plan in self.api.lists}

    def edit(self, now: datetime) -> None:
        """A few rows change, come and go; of the first list perhaps many go."""
        for number, plan in enumerate(self.api.lists):
            self._delete(plan, self.api.loss if number == 0 else "few")
        for plan in self.api.lists:
            rows = self.rows[plan.name]
            for record in self.chance.sample(list(rows.values()), min(2, len(rows))):
                self._change(plan, record, now)
            for record in self.chance.sample(list(rows.values()), min(1, len(rows))):
                record.fields["views"] += 1  # counts no change: the version stays
                self.touched[plan.name].add(record.mark)
            room = 2 if plan.key != "bool" else max(0, 2 - len(rows))
            for _ in range(self.chance.randrange(room + 1)):
                self._insert(plan, now)

    def _delete(self, plan: ListPlan, loss: str) -> None:
        count = len(self.rows[plan.name])
        few = min(2, count - 1, int(count * SHARE) if count > FEW else count)
        most = {"few": few, "many": count * 3 // 4, "all": count}[loss]
        for mark in self.chance.sample(list(self.rows[plan.name]), max(0, most)):
            gone = self.rows[plan.name].pop(mark)
            for below in self.api.lists:
                if below.parent == plan.name:
                    rows = self.rows[below.name]
                    for inner in [m for m, row in rows.items() if row.of == gone.number]:
                        del rows[inner]

    def _insert(self, plan: ListPlan, at: datetime) -> None:
        of = None
        if plan.parent is not None:
            parents = list(self.rows[plan.parent].values())
            if not parents:
                return
            of = self.chance.choice(parents).number
        self._made += 1
        number = self._made
        key: tuple[Any, ...] = ()
        if plan.key != "none":
            key = (KEYS[plan.key](number),)
            if plan.key == "bool":
                key = (not any(row.key == (True,) for row in self.rows[plan.name].values()),)
        if plan.key == "pair":
            key = (("a", "b/c", "ü")[number % 3] + str(number % 2), *key)
        record = Record(number, number, at, 0, key, {}, of)
        if plan.odd and self.chance.random() < 0.3:
            record.odd = plan.odd
        record.fields = {
            "name": f"{plan.name} {number}",
            "size": self.chance.choice((None, 1, 70_000_000_000)),
            "views": 0,
            "isOpen": self.chance.random() < 0.5,
            "place": {"city": f"c{number % 5}", "geo": {"lat": number / 4}},
        }
        if plan.detail:
            record.fields["body"] = f"body {number}"
        if plan.depth:
            record.fields["lines"] = self._lines(plan, record)
        self.rows[plan.name][record.mark] = record
        self._touch(plan, record, at)

    def _change(self, plan: ListPlan, record: Record, now: datetime) -> None:
        record.fields["name"] = f"{plan.name} {record.number}, change {self._changes}"
        if plan.detail:
            record.fields["body"] = f"body, change {self._changes}"
        if plan.depth and self.chance.random() < 0.7:
            record.fields["lines"] = self._lines(plan, record)
        if self.chance.random() < 0.3:
            record.fields["place"] = {"city": "new", "geo": {"lat": 0.5}, "street": "s"}
        self._touch(plan, record, now)

    def _lines(self, plan: ListPlan, record: Record) -> list[Fields]:
        lines = []
        for _ in range(self.chance.randrange(4)):
            line: Fields = {"label": f"l{self.chance.randrange(99)}", "of": record.mark}
            if plan.depth > 1:
                below = range(self.chance.randrange(3))
                line["subs"] = [{"label": f"s{n}", "of": record.mark} for n in below]
            lines.append(line)
        return lines

    def _touch(self, plan: ListPlan, record: Record, now: datetime) -> None:
        self._changes += 1
        record.at, record.touched = now, self._changes
        self.touched[plan.name].add(record.mark)

    def readable(self, plan: ListPlan) -> dict[str, Record]:
        """The rows that can be loaded: those with a key, of parents with one."""
        if not plan.is_there:
            return {}
        rows = {m: row for m, row in self.rows[plan.name].items() if row.odd != "null key"}
        if plan.parent is None:
            return rows
        parents = {row.number for row in self.rows[plan.parent].values() if row.odd != "null key"}
        return {mark: row for mark, row in rows.items() if row.of in parents}

    def listed(self, plan: ListPlan, of: int | None = None) -> list[Record]:
        """The rows of a list in its order."""
        rows = [row for row in self.rows[plan.name].values() if of is None or row.of == of]
        order: dict[str, Callable[[Record], Any]] = {
            "stored": lambda row: row.made,
            "oldest": lambda row: (row.at, row.touched),
            "newest": lambda row: (-row.at.timestamp(), -row.touched),
            "shuffled": lambda row: random.Random(f"order {row.number}").random(),
        }
        return sorted(rows, key=order[plan.order])


def shown(plan: ListPlan, record: Record, *, in_detail: bool) -> Fields:
    """A row as the list or the detail shows it."""
    fields: Fields = {"mark": record.mark, **record.fields}
    if plan.version is not None:
        version = VERSIONS[plan.version](record.at.astimezone(UTC), record.touched)
        _put(fields, plan.version_path, version)
    if record.odd:
        fields["odd"] = odd_value(record.odd, record.number)
    if plan.detail and not in_detail:
        fields.pop("body", None)
        if plan.children_in == "detail":
            fields.pop("lines", None)
        if plan.cuts_objects:
            fields["place"] = {"city": fields["place"]["city"]}
        if plan.shows_little:
            fields = {k: v for k, v in fields.items() if k not in ("size", "place", "odd")}
    key = record.key if record.odd != "null key" else (None, *record.key[1:])
    if plan.is_jsonapi:
        return {"type": plan.name, "id": key[0], "attributes": fields}
    whole: Fields = {}
    for path, value in zip(plan.key_paths, key, strict=True):
        _put(whole, path, value)
    return {**whole, **fields}


def _put(fields: Fields, path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        fields = fields.setdefault(key, {})
    fields[path[-1]] = value


def odd_value(kind: str, number: int) -> Any:
    """A value that is seldom seen."""
    deep: Any = "core"
    for _ in range(200):
        deep = [deep]
    values = {
        "surrogate": "cut \ud83d",
        "NaN": float("nan"),
        "huge": 2**70 + number,
        "deep": deep,
        "control": "a\x01\u2028\x7f\tb",
        "mixed types": (1, "text", 2.5, True, {"a": 1})[number % 5],
    }
    return values.get(kind, "odd")
