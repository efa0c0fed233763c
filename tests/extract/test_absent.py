"""Which ids that were not seen are asked for by their detail."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.absent import (
    MOST_ASKED,
    may_be_asked,
    to_catch_up,
    to_confirm,
    to_sample,
)
from oa_sync.extract.lists.changes import Change, Known, Listed
from oa_sync.extract.lists.scan import Pending, Scan
from oa_sync.journal.items import key_of

DEFINED: dict[str, Any] = {
    "name": "reports",
    "endpoint": {"path": "reports"},
    "primary_key": ["tenant", "id"],
    "detail": {"path": "tenants/{tenant}/reports/{id}"},
}


def resource(**words: Any) -> Resource:
    return Resource.model_validate({**DEFINED, **words})


@pytest.mark.parametrize(
    ("words", "may"),
    [
        ({}, True),
        ({"detail": {"path": "reports/{id}"}}, True),
        ({"detail": {"path": "reports/{id}/{name}"}}, False),
        ({"detail": None}, False),
        ({"write_disposition": "append"}, False),
        ({"primary_key": [], "detail": {"path": "newest"}}, False),
    ],
    ids=["all", "a part of the key", "another field", "no detail", "append", "no key"],
)
def test_an_id_is_asked_for_where_its_key_is_all_that_the_detail_needs(
    words: dict[str, Any], may: bool
) -> None:
    assert may_be_asked(resource(**words)) is may


def scan_of(count: int = 1, **state: Any) -> Scan:
    """A scan that saw none of `count` loaded ids and does not prove them gone."""
    known = {key_of(("acme", n)): Known(f"v{n}", "h", f"v{n}", deleted=False) for n in range(count)}
    return Scan(
        state.pop("resource", resource()), known, **{"finished": True, "proven": False, **state}
    )


@pytest.mark.parametrize(
    "state", [{"finished": False}, {"proven": True}, {"resource": resource(detail=None)}]
)
def test_nothing_is_asked_for_where_the_scan_was_cut_or_proves_it_or_there_is_no_detail(
    state: dict[str, Any],
) -> None:
    assert to_confirm(scan_of(**state)) == {}
    assert len(to_confirm(scan_of())) == 1


def test_no_more_than_a_hundred_ids_are_asked_for() -> None:
    assert MOST_ASKED == 100
    assert len(to_confirm(scan_of(MOST_ASKED))) == MOST_ASKED
    assert len(to_confirm(scan_of(MOST_ASKED + 1))) == MOST_ASKED


@pytest.mark.parametrize(
    ("count", "asked"),
    [
        (1, [0]),
        (2, [0, 1]),
        (3, [0, 1, 2]),
        (4, [0, 1, 3]),
        (5, [0, 2, 4]),
        (101, [0, 50, 100]),
    ],
)
def test_three_ids_from_the_start_the_middle_and_the_end_are_asked_for_of_a_list_in_doubt(
    count: int, asked: list[int]
) -> None:
    scan = scan_of(count)
    assert list(to_sample(scan)) == [key_of(("acme", n)) for n in asked]
    assert all(pending.wants_detail for pending in to_sample(scan).values())


def test_no_id_is_asked_for_of_a_list_in_doubt_without_detail() -> None:
    assert to_sample(scan_of(5, resource=resource(detail=None))) == {}


FOLLOWED = {"path": "status", "terminal": ["done"]}


def waiting(**state: Any) -> Scan:
    """A scan that saw none of three rows, of which the first waits for its detail."""
    scan = scan_of(3, **state)
    scan.known = {
        key: Known(one.version, "h", "older" if number == 0 else one.version, deleted=False)
        for number, (key, one) in enumerate(scan.known.items())
    }
    return scan


def test_a_row_that_waits_for_its_detail_and_was_not_read_is_asked_for() -> None:
    (key,) = to_catch_up(waiting())
    assert key == key_of(("acme", 0))


def test_a_row_that_was_seen_or_is_asked_for_anyway_is_not_asked_for_once_more() -> None:
    key = key_of(("acme", 0))
    assert to_catch_up(waiting(seen={key})) == {}
    entry = Listed(key, ("acme", 0), "v", "h", full=False)
    pending = {key: Pending(entry, Change.CHANGED, None, b"", wants_detail=True)}
    assert to_catch_up(waiting(pending=pending)) == {}


@pytest.mark.parametrize(
    "words",
    [{"detail": None}, {"status": FOLLOWED}, {"detail": None, "status": FOLLOWED}],
    ids=["no detail", "followed", "neither"],
)
def test_no_row_is_asked_for_that_has_no_detail_or_is_followed(words: dict[str, Any]) -> None:
    assert to_catch_up(waiting(resource=resource(**words))) == {}


def test_what_is_asked_for_is_a_row_of_its_key_alone_that_is_written_again_when_it_is_seen() -> (
    None
):
    ((key, pending),) = to_confirm(scan_of()).items()
    assert pending.listed.row == {"tenant": "acme", "id": "0"}
    assert pending.listed.key_values == ("acme", "0")
    assert (pending.listed.key, pending.listed.version, pending.listed.row_hash) == (key, "v0", "")
    assert (pending.change, pending.raw) == (Change.UNCHANGED, b"")
    assert pending.wants_detail
    assert not pending.listed.full
    assert pending.known == Known("v0", "h", "v0", deleted=False)


def test_an_id_loaded_without_a_version_is_asked_for_too() -> None:
    scan = scan_of()
    scan.known = {key_of((1, 2)): Known(None, None, None, deleted=False)}
    (pending,) = to_confirm(scan).values()
    assert pending.listed.version == ""
