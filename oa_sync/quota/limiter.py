"""What the client asks before it sends anything: may I, and when?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Limiter(Protocol):
    """Grants requests one by one and hears what the server says about them."""

    async def acquire(self) -> None:
        """Wait until one more request may be sent, and count it as sent.

        The count comes before the request, so that one that may have left is never forgotten.

        Raises:
            BudgetExhausted: no further request may be sent in this run.
        """

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Take in an answer's status and headers (`X-RateLimit-*`, `Retry-After`).

        Header names are looked up without regard to case. Called once for every answer, redirects
        and errors too, and before the body is read.
        """
