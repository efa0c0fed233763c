"""A limiter without limits."""

from __future__ import annotations

from collections.abc import Mapping


class Unlimited:
    """Grants everything at once and only counts."""

    def __init__(self) -> None:
        self.granted = 0
        self.statuses: list[int] = []

    async def acquire(self) -> None:
        """Count one request."""
        self.granted += 1

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Remember the status."""
        self.statuses.append(status)
