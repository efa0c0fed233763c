"""The numbers of one resource in one sync."""

from __future__ import annotations

from dataclasses import dataclass, field

from oa_sync.errors import OaSyncError


@dataclass
class Tally:
    """What one extraction did to one resource; the numbers of `sync --json`."""

    listed: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    details_fetched: int = 0
    backlog: int = 0
    errors: list[OaSyncError] = field(default_factory=list)
    missing: bool = False
    """The endpoint is optional and not there."""
