"""The lists of parents that are read later, taken into the scan of the others."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.extract.lists.scan import Scan
from tests.extract.test_scan_decisions import OF_PARENTS, page, row


def of_parent(key: str, **state: Any) -> Scan:
    """A scan of the list of one parent, with one row."""
    scan = Scan(OF_PARENTS, {}, finished=True, of_parent={key: 1}, **state)
    scan.add(page({**row(key), f"only_{key}": 1}, {"name": f"odd {key}"}))
    scan.lists_missing.add(f"missing {key}")
    return scan


def test_what_the_lists_of_further_parents_showed_is_taken_in() -> None:
    scan, more = of_parent("a", rows={}), of_parent("b", rows={})
    both = [one.list_keys for one in (scan, more)]
    scan.take_in(more)
    assert scan.pending.keys() == (scan.rows or {}).keys() == {"a", "b"}
    assert scan.seen == {"a", "b", *scan.set_aside}
    assert len(scan.set_aside) == 2
    assert scan.list_keys == set.union(*both) > both[1]
    assert scan.of_parent == {"a": 1, "b": 1}
    assert scan.lists_missing == {"missing a", "missing b"}
    assert scan.finished is scan.proven is True


def test_rows_that_were_not_kept_of_further_parents_are_none() -> None:
    kept, plain = of_parent("a", rows={}), of_parent("a")
    kept.take_in(of_parent("b"))
    plain.take_in(of_parent("b", rows={}))
    assert list(kept.rows or {}) == ["a"]
    assert plain.rows is None


@pytest.mark.parametrize("word", ["finished", "proven"])
@pytest.mark.parametrize(("one", "other"), [(True, False), (False, True), (False, False)])
def test_lists_are_read_and_proven_where_all_of_them_are(word: str, one: bool, other: bool) -> None:
    scan, more = of_parent("a"), of_parent("b")
    setattr(scan, word, one)
    setattr(more, word, other)
    scan.take_in(more)
    assert getattr(scan, word) is False
