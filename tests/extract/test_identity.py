"""Whether the answer to a request for a detail is about the row that was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.errors import InvalidResponseError
from oa_sync.extract.details.identity import DetailIdentity
from tests.deletions.deciding import Remembered
from tests.extract.fetching import resource, task

OWN, OTHER = {"id": "a", "name": "x"}, {"id": "b", "name": "x"}


def _checked(identity: DetailIdentity, *answers: dict[str, Any]) -> None:
    for fields in answers:
        identity.check(task("a"), fields)


def test_a_detail_of_another_row_is_refused_where_details_have_the_key_of_their_row() -> None:
    """As from a cache that gives one answer for all, in this sync or in a later one."""
    facts = Remembered()
    _checked(DetailIdentity(facts), OWN)
    for identity in (DetailIdentity(facts), DetailIdentity(facts)):
        with pytest.raises(InvalidResponseError, match="is about another row, b"):
            _checked(identity, OTHER)
        _checked(identity, OWN)


def test_details_may_have_an_id_of_their_own() -> None:
    """Nor does one that is equal by chance say otherwise."""
    facts = Remembered()
    _checked(DetailIdentity(facts), OTHER, OWN, OTHER)
    _checked(DetailIdentity(facts), OTHER)


def test_an_agent_run_may_show_another_id_than_it_is_asked_by() -> None:
    runs = resource("runs", status={"path": "status", "terminal": ["completed"]})
    identity = DetailIdentity(Remembered())
    identity.check(task("a", runs), OWN)
    identity.check(task("a", runs), OTHER)


@pytest.mark.parametrize("first", [OWN, OTHER], ids=["of the row", "of the detail"])
def test_a_detail_without_a_key_is_refused_where_one_had_a_key(first: dict[str, Any]) -> None:
    identity = DetailIdentity(Remembered())
    _checked(identity, {"name": "x"})
    _checked(identity, first)
    with pytest.raises(InvalidResponseError, match="has no id; its keys are name"):
        _checked(identity, {"name": "x"})


def test_what_was_remembered_before_the_kind_of_key_was_is_learned_anew() -> None:
    facts = Remembered()
    facts.set_fact("details_have_key", task("a").resource, value=True)
    with pytest.raises(InvalidResponseError, match="has no id"):
        _checked(DetailIdentity(facts), {"name": "x"})
    _checked(DetailIdentity(facts), OWN)
    with pytest.raises(InvalidResponseError, match="another row"):
        _checked(DetailIdentity(facts), OTHER)
