"""Worlds drawn from a seed: an API with lists of every kind, and the definition that describes it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.simulation import paging

BEGIN = datetime(2026, 3, 2, 3, 0, 0, tzinfo=UTC)
"""True time when every world begins."""
HOST = "api.example.test"
KEYS = ("text", "number", "pair")
OTHER_KEYS = ("path", "case", "digits", "long")
VERSIONS = ("instant", "number", None)
OTHER_VERSIONS = ("date", "second", "epoch")
ORDERS = ("stored", "newest", "oldest", "shuffled")
TERMINAL = ("done", "failed")
MOST_LISTS = 6
LARGE = 100
"""Rows of a list from which on a world counts as large."""


@dataclass(frozen=True)
class ListPlan:
    """How one list of the API is, and what the definition says of it."""

    name: str
    paging: str
    size: int
    """The most rows that a page has."""
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
    asks: int | None = None
    """Rows a page that the definition asks for (None: as many as the server gives)."""
    hidden: int = 0
    """Rows that the total counts and the list never shows."""
    unread: frozenset[str] = frozenset()
    """What the definition does not say yet, or no longer: the list, its detail, its children."""
    typed: bool = False
    """The definition declares the type of a column."""

    @property
    def key_fields(self) -> tuple[str, ...]:
        return ("shop", "id") if self.key == "pair" else ("id",)

    @property
    def is_read(self) -> bool:
        """Whether the definition has the list."""
        return "list" not in self.unread

    def __str__(self) -> str:
        """One line for people."""
        asks = f" ({self.asks} asked for)" if self.asks else ""
        traits = [
            f"{self.rows} rows",
            f"{self.paging} of {self.size}{asks}",
            f"{self.key} key",
            f"version {self.version}",
            self.order,
            "total" if self.has_total else "no total",
        ]
        traits += [
            name
            for name, is_so in (
                (f"which counts {self.hidden} more", self.hidden),
                ("detail", self.has_detail),
                ("children", self.has_children),
                ("status", self.has_status),
                ("history", self.keeps_history),
                ("a column declared", self.typed),
                (f"not read: {', '.join(sorted(self.unread))}", self.unread),
            )
            if is_so
        ]
        traits += [f"of each {self.parent}"] if self.parent else []
        return f"{self.name}: {', '.join(traits)}"

    def as_read(self) -> ListPlan:
        """The list as the definition knows it."""
        reads_detail = self.has_detail and "detail" not in self.unread
        return replace(
            self,
            size=min(self.size, self.asks or self.size),
            has_detail=reads_detail,
            # Where there is a detail, only that has the children.
            has_children=self.has_children
            and "children" not in self.unread
            and reads_detail == self.has_detail,
        )

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
        if self.has_detail and "detail" not in self.unread:
            resource["detail"] = {
                "path": self.name + "-of" + "".join(f"/{{{key}}}" for key in self.key_fields)
            }
        if self.has_children and "children" not in self.unread:
            resource["children"] = {
                "parts": {"table": f"{self.name}_parts", "parent_key": self._parent_key()}
            }
        if self.has_status:
            resource["status"] = {"path": "status", "terminal": list(TERMINAL)}
        if self.keeps_history:
            resource["history"] = True
        if self.typed:
            resource["columns"] = {"size": {"data_type": "double"}}
        return resource

    def _parent_key(self) -> list[str]:
        return [f"{self.name}_{key}" for key in self.key_fields]

    def _paginator(self) -> dict[str, Any]:
        total = "total" if self.has_total else None
        return paging.WAYS[self.paging].declared(self.asks or self.size, total)


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
    has_hooks: bool = False
    """The API calls back when a run changes."""

    @property
    def read(self) -> tuple[ListPlan, ...]:
        """The lists that the definition has: one at least."""
        names = {plan.name for plan in self.lists if plan.is_read}
        read = [plan for plan in self.lists if plan.is_read and plan.parent in (None, *names)]
        return tuple(read) or self.lists[:1]

    @property
    def runs(self) -> ListPlan | None:
        """The list whose rows the API calls back about (`oa_sync/extract/runs/known.py:runs_resource`)."""
        fitting = (plan for plan in self.read if plan.has_status and plan.key != "pair")
        return next(fitting, None) if self.has_hooks else None

    @property
    def is_large(self) -> bool:
        """Whether a list has more rows than most."""
        return any(plan.rows >= LARGE for plan in self.lists)

    def as_read(self) -> World:
        """The lists that the definition has, as it knows them."""
        return replace(self, lists=tuple(plan.as_read() for plan in self.read))

    def definition(self) -> dict[str, Any]:
        """What a user would write."""
        return {
            "name": "simulated",
            "client": {
                "base_url": f"https://{HOST}/v1",
                "auth": {"type": "bearer", "token": "${SIMULATED_KEY}"},
            },
            "resources": [plan.resource() for plan in self.read],
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
            f"{'; callbacks' if self.has_hooks else ''}"
        )
        return "\n".join([head, *(f"  {plan}" for plan in self.lists)])


# -- another definition -------------------------------------------------------------------------


def _reads(what: str) -> Callable[[ListPlan, random.Random], ListPlan]:
    return lambda plan, chance: replace(plan, unread=plan.unread - {what})


def _drops(what: str) -> Callable[[ListPlan, random.Random], ListPlan]:
    # Runs are followed by their list and their detail.
    return lambda plan, chance: (
        plan if plan.has_status else replace(plan, unread=plan.unread | {what})
    )


UPGRADES: dict[str, Callable[[ListPlan, random.Random], ListPlan]] = {
    "history on": lambda plan, chance: replace(plan, keeps_history=True),
    "list declared": _reads("list"),
    "detail declared": _reads("detail"),
    "children declared": _reads("children"),
    "list dropped": _drops("list"),
    "detail dropped": _drops("detail"),
    "children dropped": _drops("children"),
    "column declared": lambda plan, chance: replace(plan, typed=True),
    "page size": lambda plan, chance: replace(plan, asks=chance.choice((1, 3, 7, 100))),
}
"""What may be other in the definition of one list from a night on."""


# -- drawing ------------------------------------------------------------------------------------


def drawn(seed: int, *, largest: int = 24, wide: bool = True) -> World:
    """The world of a seed; lists have up to `largest` rows, seldom more.

    What was added after the first seeds were kept is drawn from a chance of its own, and left out unless
    `wide`: a seed that found something stays the world that it was.
    """
    chance = random.Random(f"world {seed}")
    lists: list[ListPlan] = []
    for number in range(chance.choice((1, 1, 2, 2, 3, 4))):
        lists.append(_drawn_list(number, lists, chance, largest))
    world = World(
        seed,
        tuple(lists),
        per_minute=chance.choice((0, 0, 30, 60, 600)),
        per_day=chance.choice((0, 0, 0, 40, 120, 500)),
        latency=chance.choice((0.005, 0.08, 0.5)),
        eagerness=chance.choice((0.0, 0.2, 0.8, 1.0)),
        segment_bytes=chance.choice((600, 4_000, 1 << 28, 1 << 28)),
    )
    return _widened(world, random.Random(f"wide world {seed}"), largest) if wide else world


def _drawn_list(
    number: int, before: list[ListPlan], chance: random.Random, largest: int
) -> ListPlan:
    has_detail = chance.random() < 0.6
    parents = [one.name for one in before if one.parent is None and one.key != "pair"]
    parent = chance.choice(parents) if parents and chance.random() < 0.25 else None
    way = chance.choice(paging.FIRST)
    has_status = has_detail and parent is None and chance.random() < 0.2
    rows = chance.choice((0, 1, chance.randrange(largest), chance.randrange(largest), largest))
    return ListPlan(
        name=f"list{number}",
        paging=way,
        size=1_000_000 if way == "single" else chance.choice((1, 2, 3, 5, 8, 100)),
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


def _widened(world: World, chance: random.Random, largest: int) -> World:
    """The world with more lists, and lists of more kinds."""
    lists = list(world.lists)
    while len(lists) < MOST_LISTS and chance.random() < 0.2:
        lists.append(_drawn_list(len(lists), lists, chance, largest))
    lists = [_of_another_kind(plan, chance) for plan in lists]
    world = replace(world, lists=tuple(lists), has_hooks=True)
    # Seldom of runs whose ids are numbers: they become rows of their own (kept.py).
    often = 0.0 if world.runs is None else 0.1 if world.runs.key == "number" else 0.7
    world = replace(world, has_hooks=chance.random() < often)
    if random.Random(f"hidden rows {world.seed}").random() >= 0.1:
        # Where rows are hidden, each night fails, and shows little else.
        lists = [replace(plan, hidden=0) for plan in lists]
        world = replace(world, lists=tuple(lists))
    return _enlarged(world, chance) if chance.random() < 0.02 else world


def _of_another_kind(plan: ListPlan, chance: random.Random) -> ListPlan:
    """The list, in half of all cases with traits that the first draw does not know."""
    if chance.random() < 0.3:
        way = chance.choice(paging.OTHERS)
        size = 1_000_000 if way in paging.WHOLE else chance.choice((1, 2, 3, 5, 8, 100))
        plan = replace(plan, paging=way, size=size)
    if chance.random() < 0.2 and plan.key != "pair":
        plan = replace(plan, key=chance.choice(OTHER_KEYS))
    if chance.random() < 0.25:
        plan = replace(plan, version=chance.choice(OTHER_VERSIONS))
    if chance.random() < 0.1 and plan.paging not in paging.WHOLE:
        plan = replace(plan, asks=chance.choice((1, 2, 4, 50)))
    if chance.random() < 0.1 and plan.has_total:
        plan = replace(plan, hidden=chance.choice((1, 2, 30)))
    if chance.random() < 0.15 and not plan.has_status:
        unread = chance.choice(("list", "detail", "children"))
        plan = replace(plan, unread=frozenset({unread}))
    return replace(plan, typed=chance.random() < 0.1)


def _enlarged(world: World, chance: random.Random) -> World:
    """The world with some hundred to 5,000 rows in its first list."""
    first = world.lists[0]
    rows = int(LARGE * 50 ** chance.random())
    if any(plan.parent == first.name for plan in world.lists):
        rows = min(rows, 3 * LARGE)  # each row is a request a night
    size = first.size if first.paging in paging.WHOLE else chance.choice((50, 100, 500))
    # Without a limit of the day: a first sync that takes weeks of nights finds nothing new.
    large = replace(
        first, rows=rows, size=size, asks=None, has_detail=first.has_detail and rows <= 3 * LARGE
    )
    return replace(
        world,
        lists=(large, *world.lists[1:]),
        per_minute=0,
        per_day=0,
        segment_bytes=chance.choice((40_000, 1 << 28)),
    )
