"""How many deletions at once are too many to believe."""

from __future__ import annotations

import pytest

from oa_sync.extract.lists.mass import FEW, is_mass


@pytest.mark.parametrize(
    ("gone", "rows", "too_many"),
    [
        (0, 0, False),
        (0, 1_000, False),
        (1, 1, True),
        (1, 2, False),
        (FEW - 1, FEW, False),
        (FEW, FEW, True),
        (FEW, FEW - 1, True),
        (4, FEW + 1, False),
        (5, FEW + 1, True),
        (200, 1_000, False),
        (201, 1_000, True),
    ],
)
def test_all_rows_or_over_a_fifth_of_more_than_a_few_are_too_many(
    gone: int, rows: int, too_many: bool
) -> None:
    assert is_mass(gone, rows) is too_many
