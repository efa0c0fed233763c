"""Which ids that were not seen are asked for by their detail."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.absent import MOST_ASKED, may_be_asked, to_confirm
from oa_sync.extract.lists.changes import Change, Known
from oa_sync.extract.lists.scan import Scan
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
