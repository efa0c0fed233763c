"""Which lists of parents a sync reads where the budget cannot pay for all of them.

Read in one order every day, the same parents would always come last, and never be reached. So the lists take turns:
where the budget or its share ended is remembered by the parent's key, and the next sync begins there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Turn:
    """Where the newest sync ended: with the list of the parent `next` still unread. It sent `pages` requests
    for the lists of so many `parents`."""

    next: str
    pages: int
    parents: int

    @classmethod
    def from_fact(cls, fact: Any) -> Turn | None:
        """Read back what `as_fact` wrote; None for anything else."""
        match fact:
            case {"next": str(key), "pages": int(pages), "parents": int(parents)}:
                return cls(key, pages, parents)
        return None

    def as_fact(self) -> dict[str, Any]:
        """A JSON value."""
        return asdict(self)


class Turns:
    """The lists of `parents` (keys, in the order of their list) in one sync. `allowed`: requests after which no
    further list is begun; None: all are read, from the first one on."""

    def __init__(self, parents: Sequence[str], before: Turn | None, allowed: int | None) -> None:
        self.allowed = allowed
        start = 0
        if before is not None and allowed is not None and before.next in parents:
            start = parents.index(before.next)
        self.order = [*parents[start:], *parents[:start]]
        """The keys as they are to be read."""
        self._read = 0

    def may_begin(self, pages: int) -> bool:
        """Whether the next list is read, after so many `pages` of others."""
        return self.allowed is None or not self._read or pages < self.allowed

    def end_one(self) -> None:
        """Take in that a list was read to its end."""
        self._read += 1

    def reached(self, pages: int) -> Turn | None:
        """Where the next sync has to begin, after so many `pages`; None: no list is left unread."""
        if self._read == len(self.order):
            return None
        return Turn(self.order[self._read], pages, self._read)


def requests_for(parents: int, before: Turn | None) -> int:
    """About how many requests the lists of so many `parents` take."""
    if before is None or not before.parents:
        return parents
    return -(-parents * max(before.pages, before.parents) // before.parents)
