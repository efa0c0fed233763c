"""What is remembered of lists that show the latest change first, from one sync to the next."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from oa_sync.clock import Clock, instant_of
from oa_sync.definitions.model import Resource
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.early_stop import EarlyStop, is_eligible
from oa_sync.extract.lists.scan import Scan
from oa_sync.journal.items import Item, Kind

FULL_SCAN_DAYS = 7


class ListFacts(Protocol):
    """Where facts are kept (see `oa_sync.workspace.connection.Connection`); they may get lost at any time."""

    def recall(self, resource: Resource) -> Any:
        """The fact kept for `resource` with this destination, a JSON value; None if there is none."""

    def remember(self, resource: Resource, fact: Any) -> None:
        """Keep `fact`; None forgets."""


@dataclass(frozen=True)
class LearnedOrder:
    """The versions of a list were seen to fall from row to row.

    The scan that began at `since` (the server's time) left rows with this `digest`. The list was read to
    its end at `read_whole_at` (this machine's time), and its rows have the keys `list_keys`.
    `by_change`: its order was seen to be that of the latest change.
    """

    since: datetime
    read_whole_at: datetime
    digest: str
    list_keys: tuple[str, ...]
    by_change: bool

    @classmethod
    def from_fact(cls, fact: Any) -> LearnedOrder | None:
        """Read back what `to_fact` wrote; None for anything else."""
        try:
            since, read_at = instant_of(fact["since"]), instant_of(fact["read_whole_at"])
            digest, keys = str(fact["digest"]), tuple(map(str, fact["list_keys"]))
            by_change = fact["by_change"] is True
        except (TypeError, KeyError):
            return None
        return cls(since, read_at, digest, keys, by_change) if since and read_at else None

    def to_fact(self) -> dict[str, Any]:
        """A JSON value."""
        times = {"since": self.since.isoformat(), "read_whole_at": self.read_whole_at.isoformat()}
        return {**asdict(self), **times, "list_keys": list(self.list_keys)}


class OrderMemory:
    """Says for each list whether its reading may stop early, and remembers what a scan showed.

    `full_scan_days`: after this many days a list is read to its end, whatever is remembered.
    """

    def __init__(
        self, store: ListFacts, clock: Clock, *, full_scan_days: float = FULL_SCAN_DAYS
    ) -> None:
        self._store, self._clock = store, clock
        self._full_scan_after = timedelta(days=full_scan_days)
        self._learned: dict[str, LearnedOrder] = {}
        self._written: defaultdict[str, dict[str, str | None]] = defaultdict(dict)

    def early_stop(self, scan: Scan) -> EarlyStop | None:
        """What may end `scan` before its last page; None: it has to read them all."""
        resource = scan.resource
        if scan.rows is not None or not is_eligible(resource):
            return None
        learned = LearnedOrder.from_fact(self._store.recall(resource))
        if learned is None:
            return None
        self._learned[resource.name] = learned
        if learned.digest != digest_of(versions_of(scan.known)):
            return None
        scan.order.fell_at = learned.since
        now = self._clock.now()
        is_due = not learned.read_whole_at <= now < learned.read_whole_at + self._full_scan_after
        if is_due or not learned.by_change:
            return None
        scan.list_keys.update(learned.list_keys)
        return EarlyStop(scan.known, learned.since)

    def note(self, item: Item) -> None:
        """Take in what is going to be loaded."""
        gone = item.kind is Kind.GONE
        self._written[item.resource][item.key] = None if gone else item.version

    def conclude(self, scan: Scan) -> None:
        """Remember what `scan` showed; call it when all its items are noted."""
        resource = scan.resource
        if scan.rows is not None or not is_eligible(resource) or not scan.finished:
            return
        learned = self._learned_from(scan)
        if learned is None:
            self._store.remember(resource, None)
            return
        versions = {**versions_of(scan.known), **self._written[resource.name]}
        self._store.remember(resource, replace(learned, digest=digest_of(versions)).to_fact())

    def _learned_from(self, scan: Scan) -> LearnedOrder | None:
        """What is known of the order now, without the digest."""
        before = self._learned.get(scan.resource.name)
        if scan.since is None or not scan.order.is_falling:
            return None
        if scan.rest_known:
            return replace(before, since=scan.since) if before else None
        if not scan.is_complete:
            return None
        by_change = scan.order.is_by_change or (before is not None and before.by_change)
        keys = tuple(sorted(scan.list_keys))
        return LearnedOrder(scan.since, self._clock.now(), "", keys, by_change)


def versions_of(known: Mapping[str, Known]) -> dict[str, str | None]:
    """The loaded version of each id, None for those that are deleted or have none."""
    return {key: None if row.deleted else row.version for key, row in known.items()}


def digest_of(versions: Mapping[str, str | None]) -> str:
    """A digest of the ids and versions, in any order; ids with None do not count."""
    total = 0
    for key, version in versions.items():
        if version is not None:
            text = f"{key}\0{version}".encode()
            total += int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())
    return f"{total % 2**128:032x}"
