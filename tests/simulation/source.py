"""What the API of a world has, and how it changes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from tests.simulation.worlds import TERMINAL, ListPlan, World

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Key = tuple[Any, ...]
Row = dict[str, Any]

IDS: dict[str, Callable[[int], Any]] = {
    "text": lambda made: f"k{made:03d}",
    "pair": lambda made: f"k{made:03d}",
    "number": lambda made: made * 7,
    # What a path must quote.
    "path": lambda made: f"{made}/ü? #%2F&{made % 3}",
    # Told apart by nothing but case.
    "case": lambda made: f"{'k' if made % 2 else 'K'}{made // 2}",
    # Text that reads like a number, and like the same one.
    "digits": lambda made: f"{made // 2:0{5 + made % 2}d}",
    "long": lambda made: f"{made:03d}".rjust(400, "x"),
}
"""The id of the so-manieth row that was made, by the kind of key."""

VERSIONS: dict[str, Callable[[datetime, int], Any]] = {
    "instant": lambda now, touched: now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    "second": lambda now, touched: now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "epoch": lambda now, touched: int(now.timestamp()),
    "date": lambda now, touched: now.strftime("%Y-%m-%d"),
    "number": lambda now, touched: touched,
}
"""What a row says of its last change, by the kind of version."""


@dataclass
class Source:
    """What the API has: rows by list and key, in the order in which they were made."""

    world: World
    chance: random.Random
    rows: dict[str, dict[Key, Row]] = field(default_factory=dict)
    touched: int = 0
    """Changes so far: the version of lists that count instead of telling the time."""
    made: int = 0
    changes: list[tuple[str, Key]] = field(default_factory=list)
    """List and key of every change, in order."""
    older: dict[str, dict[Key, Row]] = field(default_factory=dict)
    """The rows as they were two nights before."""
    calls: list[bytes] = field(default_factory=list)
    """Bodies of callbacks that are to be delivered."""

    def fill(self, now: datetime) -> None:
        """The rows that a world begins with, some of them old."""
        for plan in self.world.lists:
            self.rows[plan.name] = {}
            for _ in range(plan.rows):
                self.insert(plan, now - timedelta(hours=self.chance.randrange(1, 5_000)))
        self.changes.clear()
        self.calls.clear()

    def insert(self, plan: ListPlan, now: datetime) -> None:
        """A new row, perhaps of a parent."""
        self.made += 1
        row: Row = {"id": IDS[plan.key](self.made), "name": f"{plan.name} {self.made}"}
        if plan.key == "pair":
            row = {"shop": self.chance.choice(("a", "b/c", "ü")), **row}
        if plan.parent is not None:
            keys = list(self.rows[plan.parent])
            if not keys:
                return
            row["parent"] = self.chance.choice(keys)[0]
        if plan.has_status:
            row["status"] = self.chance.choice(("queued", "running", *TERMINAL))
        row["size"] = self.chance.choice((None, 1, 2.5, 70_000_000_000))
        if plan.has_children:
            row["parts"] = self._parts()
        if plan.has_detail:
            row["body"] = f"body {self.made}"
        row["_made"] = self.made
        self.rows[plan.name][key_of(plan, row)] = row
        self._stamp(plan, row, now)

    def change(self, plan: ListPlan, now: datetime) -> None:
        """Something of a row is other now."""
        rows = self.rows[plan.name]
        if not rows:
            return
        row = rows[self.chance.choice(list(rows))]
        if _has_just_ended(plan, row, now):
            return
        self.touched += 1
        what = self.chance.choice(("name", "body", "parts", "size", "status"))
        if what == "status" and plan.has_status and row["status"] not in TERMINAL:
            row["status"] = self.chance.choice(("running", *TERMINAL))
        elif what == "parts" and plan.has_children:
            row["parts"] = self._parts()
        elif what == "body" and plan.has_detail:
            row["body"] = f"body, change {self.touched}"
        else:
            row["name"] = f"{plan.name}, change {self.touched}"
        if plan.version == "date":
            # A second change on one day is seen in the list row alone.
            row["size"] = self.touched
        self._stamp(plan, row, now)

    def delete(self, plan: ListPlan) -> None:
        """A row leaves the API, and with it the rows below it."""
        rows = self.rows[plan.name]
        if not rows:
            return
        key = self.chance.choice(list(rows))
        del rows[key]
        self.changes.append((plan.name, key))
        for child in self.world.lists:
            if child.parent == plan.name:
                below = self.rows[child.name]
                for inner in [k for k, row in below.items() if row["parent"] == key[0]]:
                    del below[inner]
                    self.changes.append((child.name, inner))

    def edit(self, now: datetime) -> None:
        """Some change somewhere."""
        plan = self.chance.choice(self.world.lists)
        match self.chance.choice(("change", "change", "change", "insert", "delete")):
            case "change":
                self.change(plan, now)
            case "insert":
                self.insert(plan, now)
            case _:
                self.delete(plan)

    def state(self) -> dict[str, dict[Key, Row]]:
        """A copy of what the API has now."""
        return {
            name: {key: dict(row) for key, row in rows.items()} for name, rows in self.rows.items()
        }

    def listed(
        self, plan: ListPlan, parent: str | None = None, *, is_stale: bool = False
    ) -> list[Row]:
        """The rows of a list in its order."""
        rows = [
            row
            for row in (self.older if is_stale else self.rows).get(plan.name, {}).values()
            if parent is None or str(row.get("parent")) == parent
        ]
        rows.sort(key=lambda row: position(plan, row))
        return rows

    def detail(self, plan: ListPlan, key: tuple[str, ...], *, is_stale: bool = False) -> Row | None:
        """A row with all it has; None: there is none with that key, as texts."""
        for own, row in (self.older if is_stale else self.rows).get(plan.name, {}).items():
            if tuple(map(str, own)) == key:
                return visible(row)
        return None

    def _parts(self) -> list[Row]:
        return [
            {"label": f"part {self.chance.randrange(100)}", "weight": self.chance.randrange(9)}
            for _ in range(self.chance.randrange(4))
        ]

    def _stamp(self, plan: ListPlan, row: Row, now: datetime) -> None:
        self.touched += 1
        self.changes.append((plan.name, key_of(plan, row)))
        row["_stamp"] = (now, self.touched)
        if plan.version is not None:
            row["changed"] = VERSIONS[plan.version](now, self.touched)
        if plan == self.world.runs:
            said = {"run_id": row["id"], "status": row["status"], "at": self.touched}
            self.calls.append(json.dumps({"event": "run.updated", **said}).encode())


def _has_just_ended(plan: ListPlan, row: Row, now: datetime) -> bool:
    """Whether a run ended in the second that it is now. The details of ended runs are not read once more when that
    second is over (docs/agent-runs.md), since nothing changes them."""
    if (
        not plan.has_status
        or row["status"] not in TERMINAL
        or plan.version not in ("second", "epoch")
    ):
        return False
    return bool(row["changed"] == VERSIONS[plan.version](now, 0))


def key_of(plan: ListPlan, row: Row) -> Key:
    """What identifies a row."""
    return tuple(row[name] for name in plan.key_fields)


def visible(row: Row, hidden: frozenset[str] = frozenset()) -> Row:
    """A row as the API shows it, without what is `hidden` here."""
    return {name: value for name, value in row.items() if name[0] != "_" and name not in hidden}


def position(plan: ListPlan, row: Row) -> int:
    """Where a row stands in its list; later rows have a larger one."""
    match plan.order:
        case "newest" | "oldest":
            at, touched = row["_stamp"]
            latest = (at - _EPOCH) // _MICROSECOND * 1_000_000 + int(touched)
            return latest if plan.order == "oldest" else -latest
        case "shuffled":
            return hash_of(row["id"])
        case _:
            return int(row["_made"])


@lru_cache(maxsize=100_000)
def hash_of(value: Any) -> int:
    """An order that looks like none and is the same everywhere."""
    return random.Random(f"order {value}").getrandbits(32)
