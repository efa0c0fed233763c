"""How many loaded ids a scan counts as absent, and when they are too many to be believed."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.scan import Scan
from tests.extract.moving_list import REPORTS
from tests.extract.test_scan_decisions import APPENDED, WITHOUT_KEY


def known(count: int, *, guessed: bool = False) -> dict[str, Known]:
    return {
        f"r{n}": Known("v", "h", "v", deleted=False, is_key_guessed=guessed) for n in range(count)
    }


def scan_of(
    loaded: int, shown: int, *, guessed: bool = False, strangers: int = 0, **state: Any
) -> Scan:
    """A finished scan that shows the first `shown` of `loaded` ids, and `strangers` beside them."""
    seen = {f"r{n}" for n in range(shown)} | {f"s{n}" for n in range(strangers)}
    of = {"resource": REPORTS, "finished": True, **state}
    return Scan(known=known(loaded, guessed=guessed), seen=seen, **of)


@pytest.mark.parametrize(
    ("loaded", "shown", "mass"),
    [(100, 100, False), (100, 80, False), (100, 79, True), (4, 1, False), (4, 0, True)],
)
def test_absent_ids_are_a_mass_where_they_are_more_than_deletions_are_believed_to_explain(
    loaded: int, shown: int, mass: bool
) -> None:
    assert scan_of(loaded, shown).is_mass_absent is mass


@pytest.mark.parametrize(
    "state",
    [{"finished": False}, {"rest_known": 1}, {"resource": APPENDED}],
    ids=["not read to the end", "stopped early", "rows that never go"],
)
def test_nothing_is_a_mass_where_absence_says_nothing(state: dict[str, Any]) -> None:
    assert not scan_of(100, 0, **state).is_mass_absent


def test_ids_that_were_known_to_be_deleted_are_not_counted() -> None:
    gone = {f"d{n}": Known("v", "h", "v", deleted=True) for n in range(900)}
    scan = Scan(REPORTS, known(100) | gone, {f"r{n}" for n in range(79)}, finished=True)
    assert scan.living == 100
    assert scan.is_mass_absent


@pytest.mark.parametrize(
    ("of", "guessed"), [(REPORTS, True), (WITHOUT_KEY, False), (WITHOUT_KEY, True)]
)
@pytest.mark.parametrize(
    ("shown", "strangers", "mass"),
    [
        (0, 100, False),
        (0, 80, False),
        (0, 79, True),
        (79, 0, True),
        (79, 1, False),
        # More rows than before: none of them can be missing.
        (0, 300, False),
    ],
)
def test_of_rows_whose_id_is_not_sure_only_the_number_counts(
    of: Any, guessed: bool, shown: int, strangers: int, mass: bool
) -> None:
    scan = scan_of(100, shown, guessed=guessed, strangers=strangers, resource=of)
    assert scan.is_mass_absent is mass


@pytest.mark.parametrize(
    ("unsure_shown", "strangers", "mass"),
    [(80, 0, False), (79, 0, True), (79, 21, False), (0, 90, False), (0, 89, True)],
)
def test_sure_ids_count_one_by_one_beside_the_number_of_the_others(
    unsure_shown: int, strangers: int, mass: bool
) -> None:
    """Ten of a hundred are absent for sure, and ten more may be before it is a mass."""
    unsure = {f"u{n}": one for n, one in enumerate(known(90, guessed=True).values())}
    seen = {f"u{n}" for n in range(unsure_shown)} | {f"s{n}" for n in range(strangers)}
    scan = Scan(REPORTS, known(10) | unsure, seen, finished=True)
    assert scan.is_mass_absent is mass


@pytest.mark.parametrize(("sure_shown", "mass"), [(10, False), (9, True)])
def test_more_rows_than_before_hide_no_sure_id_that_is_absent(sure_shown: int, mass: bool) -> None:
    """Twenty and twenty-one of a hundred are absent for sure, and others have come."""
    unsure = {f"u{n}": one for n, one in enumerate(known(70, guessed=True).values())}
    seen = {f"r{n}" for n in range(sure_shown)} | {f"s{n}" for n in range(150)}
    scan = Scan(REPORTS, known(30) | unsure, seen, finished=True)
    assert scan.is_mass_absent is mass


# -- its own total ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finished", "total", "more"),
    [(True, 2, True), (True, 3, False), (True, 4, False), (True, None, False), (False, 2, False)],
)
def test_a_list_shows_more_than_its_total_says_only_when_it_was_read_to_the_end(
    finished: bool, total: int | None, more: bool
) -> None:
    assert scan_of(3, 3, finished=finished, total=total).shows_more is more


@pytest.mark.parametrize(
    ("total", "copies", "fits"),
    [
        (3, 0, True),
        (3, 2, True),
        (5, 2, True),
        (4, 2, False),
        (1, 2, False),
        (5, 0, False),
        (None, 0, False),
    ],
)
def test_a_total_counts_the_distinct_rows_or_the_copies_too(
    total: int | None, copies: int, fits: bool
) -> None:
    assert scan_of(3, 3, total=total, copies=copies).fits_total is fits


@pytest.mark.parametrize("proven", [False, None])
def test_an_id_is_not_gone_where_its_parent_may_have_been_missed(proven: bool | None) -> None:
    scan = scan_of(3, 2, parents_proven=proven)
    assert not scan.is_complete
    assert scan.gone() == []
