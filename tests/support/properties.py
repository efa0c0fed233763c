"""How many examples a property is tried with."""

from __future__ import annotations

from hypothesis import settings


def examples(usual: int) -> settings:
    """Settings of a property with dearer or cheaper examples than most: `usual` where others have 100.

    The profile (`tests/conftest.py`) says how many the others have, so it scales these as well.
    """
    return settings(max_examples=max(1, settings.default.max_examples * usual // 100))
