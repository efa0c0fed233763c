"""Rows that cannot be taken: each is named and left out, and everything else goes on.

A row without a readable key is in the list all the same. So it counts as seen, and its list proves no
deletion: it may be any of the rows that are loaded.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

from oa_sync.client.wording import NAME_TEXT, printable
from oa_sync.errors import OaSyncError

SHOWN = 20
"""Rows of one resource that reports name; the others are counted."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """One row that was left out. `where`: its place in what was read (`page 2, row 7`); `key`: None where
    it could not be read; `reason`: why it cannot be taken."""

    where: str
    key: str | None
    reason: str

    def as_json(self) -> dict[str, str | None]:
        """The row as reports show it."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.where}{f' ({printable(self.key, NAME_TEXT)})' if self.key else ''}: {self.reason}"


class SetAsideError(OaSyncError):
    """Some rows of a resource could not be taken; the others are loaded."""

    code = "set_aside"
    retry = False


def told(resource: str, rows: Collection[SetAside]) -> SetAsideError:
    """The error that tells of `rows`, at least one."""
    first = next(iter(rows))
    others = f", and {len(rows) - 1:,} more" if len(rows) > 1 else ""
    return SetAsideError(
        f"{resource}: {first}{others}; set aside, and all other rows are loaded. They are read again in each"
        " sync; `oa-sync status` lists them. Have them mended at the source"
    )
