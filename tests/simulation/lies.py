"""Answers that look right and are not. Each takes a true document and gives what the server says instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.simulation.worlds import ListPlan

Document = dict[str, Any]
NO_DETAILS = "no details"
"""A route that answers 404 to everything for a night."""


def _empty_list(plan: ListPlan, page: Document) -> Document:
    return {**page, "data": [], **({"total": 0} if "total" in page else {}), **_no_next(page)}


def _empty_list_with_total(plan: ListPlan, page: Document) -> Document:
    return {**page, "data": [], **_no_next(page)}


def _first_half(plan: ListPlan, page: Document) -> Document:
    half = page["data"][: len(page["data"]) // 2]
    return {
        **page,
        "data": half,
        **({"total": len(half)} if "total" in page else {}),
        **_no_next(page),
    }


def _no_paging(plan: ListPlan, page: Document) -> Document:
    return {"data": page["data"]}


def _other_envelope(plan: ListPlan, page: Document) -> Document:
    return {"items": page["data"], "count": page.get("total")}


def _total_too_small(plan: ListPlan, page: Document) -> Document:
    return {**page, "total": len(page["data"])} if "total" in page else page


def _no_next(page: Document) -> Document:
    return {"next": None} if "next" in page else {}


LIES: dict[str, Callable[[ListPlan, Document], Document]] = {
    "empty list": _empty_list,
    "empty list with a total": _empty_list_with_total,
    "first half": _first_half,
    "no paging": _no_paging,
    "other envelope": _other_envelope,
    "total too small": _total_too_small,
}


def told(lie: str, plan: ListPlan, body: bytes) -> bytes:
    """The body of a page of `plan`, as the lie has it."""
    return json.dumps(LIES[lie](plan, json.loads(body)), ensure_ascii=False).encode()
