"""Worlds drawn from a seed: an API with lists of every kind, and the definition that describes it."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

BEGIN = datetime(2026, 3, 2, 3, 0, 0, tzinfo=UTC)
"""True time when every world begins."""
HOST = "api.example.test"
PAGINGS = ("page", "offset", "cursor", "next_link", "header_link", "single")
KEYS = ("text", "number", "pair")
VERSIONS = ("instant", "number", None)
ORDERS = ("stored", "newest", "oldest", "shuffled")
TERMINAL = ("done", "failed")


@dataclass(frozen=True)
class ListPlan:
    """How one list of the API is."""

    name: str
    paging: str
    size: int
    key: str
    version: str | None
    order: str
    has_total: bool
    has_detail: bool
    has_children: bool
    parent: str | None
    has_status: bool
    keeps_history: bool
    rows: int

    @property
    def key_fields(self) -> tuple[str, ...]:
        return ("shop", "id") if self.key == "pair" else ("id",)

    def __str__(self) -> str:
        """One line for people."""
        traits = [
            f"{self.rows} rows",
            f"{self.paging} of {self.size}",
            f"{self.key} key",
            f"version {self.version}",
            self.order,
            "total" if self.has_total else "no total",
        ]
        traits += [
            name
            for name, is_so in (
                ("detail", self.has_detail),
                ("children", self.has_children),
                ("status", self.has_status),
                ("history", self.keeps_history),
            )
            if is_so
        ]
        traits += [f"of each {self.parent}"] if self.parent else []
        return f"{self.name}: {', '.join(traits)}"

    def resource(self) -> dict[str, Any]:
        """The list in a definition file."""
        endpoint: dict[str, Any] = {
            "path": self.name,
            "data_selector": "data",
            "paginator": self._paginator(),
        }
        if self.parent is not None:
            endpoint["path"] = f"{self.parent}/{{parent}}/{self.name}"
            endpoint["params"] = {
                "parent": {"type": "resolve", "resource": self.parent, "field": "id"}
            }
        if self.version is not None:
            endpoint["incremental"] = {"cursor_path": "changed"}
        resource: dict[str, Any] = {
            "name": self.name,
            "primary_key": list(self.key_fields),
            "endpoint": endpoint,
        }
        if self.has_detail:
            resource["detail"] = {
                "path": self.name + "-of" + "".join(f"/{{{key}}}" for key in self.key_fields)
            }
        if self.has_children:
            resource["children"] = {
                "parts": {"table": f"{self.name}_parts", "parent_key": self._parent_key()}
            }
        if self.has_status:
            resource["status"] = {"path": "status", "terminal": list(TERMINAL)}
        if self.keeps_history:
            resource["history"] = True
        return resource

    def _parent_key(self) -> list[str]:
        return [f"{self.name}_{key}" for key in self.key_fields]

    def _paginator(self) -> dict[str, Any]:
        total = "total" if self.has_total else None
        match self.paging:
            case "page":
                return {
                    "type": "page_number",
                    "base_page": 1,
                    "size_param": "size",
                    "size": self.size,
                    "total_path": None,
                    "total_rows_path": total,
                }
            case "offset":
                return {"type": "offset", "limit": self.size, "total_path": total}
            case "cursor":
                return {
                    "type": "cursor",
                    "cursor_path": "next",
                    "cursor_param": "after",
                    "size_param": "size",
                    "size": self.size,
                    "total_path": total,
                }
            case "next_link":
                return {"type": "json_link", "next_url_path": "next"}
            case "header_link":
                return {"type": "header_link"}
            case _:
                return {"type": "single_page"}


@dataclass(frozen=True)
class World:
    """An API, its quota, and how syncs meet it."""

    seed: int
    lists: tuple[ListPlan, ...]
    per_minute: int
    per_day: int
    latency: float
    eagerness: float
    segment_bytes: int

    def definition(self) -> dict[str, Any]:
        """What a user would write."""
        return {
            "name": "simulated",
            "client": {
                "base_url": f"https://{HOST}/v1",
                "auth": {"type": "bearer", "token": "${SIMULATED_KEY}"},
            },
            "resources": [plan.resource() for plan in self.lists],
        }

    def write_definition(self, path: Path) -> None:
        """Write it where a sync reads it."""
        path.write_text(json.dumps(self.definition()), encoding="utf-8")

    def __str__(self) -> str:
        """Some ten lines for people."""
        head = (
            f"world {self.seed}: {self.per_minute or 'any number'} requests a minute,"
            f" {self.per_day or 'any number'} a day; {self.latency * 1000:.0f} ms;"
            f" the loading side is {'eager' if self.eagerness > 0.5 else 'lazy'}"
        )
        return "\n".join([head, *(f"  {plan}" for plan in self.lists)])


def drawn(seed: int, *, largest: int = 24) -> World:
    """The world of a seed; lists have up to `largest` rows, seldom more."""
    chance = random.Random(f"world {seed}")
    lists: list[ListPlan] = []
    for number in range(chance.choice((1, 1, 2, 2, 3, 4))):
        lists.append(_drawn_list(number, lists, chance, largest))
    return World(
        seed,
        tuple(lists),
        per_minute=chance.choice((0, 0, 30, 60, 600)),
        per_day=chance.choice((0, 0, 0, 40, 120, 500)),
        latency=chance.choice((0.005, 0.08, 0.5)),
        eagerness=chance.choice((0.0, 0.2, 0.8, 1.0)),
        segment_bytes=chance.choice((600, 4_000, 1 << 28, 1 << 28)),
    )


def _drawn_list(
    number: int, before: list[ListPlan], chance: random.Random, largest: int
) -> ListPlan:
    has_detail = chance.random() < 0.6
    parents = [one.name for one in before if one.parent is None and one.key != "pair"]
    parent = chance.choice(parents) if parents and chance.random() < 0.25 else None
    paging = chance.choice(PAGINGS)
    has_status = has_detail and parent is None and chance.random() < 0.2
    rows = chance.choice((0, 1, chance.randrange(largest), chance.randrange(largest), largest))
    return ListPlan(
        name=f"list{number}",
        paging=paging,
        size=1_000_000 if paging == "single" else chance.choice((1, 2, 3, 5, 8, 100)),
        key=chance.choice(KEYS if parent is None else ("text", "number")),
        version=chance.choice(VERSIONS),
        order=chance.choice(ORDERS),
        has_total=chance.random() < 0.7,
        has_detail=has_detail,
        has_children=chance.random() < 0.4,
        parent=parent,
        has_status=has_status,
        keeps_history=chance.random() < 0.25,
        rows=min(rows, 6) if parent else rows,
    )


@dataclass
class Source:
    """What the API has: rows by list and key, in the order in which they were made."""

    world: World
    chance: random.Random
    rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)
    touched: int = 0
    """Changes so far: the version of lists that count instead of telling the time."""
    made: int = 0
    changes: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    """List and key of every change, in order."""

    def fill(self, now: datetime) -> None:
        """The rows that a world begins with, some of them old."""
        for plan in self.world.lists:
            self.rows[plan.name] = {}
            for _ in range(plan.rows):
                self.insert(plan, now - timedelta(hours=self.chance.randrange(1, 5_000)))

    def insert(self, plan: ListPlan, now: datetime) -> None:
        """A new row, perhaps of a parent."""
        self.made += 1
        ident: Any = self.made * 7 if plan.key == "number" else f"k{self.made:03d}"
        row: dict[str, Any] = {"id": ident, "name": f"{plan.name} {self.made}"}
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
        key = tuple(row[name] for name in plan.key_fields)
        self.rows[plan.name][key] = row
        self._stamp(plan, row, now)

    def change(self, plan: ListPlan, now: datetime) -> None:
        """Something of a row is other now."""
        rows = self.rows[plan.name]
        if not rows:
            return
        row = rows[self.chance.choice(list(rows))]
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

    def listed(self, plan: ListPlan, parent: str | None = None) -> list[dict[str, Any]]:
        """The rows of a list in its order, as the list shows them."""
        rows = [
            row
            for row in self.rows[plan.name].values()
            if parent is None or str(row.get("parent")) == parent
        ]
        match plan.order:
            case "newest":
                rows.sort(key=lambda row: row["_stamp"], reverse=True)
            case "oldest":
                rows.sort(key=lambda row: row["_stamp"])
            case "shuffled":
                rows.sort(key=lambda row: hash_of(row["id"]))
        hidden = {"_stamp"} | ({"body", "parts"} if plan.has_detail else set())
        return [{name: value for name, value in row.items() if name not in hidden} for row in rows]

    def detail(self, plan: ListPlan, key: tuple[str, ...]) -> dict[str, Any] | None:
        """A row with all it has; None: there is none with that key, as texts."""
        for own, row in self.rows[plan.name].items():
            if tuple(map(str, own)) == key:
                return {name: value for name, value in row.items() if name != "_stamp"}
        return None

    def _parts(self) -> list[dict[str, Any]]:
        return [
            {"label": f"part {self.chance.randrange(100)}", "weight": self.chance.randrange(9)}
            for _ in range(self.chance.randrange(4))
        ]

    def _stamp(self, plan: ListPlan, row: dict[str, Any], now: datetime) -> None:
        self.touched += 1
        self.changes.append((plan.name, tuple(row[name] for name in plan.key_fields)))
        row["_stamp"] = (now, self.touched)
        if plan.version == "instant":
            row["changed"] = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        elif plan.version == "number":
            row["changed"] = self.touched


def hash_of(value: Any) -> int:
    """An order that looks like none and is the same everywhere."""
    return random.Random(f"order {value}").getrandbits(32)
