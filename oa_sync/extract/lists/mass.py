"""How many deletions at once are too many to believe."""

SHARE = 1 / 5
FEW = 20
"""Rows of a list in which any share but all of them may go at once."""


def is_mass(gone: int, rows: int) -> bool:
    """Whether `gone` of `rows` are so many that a fault is likelier than deletions: all, or more than a
    share of more than a few."""
    return gone > 0 and (gone >= rows or (rows > FEW and gone > rows * SHARE))
