"""Answers that look right and are not.

What a lie `raises` is the harm that it does today: worlds in which it is told raise these alarms, and no others.
Who mends that takes them out. Most that are left cannot be seen through by anybody: docs/simulation.md says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.simulation.source import Key
from tests.simulation.worlds import ListPlan

Document = dict[str, Any]
_ODD = "\ufffc odd \ufffc"
"""Stands for an odd value until the answer is written."""


def _as_it_is(page: Document) -> Document:
    return page


@dataclass(frozen=True)
class Lie:
    """What the server says of one list instead of the truth."""

    raises: frozenset[str]
    """Kinds of alarms."""
    page: Callable[[Document], Any] = _as_it_is
    """Takes a true page. One without rows is the last one."""
    list_status: int = 200
    detail_status: int = 200
    is_stale: bool = False
    """The list is that of two nights before."""
    details_are_stale: bool = False
    same_detail: bool = False
    """Every detail is that of the first row."""
    odd: bytes = b""
    """The JSON of a value in the first row of the list."""
    odd_in_detail: bool = False
    """It is in the detail instead."""
    null_key: bool = False
    """The first row of the list has no id."""
    needs: Callable[[ListPlan], bool] = lambda plan: plan.rows > 1
    """Lists of which it can be told."""
    seldom: frozenset[str] = frozenset()
    """More that it raises, in one of thousands of worlds: too seldom for a test to wait for."""


def _last(page: Document) -> Document:
    """The page, with nothing that leads to another one."""
    changed = {**page, **{name: None for name in ("next", "next_cursor") if name in page}}
    return {
        **changed,
        **({"links": {"next": None}} if "links" in page else {}),
        **({"more": False} if "more" in page else {}),
    }


def _with_total(page: Document, total: int) -> Document:
    return {**page, "total": total} if "total" in page else page


def _empty(page: Document) -> Document:
    return _last({**_with_total(page, 0), "data": []})


def _half(page: Document) -> Document:
    half = page["data"][: len(page["data"]) // 2]
    return _last({**_with_total(page, len(half)), "data": half})


def _only(page: Document, *names: str) -> Document:
    return {name: value for name, value in page.items() if name in names}


def _has_pages(plan: ListPlan) -> bool:
    return plan.rows > plan.size


def _has_total(plan: ListPlan) -> bool:
    return plan.has_total and plan.rows > 1


def _has_counted_pages(plan: ListPlan) -> bool:
    return plan.has_total and plan.rows > max(plan.size, 6)


def _has_rows(plan: ListPlan) -> bool:
    """A list without any key is the definition's fault, and fails."""
    return plan.rows > 1


def _has_details(plan: ListPlan) -> bool:
    return plan.has_detail and plan.rows > 1


def _nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


_NONE = frozenset[str]()
_HIDES = frozenset({"complete, without a row"})
_LOSES = _HIDES | {"a living row is deleted"}
_OLD = frozenset({"a living row is deleted", "complete, without the event of a status"})
_ALIVE = frozenset({"complete, with a row that is gone untold"})
"""A detail answers for a row that is gone: it counts as alive."""
_MIXED = frozenset(
    {
        "complete, with an old field",
        "complete, with other children",
        "complete, with the detail of an earlier change that day",
    }
)

LIES: dict[str, Lie] = {
    # Lists that are empty, or cut.
    "empty list": Lie(_HIDES, _empty),
    # Where the list tells no total after all, and no row of it is loaded, it is an empty list as any other.
    "empty list with a total": Lie(
        _NONE, lambda page: _last({**page, "data": []}), needs=_has_total, seldom=_HIDES
    ),
    "null for a list": Lie(_HIDES, lambda page: _last({**_with_total(page, 0), "data": None})),
    "first half": Lie(_LOSES, _half),
    # Totals that a server in good faith may tell: counted to a bound, or before the last change.
    "total too small": Lie(
        _LOSES, lambda page: _with_total(page, len(page["data"])), needs=_has_counted_pages
    ),
    "total counted to 5": Lie(
        _LOSES,
        lambda page: _with_total(page, min(5, page.get("total", 0))),
        needs=_has_counted_pages,
    ),
    "total 0": Lie(_NONE, lambda page: _with_total(page, 0), needs=_has_counted_pages),
    "total one short": Lie(
        _LOSES,
        lambda page: _with_total(page, max(0, page.get("total", 0) - 1)),
        needs=_has_counted_pages,
    ),
    "total one over": Lie(
        _NONE, lambda page: _with_total(page, page.get("total", 0) + 1), needs=_has_counted_pages
    ),
    "no total": Lie(
        _NONE,
        lambda page: {k: v for k, v in page.items() if k != "total"},
        needs=_has_counted_pages,
    ),
    # Fields that are missing, or called otherwise.
    # Some kinds of links are left out at the end by their own rules; then it is a list that was cut.
    "no paging": Lie(_HIDES, lambda page: _only(page, "data"), needs=_has_pages, seldom=_LOSES),
    "no next": Lie(
        _HIDES,
        lambda page: _only(page, "data", "total", "page", "total_pages"),
        needs=_has_pages,
        seldom=_LOSES,
    ),
    "other envelope": Lie(_NONE, lambda page: {"items": page["data"], "count": page.get("total")}),
    "other dialect": Lie(
        _NONE, lambda page: {"success": True, "data": {"items": page["data"]}, "pagination": {}}
    ),
    "an error with 200": Lie(_NONE, lambda page: {"error": {"message": "try again later"}}),
    # Routes that are broken.
    "no details": Lie(_NONE, detail_status=404, needs=_has_details),
    # A list of a parent that was empty before may answer 404.
    "no list": Lie(_NONE, list_status=404, seldom=_HIDES),
    "one detail for all": Lie(_MIXED, same_detail=True, needs=_has_details, seldom=_ALIVE),
    # Replicas that are behind.
    "stale list": Lie(_OLD, is_stale=True),
    "stale replica": Lie(_OLD, is_stale=True, details_are_stale=True, seldom=_ALIVE),
    "stale details": Lie(_MIXED, details_are_stale=True, needs=_has_details, seldom=_ALIVE),
    # Values that are odd.
    "half a character": Lie(_NONE, odd=rb'"cut \ud83d"'),
    "half a character in a detail": Lie(
        _NONE, odd=rb'"cut \ud83d"', odd_in_detail=True, needs=_has_details
    ),
    "NaN": Lie(_NONE, odd=b"NaN"),
    "NaN in a detail": Lie(_NONE, odd=b"NaN", odd_in_detail=True, needs=_has_details),
    "a number beyond 64 bits": Lie(_NONE, odd=b"123456789012345678901234567890"),
    "300 lists deep": Lie(_NONE, odd=_nested(300)),
    "1,100 lists deep": Lie(_NONE, odd=_nested(1_100)),
    "no id": Lie(_NONE, null_key=True, needs=_has_rows),
}

FIRST = (
    "empty list",
    "empty list with a total",
    "first half",
    "no paging",
    "other envelope",
    "total too small",
    "no details",
)
"""In the order in which the first seeds drew them."""


@dataclass
class Teller:
    """Tells the lie `name` about the list `plan`."""

    name: str
    plan: ListPlan

    def __post_init__(self) -> None:
        self.lie = LIES[self.name]
        self.odd_rows: set[tuple[str, Key]] = set()
        """(list, key) of rows that had an odd value."""

    @property
    def is_odd(self) -> bool:
        """Whether one row is odd, and all else is true."""
        return bool(self.lie.odd) or self.lie.null_key

    def is_stale(self, plan: ListPlan, *, detail: bool = False) -> bool:
        """Whether what is told of `plan` is from two nights before."""
        stale = self.lie.details_are_stale if detail else self.lie.is_stale
        return stale and plan.name == self.plan.name

    def page(self, plan: ListPlan, document: Document, *, is_first: bool) -> tuple[int, Any]:
        """Status and document for a true page of `plan`."""
        if plan.name != self.plan.name:
            return 200, document
        if self.lie.list_status != 200:
            return self.lie.list_status, {"error": {"message": "there is none"}}
        if is_first and document["data"]:
            rows = list(document["data"])
            if self.lie.odd and not self.lie.odd_in_detail:
                rows[0] = self._odd(rows[0], note=_ODD)
            if self.lie.null_key:
                rows[0] = self._odd(rows[0], id=None)
            document = {**document, "data": rows}
        return 200, self.lie.page(document)

    def detail(
        self, plan: ListPlan, first: Document | None, true: Document | None
    ) -> tuple[int, Document | None]:
        """Status and document for the detail `true`; `first` is that of the first row."""
        if plan.name != self.plan.name or true is None:
            return (404 if true is None else 200), true
        if self.lie.detail_status != 200:
            return self.lie.detail_status, None
        if self.lie.odd_in_detail and true == first:
            return 200, self._odd(true, note=_ODD)
        return 200, first if self.lie.same_detail else true

    def written(self, body: bytes) -> bytes:
        """The body, with the odd value as it is."""
        return body.replace(f'"{_ODD}"'.encode(), self.lie.odd) if self.lie.odd else body

    def _odd(self, row: Document, **changed: Any) -> Document:
        self.odd_rows.add((self.plan.name, tuple(row[name] for name in self.plan.key_fields)))
        return {**row, **changed}


def harm_of(lies: Iterable[str]) -> frozenset[str]:
    """The alarms that are to be expected of a world in which `lies` were told ('': none)."""
    return frozenset().union(*(LIES[lie].raises | LIES[lie].seldom for lie in lies if lie))
