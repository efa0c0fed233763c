"""What the status of a row is, and when it says that the row has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.extract.statuses import fields_of, has_ended, is_followed, is_terminal, status_of
from oa_sync.journal.items import Item, Kind

DEFINED: dict[str, Any] = {
    "name": "runs",
    "endpoint": {"path": "runs"},
    "primary_key": ["id"],
    "status": {"path": "state.name", "terminal": ["completed", "7", "true"]},
}
RUNS = Resource.model_validate(DEFINED)
WITHOUT_STATUS = Resource.model_validate({**DEFINED, "status": None})


@pytest.mark.parametrize(
    ("words", "followed"),
    [
        ({}, True),
        ({"status": None}, False),
        ({"primary_key": []}, False),
        ({"write_disposition": "append"}, False),
    ],
    ids=["status and key", "no status", "no key", "append"],
)
def test_rows_are_followed_that_have_a_status_and_a_key(
    words: dict[str, Any], followed: bool
) -> None:
    assert is_followed(Resource.model_validate({**DEFINED, **words})) is followed


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("running", "running"),
        ("", ""),
        (7, "7"),
        (True, "true"),
        (None, None),
        ({}, None),
        (["running"], None),
    ],
)
def test_any_scalar_is_a_status_as_text(value: Any, status: str | None) -> None:
    assert status_of(RUNS, {"state": {"name": value}}) == status


def test_a_row_without_the_field_has_no_status() -> None:
    assert status_of(RUNS, {"state": {}}) is None
    assert status_of(RUNS, {}) is None


@pytest.mark.parametrize(
    ("status", "terminal"), [("completed", True), ("7", True), ("running", False), (None, False)]
)
def test_only_the_declared_statuses_are_terminal(status: str | None, terminal: bool) -> None:
    assert is_terminal(RUNS, status) is terminal


def test_nothing_is_terminal_where_no_status_is_declared() -> None:
    assert not is_terminal(WITHOUT_STATUS, "completed")


def test_a_detail_has_ended_by_the_status_in_its_own_body() -> None:
    def detail(name: str) -> Item:
        document = SimpleNamespace(fields={"state": {"name": name}})
        at = datetime(2026, 3, 2, tzinfo=UTC)
        return Item(Kind.DETAIL, "runs", "r", at, row=b"{}", document=document)

    assert has_ended(RUNS, detail("completed"))
    assert not has_ended(RUNS, detail("running"))
    assert fields_of(detail("x")) == {"state": {"name": "x"}}


def test_an_item_without_a_document_shows_no_fields_and_has_not_ended() -> None:
    item = Item(Kind.ROW, "runs", "r", datetime(2026, 3, 2, tzinfo=UTC))
    assert fields_of(item) == {}
    assert not has_ended(RUNS, item)
