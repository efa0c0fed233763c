"""What a scan needs of the lists it reads (see `oa_sync.client.paging`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from oa_sync.client.paging import Place


class ListPage(Protocol):
    """One page of a list, as it was read."""

    @property
    def rows(self) -> Sequence[Any]:
        """The decoded rows, mostly objects. Each iteration may decode them again."""

    @property
    def total(self) -> int | None:
        """The number of rows that the server claims for the whole list."""

    @property
    def place(self) -> Place:
        """Where the page stood in the list, and when."""

    def raw_rows(self) -> list[bytes]:
        """The exact bytes of each row, in the order of `rows`."""


class OpenList(Protocol):
    """A list that can be read from its start, and across the seam of two of its pages.

    Both raise `BudgetExhausted` and `ApiError`.
    """

    @property
    def without_total(self) -> str:
        """Its paginator in the words of a definition, so that no total is believed."""

    def pages(self, *, ahead: bool) -> AsyncGenerator[ListPage, None]:
        """All pages in order; `ahead`: several at once, where that is possible."""

    async def across(self, left: Place, right: Place | None) -> Sequence[ListPage]:
        """Pages around the seam between two pages of this list (`right` None: its end); the last one
        spans the seam. Empty where this list cannot be read like that."""
