"""How rows that cannot be taken are named."""

from __future__ import annotations

import pytest

from oa_sync.extract.set_aside import SetAside, told

ROWS = [
    SetAside("page 2, row 7", None, "no id"),
    SetAside("page 3, row 1", "r7", "not JSON"),
    *(SetAside(f"page 4, row {row}", None, "no id") for row in range(1, 1_200)),
]


def test_a_row_is_named_by_its_place_by_its_key_if_it_has_one_and_by_the_reason() -> None:
    assert str(ROWS[0]) == "page 2, row 7: no id"
    assert str(ROWS[1]) == "page 3, row 1 (r7): not JSON"
    assert ROWS[0].as_json() == {"where": "page 2, row 7", "key": None, "reason": "no id"}


@pytest.mark.parametrize(
    ("count", "others"), [(1, ""), (2, ", and 1 more"), (1_201, ", and 1,200 more")]
)
def test_the_error_names_the_first_row_and_counts_the_others(count: int, others: str) -> None:
    error = told("reports", ROWS[:count])
    assert str(error).startswith(f"reports: page 2, row 7: no id{others}; set aside")
    assert error.code == "set_aside"
    assert not error.retry
