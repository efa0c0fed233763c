"""The numbers of one resource in one sync, and what a person should look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from oa_sync.errors import OaSyncError
from oa_sync.extract.set_aside import SetAside
from oa_sync.process_wide import shown


@dataclass(frozen=True)
class Warned:
    """Something that a person should look at though the sync goes on. `code` is one of a few words, for
    programs; `message` is for people."""

    code: str
    message: str

    def __post_init__(self) -> None:
        # A server can put a secret that it was sent into keys, which are named here.
        object.__setattr__(self, "message", shown(self.message))


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
    total: int | None = None
    """The rows of the list as the list itself says; None: it does not say."""
    errors: list[OaSyncError] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    read_at: datetime | None = None
    """The server's time when reading of the list began; None where it was not read to its end."""
    missing: bool = False
    """The endpoint is optional and not there."""
