"""What the server saw: the numbers that tests and benchmarks compare with a sync's report."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

LOG_LENGTH = 200_000


class LogEntry(NamedTuple):
    """One request under /v1: when (by the emulator's clock), method and path with query."""

    time: datetime
    method: str
    path: str


@dataclass(slots=True)
class Counters:
    """Requests under /v1 since the start or the last reset.

    total: all of them, refused ones included. by_route: by (method, path template). by_status: by
    the status answered. over_limit: refused because a limit was reached; a client that knows its
    quota keeps this at 0. details: requests for details, by id. downloads: requests for exported
    files, which are outside /v1 and in no other number. log: the last requests in order.
    """

    total: int = 0
    over_limit: int = 0
    downloads: int = 0
    by_route: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_status: Counter[int] = field(default_factory=Counter)
    details: Counter[str] = field(default_factory=Counter)
    log: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))

    def reset(self) -> None:
        """Start again from nothing."""
        self.total = self.over_limit = self.downloads = 0
        for counter in (self.by_route, self.by_status, self.details, self.log):
            counter.clear()

    def as_json(self) -> dict[str, Any]:
        """Everything but the log, with string keys."""
        return {
            "total": self.total,
            "over_limit": self.over_limit,
            "downloads": self.downloads,
            "by_route": {f"{method} {path}": n for (method, path), n in self.by_route.items()},
            "by_status": {str(status): n for status, n in self.by_status.items()},
            "details": dict(self.details),
        }
