"""What a scan needs of the lists it reads (see `oa_sync.client.paging`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Protocol


class ListPage(Protocol):
    """One page of a list, as it was read."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The decoded rows."""

    @property
    def total(self) -> int | None:
        """The row count that the server claims for the whole list."""

    @property
    def start(self) -> int | None:
        """Rows before this page; None where pages are not read by position."""

    @property
    def is_last(self) -> bool:
        """Whether the list ended with this page when it was read."""

    @property
    def received_at(self) -> datetime:
        """This machine's time of the answer."""

    @property
    def server_date(self) -> datetime | None:
        """The server's time of the answer."""

    def raw_rows(self) -> list[bytes]:
        """The exact bytes of each row, in the order of `rows`."""


class OpenList(Protocol):
    """A list that can be read from its start, and across the seam of two of its pages.

    Both raise `BudgetExhausted` and `ApiError`.
    """

    def pages(self, *, ahead: bool) -> AsyncGenerator[ListPage, None]:
        """All pages in order; `ahead`: several at once, where that is possible."""

    async def across(self, left: Any, right: Any) -> Sequence[ListPage]:
        """Pages of which the last one spans the seam between two pages of this list (`right` None:
        its end); empty where this list cannot be read like that."""
